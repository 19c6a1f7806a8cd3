"""The setting that names policies for storage classes."""

from __future__ import annotations

import pytest

from objstore.core.errors import ConfigError
from objstore.core.listed import STORAGE_CLASS
from objstore.core.policies import Policies, StoragePolicy
from objstore.s3.data import object_headers
from objstore.s3.data.storage_classes import UNMAPPED, StorageClasses, mapping
from objstore.s3.language.errors import S3Error

POLICIES = Policies(
    [
        StoragePolicy(0, "gold", default=True),
        StoragePolicy(1, "cold", ("ice",)),
        StoragePolicy(2, "old", deprecated=True),
    ]
)


def test_classes_have_the_policies_that_are_named_for_them() -> None:
    classes = StorageClasses(mapping("STANDARD=gold, STANDARD_IA = ICE,"), POLICIES)
    assert classes.policy_index("STANDARD_IA") == 1
    assert classes.policy_index("STANDARD") is None
    assert classes.policy_index(None) is None
    assert classes.policy_index("ONEZONE_IA") is None
    assert classes.of_buckets == 0
    assert UNMAPPED.of_buckets is None


@pytest.mark.parametrize("text", ["cold", "STANDARD_IA=", "=cold", "SMALL=cold", "GLACIER=cold, GLACIER=cold"])
def test_what_is_no_mapping_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        mapping(text)


@pytest.mark.parametrize("policy", ["old", "nowhere"])
def test_a_policy_must_be_there_and_take_containers(policy: str) -> None:
    with pytest.raises(ConfigError, match=policy):
        StorageClasses({"STANDARD_IA": policy}, POLICIES)


def test_classes_that_need_restoring_can_be_asked_for_where_they_have_a_policy() -> None:
    asked = {"X-Amz-Storage-Class": "GLACIER"}
    with pytest.raises(S3Error):
        object_headers.stored_headers(asked, UNMAPPED.names)
    kept = object_headers.stored_headers(asked, StorageClasses({"GLACIER": "cold"}, POLICIES).names)
    assert kept[STORAGE_CLASS] == "GLACIER"
