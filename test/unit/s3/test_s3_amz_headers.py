"""Headers of S3's own: what an SDK can send is done, ignored for a reason, or refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import botocore
import pytest

from objstore.s3.language.errors import S3Error
from objstore.s3.request import amz_headers
from objstore.s3.request.amz_headers import HEADERS, PREFIXES, Treatment

MODEL = Path(botocore.__file__).parent / "data/s3/2006-03-01/service-2.json.gz"
# It answers a Lambda function, and no request of this store is one.
NOT_ASKED = {"WriteGetObjectResponse"}


def documented() -> set[str]:
    """The x-amz- headers of all operations in the SDK's model, canonical."""
    model: dict[str, Any] = json.loads(gzip.decompress(MODEL.read_bytes()))
    found = set()
    for name, operation in model["operations"].items():
        if "input" in operation and name not in NOT_ASKED:
            members = model["shapes"][operation["input"]["shape"]]["members"].values()
            found |= {member["locationName"].title() for member in members if member.get("location") == "header"}
    return {header for header in found if header.startswith("X-Amz-")}


def test_every_header_of_the_sdk_is_on_the_list() -> None:
    missing = {name for name in documented() if name not in HEADERS and not name.startswith(PREFIXES)}
    assert not missing, "done, harmless or refused? Say so in amz_headers.py"


def test_names_are_canonical_and_listed_once() -> None:
    listed = f"{amz_headers._DONE} {amz_headers._HARMLESS} {amz_headers._REFUSED}".split()
    assert len(listed) == len(set(listed)) == len(HEADERS)
    assert all(name == name.title() and name.startswith("X-Amz-") for name in listed)


@pytest.mark.parametrize("name", [name for name, treated in HEADERS.items() if treated is Treatment.REFUSED])
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_what_is_not_done_is_refused(method: str, name: str) -> None:
    with pytest.raises(S3Error) as caught:
        amz_headers.check(method, {"Content-Type": "a/b", name: "x"})
    assert (caught.value.code, caught.value.status) == ("NotImplemented", 501)
    assert caught.value.extra == {"Header": name.lower()}


def test_what_is_done_or_harmless_passes() -> None:
    passing = {name: "x" for name, treated in HEADERS.items() if treated is not Treatment.REFUSED}
    amz_headers.check("PUT", {**passing, "X-Amz-Meta-Any": "x", "X-Amz-Checksum-Crc32": "x", "X-Amzn-Trace-Id": "x"})
    amz_headers.check("PUT", {"X-Amz-Bucket-Namespace": "global"})
    amz_headers.check("PUT", {"X-Amz-Server-Side-Encryption-Bucket-Key-Enabled": "false"})


def test_an_unknown_header_is_refused_where_something_is_changed() -> None:
    unknown = {"X-Amz-Keep-It-Forever": "true"}
    for method in ("PUT", "POST", "DELETE"):
        with pytest.raises(S3Error):
            amz_headers.check(method, unknown)
        amz_headers.check(method, unknown, amz_headers.IGNORE)
    amz_headers.check("GET", unknown)
