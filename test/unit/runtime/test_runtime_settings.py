"""Classes of settings, read from the text of a section."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass, replace

import pytest

from objstore.core.errors import ConfigError
from objstore.runtime import settings
from objstore.runtime.settings import Setting, duration, positive, setting


@dataclass(frozen=True)
class Timeouts:
    connect: float = setting(duration, "500ms", "how long a node may take to accept")
    retries: int = setting(positive, "3", "how often it is asked")
    patience: float = 0.0


def test_a_section_is_read_into_the_fields() -> None:
    assert settings.read(Timeouts, {"connect": "2m", "other": "x"}) == Timeouts(120.0, 3)


def test_a_value_made_without_a_section_has_the_defaults() -> None:
    assert Timeouts() == settings.read(Timeouts, {})
    assert (Timeouts().connect, Timeouts().retries) == (0.5, 3)


def test_names_in_a_section_may_have_a_prefix() -> None:
    section = {"node_connect": "1", "connect": "9"}
    assert settings.read(Timeouts, section, prefix="node_").connect == 1.0
    assert [each.name for each in settings.table(Timeouts, "node_")] == ["node_connect", "node_retries"]


def test_a_field_that_is_no_setting_is_left_alone() -> None:
    assert settings.read(Timeouts, {"patience": "7"}).patience == 0.0
    assert replace(Timeouts(), patience=7.0).patience == 7.0


def test_an_error_names_the_setting_its_text_and_the_place() -> None:
    with pytest.raises(ConfigError, match=r"^node_retries = '0' in \[app\]: is not at least 1$"):
        settings.read(Timeouts, {"node_retries": "0"}, "[app]", "node_")


def test_values_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Timeouts().retries = 5  # type: ignore[misc]


def test_a_table_tells_names_defaults_and_help_in_order() -> None:
    assert [each._replace(parse=str) for each in settings.table(Timeouts)] == [
        Setting("connect", str, "500ms", "how long a node may take to accept"),
        Setting("retries", str, "3", "how often it is asked"),
    ]


def test_other_defaults_are_shown_in_samples() -> None:
    table = settings.with_defaults(settings.table(Timeouts), {"retries": "10%"})
    assert settings.sample(table).endswith("# how often it is asked\n# retries = 10%%\n")
    assert settings.unknown(table, ["connect", "retry"]) == ["retry"]
