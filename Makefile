# Everything a developer does. `make run` needs Python 3.11 or later with its venv module, and nothing else.
#
#   make run      an object store on 127.0.0.1:8080 that keeps its data in ./data
#   make test     every check and test, as CI runs them
#   make check    the quick part: lint, types, trips, unit tests
#   make probe-disks  clusters on disks that fail below real file systems; as root
#   make torture  a cluster hurt at random, under load: SECONDS=600 SEED=7
#   make mutate   each safety rule broken in turn, in a copy of the code: does a test fail? ONLY="lease promise"
#   make bench    figures for the hot paths, on this machine
#   make samples  etc/*.conf and doc/s3_support.md written anew from the tables in the code
#   make clean    all that was made here, but not ./data

VENV := .venv
BIN := $(VENV)/bin
DATA ?= ./data
BIND ?= 127.0.0.1:8080
JOBS ?= 2
SECONDS ?= 60
BENCH ?= $(filter-out bench/load.py bench/compare.py,$(sort $(wildcard bench/*.py)))
CODE := objstore test bench bin setup.py
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: run test check lint format types trips unit functional probe probe-disks torture mutate bench samples clean
.DEFAULT_GOAL := run

run: $(VENV)/.installed
	$(BIN)/objstore serve --data $(DATA) --bind $(BIND)

# All parts run, also after one has failed, so that one run tells everything.
test: $(VENV)/.installed-test
	@failed=; for part in lint types trips unit functional probe; do \
		echo "== $$part"; $(MAKE) --no-print-directory $$part || failed="$$failed $$part"; \
	done; \
	if [ -n "$$failed" ]; then echo "FAILED:$$failed"; exit 1; fi; echo "All checks and tests passed."

check: lint types trips unit

lint: $(VENV)/.installed-test
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)

# Mends what `make lint` complains about, as far as that can be done without thought.
format: $(VENV)/.installed-test
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

types: $(VENV)/.installed-test
	$(BIN)/mypy

# How many files, functions and calls requests pass: none may grow much unseen.
trips: $(VENV)/.installed-test
	$(BIN)/python bench/trips.py --check

unit: $(VENV)/.installed-test
	$(BIN)/pytest test/unit -n $(JOBS)

# `loadscope`, and `loadfile` below, keep the tests of a file with the servers they started.
functional: $(VENV)/.installed-test
	$(BIN)/pytest test/functional -n $(JOBS) --dist loadscope

# A probe may wait some minutes for a cluster to come to rest.
probe: $(VENV)/.installed-test
	$(BIN)/pytest test/probe -n $(JOBS) --dist loadfile -o faulthandler_timeout=900

# Not a part of `make test`: it needs root, FUSE and loop devices. Without them it says what is missing.
probe-disks: $(VENV)/.installed-test
	@cd test && if ! ../$(BIN)/python -m harness.disks.needs; then \
		echo "make probe-disks was left out, for the reasons above."; \
	else cd .. && $(BIN)/pytest test/probe_disks -v -o faulthandler_timeout=900; fi

# Without SEED another one each time, which is printed.
torture: $(VENV)/.installed-test
	cd test && ../$(BIN)/python -m harness.driver --seconds $(SECONDS) $(if $(SEED),--seed $(SEED)) $(OPTIONS)

# Each rule of test/harness/mutants.py.
mutate: $(VENV)/.installed-test
	cd test && ../$(BIN)/python -m harness.mutate --jobs $(JOBS) $(ONLY)

# `make bench BENCH=bench/serve.py` runs one of them. load.py puts load on a store that runs
# already; compare.py measures against another tree.
bench: $(VENV)/.installed
	@for program in $(BENCH); do echo "== $$program"; $(BIN)/python $$program || exit 1; done

samples: $(VENV)/.installed
	$(BIN)/objstore config sample --write etc
	$(BIN)/objstore config s3-support > doc/s3_support.md

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find objstore test bench -name __pycache__ -prune -exec rm -rf {} +

# The stamps say for which setup.py the environment was made.
$(VENV)/.installed: setup.py | $(BIN)/python
	$(BIN)/python -m pip install -q -e .
	@touch $@

$(VENV)/.installed-test: setup.py | $(BIN)/python
	$(BIN)/python -m pip install -q -e '.[test]'
	@touch $(VENV)/.installed $@

$(BIN)/python:
	@python=; for name in $(PYTHON) python3.11 python3 python3.12 python3.13 python3.14; do \
		if $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$name; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
		echo "Python 3.11 or later is needed, and none was found. On Debian or Ubuntu: apt-get install python3 python3-venv"; \
		echo "Another one is taken by: make PYTHON=/path/to/python3.11"; exit 1; \
	fi; \
	if ! $$python -c 'import ensurepip, venv' 2>/dev/null; then \
		echo "$$python lacks the venv module. On Debian or Ubuntu: apt-get install" \
			"$$($$python -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"; exit 1; \
	fi; \
	echo "Making $(VENV) with $$($$python --version)"; \
	$$python -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
