"""Documents of buckets as headers of containers: they come back, and fit what servers take from each other."""

from __future__ import annotations

import base64
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.core.errors import InvalidInput
from objstore.http.request_head import HeadLimits
from objstore.http.response_head import MAX_HEAD
from objstore.layers import documents
from objstore.s3.buckets import cors
from objstore.s3.language import xml


def sysmeta(sent: dict[str, str]) -> dict[str, str]:
    """As a container tells what was set."""
    prefix = documents.PREFIX.removesuffix("S3-")
    return {name[len(prefix) :].lower(): value for name, value in sent.items() if value}


@given(st.text(st.characters(codec="utf-8"), max_size=100), st.integers(1, 300))
def test_a_document_comes_back(text: str, times: int) -> None:
    document = text * times
    assert documents.read(sysmeta(documents.headers("cors", document)), "cors") == document


def test_a_document_that_was_stored_plain_comes_back() -> None:
    plain = base64.b64encode(b"<a>" * 5000).decode()
    stored = {f"s3-cors-{index}": plain[index * 4000 : (index + 1) * 4000] for index in range(5)}
    assert documents.read(stored, "cors") == "<a>" * 5000


def head(headers: dict[str, str]) -> int:
    return sum(len(name) + len(value) + 4 for name, value in headers.items())


def test_the_largest_documents_fit_the_heads_of_requests_and_answers() -> None:
    rng = random.Random(1)
    document = "".join(chr(rng.randrange(33, 127)) for _ in range(36_000))  # as little as can be compressed
    sent = documents.headers("cors", document)
    limits = HeadLimits(field=16384)
    assert head(sent) < limits.head - 16384
    assert max(len(name) + len(value) for name, value in sent.items()) < limits.field
    assert 8 * head(sent) + 2 * limits.head < MAX_HEAD  # one of each kind, and metadata
    with pytest.raises(InvalidInput):
        documents.headers("cors", document + document)


def test_a_cors_configuration_as_large_as_s3_takes_is_stored() -> None:
    """Above 48 KB it was a 500 with servers over HTTP."""
    origins = "".join(f"<AllowedOrigin>https://host-{n:05d}.example.com</AllowedOrigin>" for n in range(12))
    rule = f"<CORSRule>{origins}<AllowedMethod>GET</AllowedMethod></CORSRule>"
    document = f"<CORSConfiguration>{rule * 100}</CORSConfiguration>"
    assert len(document) > 64_000
    kept = cors.dump(cors.from_xml(xml.parse(document.encode(), "CORSConfiguration")))
    assert head(documents.headers("cors", kept)) < 10_000
