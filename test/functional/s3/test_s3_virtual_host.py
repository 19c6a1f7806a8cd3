"""Buckets in host names, on a server that has a domain."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import pytest
from harness.client import log_in
from harness.processes import S3_FILTER, Serve
from harness.s3 import S3

DOMAIN = "s3.test"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    place: Path = tmp_path_factory.mktemp("domain")
    made = Serve(place / "data", place / "log", workers=1)
    made.start_with(S3_FILTER, f"{S3_FILTER}domains = {DOMAIN} other.test\n")
    yield made
    made.stop()


@pytest.fixture(scope="module")
def raw(server: Serve) -> Iterator[S3]:
    known = server.credentials
    client = S3(known["endpoint"], known["access_key"], known["secret_key"])
    assert client.put("/bucket").status == 200
    yield client
    client.close()


@pytest.mark.parametrize("host", [f"bucket.{DOMAIN}", f"BUCKET.{DOMAIN}:8080", "bucket.other.test"])
def test_the_bucket_stands_in_the_host(raw: S3, host: str) -> None:
    headers = {"Host": host}
    assert raw.put("/dir/a%20key", b"hello", headers).status == 200
    assert raw.get("/dir/a%20key", headers).body == b"hello"
    assert raw.get("/bucket/dir/a%20key").body == b"hello"
    assert b"<Key>dir/a key</Key>" in raw.get("/?list-type=2", headers).body
    target = raw.signer.presign("GET", "/dir/a%20key", host)
    assert raw.send("GET", target, headers).body == b"hello"
    assert raw.request("DELETE", "/dir/a%20key", headers).status == 204


def test_names_of_the_native_api_are_keys_there(raw: S3) -> None:
    headers = {"Host": f"bucket.{DOMAIN}"}
    assert raw.put("/v1/AUTH_x", b"hello", headers).status == 200
    assert raw.get("/bucket/v1/AUTH_x").body == b"hello"
    assert raw.send("GET", "/v1/AUTH_x", headers).status == 403  # anonymous


def test_the_domain_itself_serves_both(raw: S3, server: Serve) -> None:
    headers = {"Host": DOMAIN}
    assert raw.put("/bucket/key", b"hello", headers).status == 200
    assert b"<Name>bucket</Name>" in raw.get("/", headers).body
    known = server.credentials
    client = log_in(known["endpoint"], known["user"], known["key"])
    assert client.send("GET", f"{client.root}/bucket/key", headers).body == b"hello"
    client.close()


def test_a_signature_of_version_2_names_the_bucket(raw: S3) -> None:
    raw.put("/bucket/key", b"hello")
    date = formatdate(usegmt=True)
    text = f"GET\n\n\n{date}\n/bucket/key"
    digest = hmac.new(raw.signer.secret_key.encode(), text.encode(), hashlib.sha1).digest()
    headers = {
        "Host": f"bucket.{DOMAIN}",
        "Date": date,
        "Authorization": f"AWS {raw.signer.access_key}:{base64.b64encode(digest).decode()}",
    }
    assert raw.send("GET", "/key", headers).body == b"hello"
