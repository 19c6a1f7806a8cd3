"""Breaks each safety rule of a list in turn, in a copy of the tree, and expects a test to fail.

    python -m harness.mutate [--jobs 2] [WORD ...]         (from `test`; or `make mutate ONLY="lease promise"`)

WORD: only rules with one of these words. Exit status: 0 if a test fails for each rule, 1 if not, or if the list and the
code are apart.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from queue import Empty, Queue
from typing import NamedTuple

from harness.mutants import MUTANTS, Mutant, misplaced

ROOT = Path(__file__).parents[2]
_SECONDS = 600.0  # for the tests of a mutant; one that makes them hang is caught, too
_LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", ".hypothesis", "data", "*.egg-info")
_PASSED, _FAILED = 0, 1  # exit statuses of pytest


class Outcome(NamedTuple):
    mutant: Mutant
    caught: bool
    text: str
    seconds: float


def run_tests(tree: Path, tests: Sequence[str]) -> tuple[int | None, str]:
    """Exit status of pytest, None if it took too long, and its last lines."""
    arguments = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", "-p", "no:randomly"]
    arguments += [str(tree / "test" / test) for test in tests]
    environ = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            arguments, cwd=tree, env=environ, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return None, ""
    return done.returncode, "\n".join((done.stdout + done.stderr).splitlines()[-15:])


def try_out(mutant: Mutant, tree: Path) -> Outcome:
    """Break the rule in the tree, run its tests, and mend it."""
    path = tree / mutant.file
    sound = path.read_text()
    started = time.monotonic()
    path.write_text(sound.replace(mutant.code, mutant.broken))
    try:
        status, output = run_tests(tree, mutant.tests)
    finally:
        path.write_text(sound)
    text = {_FAILED: "caught", None: "caught: the tests hang", _PASSED: "SURVIVES"}.get(
        status, f"DOES NOT RUN: {output}"
    )
    return Outcome(mutant, status in (_FAILED, None), text, time.monotonic() - started)


def copy_tree(directory: str, number: int) -> Path:
    tree = Path(directory) / str(number)
    shutil.copytree(ROOT, tree, ignore=_LEFT_OUT)
    where = subprocess.run(
        [sys.executable, "-c", "import objstore; print(objstore.__file__)"],
        cwd=tree, env={**os.environ, "PYTHONPATH": str(tree)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert where.stdout.startswith(str(tree)), f"the tests of {tree} would use {where.stdout}"
    return tree


def try_all(mutants: Sequence[Mutant], jobs: int) -> list[Outcome]:
    """In so many copies of the tree at once; tells of each as it ends."""
    waiting: Queue[Mutant] = Queue()
    for mutant in mutants:
        waiting.put(mutant)
    outcomes: list[Outcome] = []

    def work(tree: Path) -> None:
        while True:
            try:
                outcome = try_out(waiting.get_nowait(), tree)
            except Empty:
                return
            outcomes.append(outcome)
            print(f"{outcome.seconds:6.1f} s  {outcome.mutant.rule}: {outcome.text}", flush=True)

    with tempfile.TemporaryDirectory(prefix="objstore-mutate-") as directory:
        trees = [copy_tree(directory, number) for number in range(jobs)]
        tests = sorted({test for mutant in mutants for test in mutant.tests})
        status, output = run_tests(trees[0], tests)
        if status != _PASSED:
            raise SystemExit(f"The tests fail without any change:\n{output}")
        threads = [threading.Thread(target=work, args=(tree,)) for tree in trees]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return outcomes


def table(outcomes: Sequence[Outcome]) -> str:
    rows = [(one.mutant.rule, one.mutant.file, one.text.split(":")[0]) for one in outcomes]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    return "\n".join(f"{rule:{widths[0]}}  {file:{widths[1]}}  {text}" for rule, file, text in sorted(rows))


def main() -> int:
    parser = argparse.ArgumentParser(description="Break each safety rule in turn, and expect a test to fail.")
    parser.add_argument("words", nargs="*", metavar="WORD", help="only rules with one of these words")
    parser.add_argument("--jobs", type=int, default=2, help="copies of the tree that are tried at once")
    options = parser.parse_args()
    apart = misplaced(ROOT)
    if apart:
        print("\n".join(apart))
        return 1
    chosen = [one for one in MUTANTS if not options.words or any(word in one.rule for word in options.words)]
    if not chosen:
        parser.error("no rule has one of these words")
    outcomes = try_all(chosen, options.jobs)
    survivors = [one for one in outcomes if not one.caught]
    print(f"\n{table(outcomes)}\n\n{len(outcomes)} rules, {len(survivors)} of them not held by a test")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
