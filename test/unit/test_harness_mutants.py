"""The list of safety rules that `make mutate` breaks."""

from __future__ import annotations

from pathlib import Path

from harness.mutants import MUTANTS, Mutant, misplaced
from harness.mutate import ROOT, Outcome, table


def test_the_code_of_each_rule_is_in_its_file_once_and_its_tests_are_there() -> None:
    """A rule that was reworded would not be broken by `make mutate` any more."""
    assert misplaced(ROOT) == []


def test_each_rule_is_named_once_and_its_change_is_one() -> None:
    assert len({mutant.rule for mutant in MUTANTS}) == len(MUTANTS)
    assert all(mutant.code != mutant.broken and mutant.tests for mutant in MUTANTS)


def test_texts_that_are_gone_are_told_of(tmp_path: Path) -> None:
    assert len(misplaced(tmp_path)) >= len(MUTANTS)


def test_the_table_shows_survivors() -> None:
    mutant = Mutant("a rule", "a/file.py", "x", "y", ("unit/test.py",))
    shown = table([Outcome(mutant, False, "SURVIVES", 1.0), Outcome(mutant._replace(rule="z"), True, "caught", 1.0)])
    assert shown.splitlines() == ["a rule  a/file.py  SURVIVES", "z       a/file.py  caught"]
