from __future__ import annotations

import pytest

from objstore.s3.language.errors import S3Error
from objstore.s3.request import bucket_names

GOOD = ["abc", "a.b", "a-b", "1234", "my.bucket-1", "a" * 63, "192.168.1.1.x"]
BAD = [
    "", "ab", "a" * 64, "Abc", "a_b", "-ab", "ab-", ".ab", "ab.", "a..b", "a.-b", "a-.b", "192.168.5.4", "a b", "a/b",
    "xn--abc", "sthree-abc", "amzn-s3-demo-x", "abc-s3alias", "abc--ol-s3", "abc.mrap", "abc--x-s3", "äbc", "abc\n",
]  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_good_names(name: str) -> None:
    bucket_names.check(name)


@pytest.mark.parametrize("name", BAD)
def test_bad_names(name: str) -> None:
    with pytest.raises(S3Error) as caught:
        bucket_names.check(name)
    assert caught.value.code == "InvalidBucketName"


@pytest.mark.parametrize("name", ["Abc", "a_b", "ab-", "a..b", "a" * 255])
def test_the_old_rules_let_in_more(name: str) -> None:
    bucket_names.check(name, dns_compliant=False)


@pytest.mark.parametrize("name", ["", "ab", "a/b", "192.168.5.4", "a" * 256, "a\0b", "äbc"])
def test_but_not_everything(name: str) -> None:
    assert not bucket_names.is_valid(name, dns_compliant=False)
