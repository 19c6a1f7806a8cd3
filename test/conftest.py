"""Tests run the code beside them: another tree's, installed in the same environment, would be tested unseen."""

from __future__ import annotations

from pathlib import Path

import pytest

import objstore

_TREE = Path(__file__).resolve().parents[1]
_TESTED = Path(objstore.__file__).resolve().parents[1]

if _TESTED != _TREE:
    pytest.exit(f"these tests are of {_TREE}, but import {_TESTED}: set PYTHONPATH={_TREE}", returncode=4)
