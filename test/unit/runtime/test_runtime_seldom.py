"""Telling of what goes on failing."""

from __future__ import annotations

from objstore.runtime.seldom import Seldom


def test_each_thing_is_told_once_in_a_while() -> None:
    now = 5.0
    seldom = Seldom(10.0, lambda: now)
    assert [seldom.is_due(key) for key in ("a", "a", "b")] == [True, False, True]
    now = 14.9
    assert not seldom.is_due("a")
    now = 15.0
    assert seldom.is_due("a")
    assert not seldom.is_due("a")
