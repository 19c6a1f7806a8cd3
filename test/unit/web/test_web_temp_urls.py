"""Queries of temporary URLs, their texts, and the keys that sign them."""

from __future__ import annotations

import base64
import hmac
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.core.errors import InvalidInput
from objstore.web import temp_urls, url_keys
from objstore.web.url_keys import parse_signature


def query(**parameters: str) -> str:
    known = {"temp_url_sig": "0" * 64, "temp_url_expires": "100"}
    return urlencode({**known, **parameters})


def reason(text: str) -> str:
    with pytest.raises(InvalidInput) as raised:
        temp_urls.parse(text)
    return str(raised.value)


@given(st.text(max_size=20), st.text(max_size=20))
def test_any_encoding_of_a_query_is_the_same_url(prefix: str, filename: str) -> None:
    plain = query(temp_url_prefix=prefix, filename=filename)
    every = "".join(f"%{byte:02x}" for byte in prefix.encode())
    url = temp_urls.parse(plain)
    assert (url.prefix, url.filename, url.expires) == (prefix, filename, 100)
    assert temp_urls.parse(f"{query()}&filename={quote(filename)}&temp%5furl_prefix={every}") == url


def test_what_is_not_a_url_has_a_reason() -> None:
    assert reason("temp_url_sig=s") == "malformed"
    assert reason(query(temp_url_expires="x")) == "malformed"
    assert reason(query(temp_url_expires="2026-02-30T00:00:00Z")) == "malformed"
    assert reason(query(temp_url_expires="1\n")) == "malformed"
    assert reason(query(temp_url_ip_range="é")) == "malformed"
    assert reason(query() + "&filename=%ff") == "malformed"
    assert reason(query() + "&x=\xff") == "malformed"
    assert reason(query(temp_url_sig="s")) == "digest"
    assert reason(query() + "&temp_url_sig=s") == "repeated"
    assert reason(query() + "&inline&inline=1") == "repeated"
    assert reason("&" * 2000) == "malformed"


def test_texts() -> None:
    url = temp_urls.parse(query())
    assert url.texts("PUT", "/v1/a/c/\xc3\xa9") == [b"PUT\n100\n/v1/a/c/\xc3\xa9"]
    assert [text.split(b"\n")[0] for text in url.texts("HEAD", "/v1/a/c/o")] == [b"HEAD", b"GET", b"PUT", b"POST"]
    url = temp_urls.parse(query(temp_url_prefix="é", temp_url_ip_range="::1"))
    assert url.texts("GET", "/v1/a/c/\xc3\xa9/x") == [b"ip=::1\nGET\n100\nprefix:/v1/a/c/\xc3\xa9"]
    with pytest.raises(InvalidInput):
        url.texts("GET", "/v1/a/c/e")
    iso = temp_urls.parse(query(temp_url_expires="1970-01-02T00:00:00Z"))
    assert iso.texts("GET", "/v1/a/c/o") == [b"GET\n86400\n/v1/a/c/o"]


@pytest.mark.parametrize(
    ("addresses", "client", "allowed"),
    [
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "::ffff:10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.0.0.0/8", "::1", False),
        ("2001:db8::/32", "2001:db8::5", True),
        ("::/0", "10.1.2.3", False),
        ("10.0.0.0/8", "", False),
        ("10.0.0.0/33", "10.1.2.3", False),
        ("10.1.2.3", "10.1.2.3", True),
    ],
)
def test_addresses(addresses: str, client: str, allowed: bool) -> None:
    try:
        temp_urls.check_address(addresses, client)
    except InvalidInput:
        assert not allowed
    else:
        assert allowed


@given(st.text(min_size=1).filter(lambda text: "/" not in text))
def test_a_file_name_is_safe_in_a_header(name: str) -> None:
    shown = temp_urls.parse(query()).disposition(f"/v1/a/c/{name}", "")
    assert shown.isascii()
    assert shown.isprintable()
    assert shown.count('"') == 2


def test_the_name_of_a_pseudo_directory_is_its_last_part() -> None:
    assert 'filename="dir"' in temp_urls.parse(query()).disposition("/v1/a/c/x/dir/", "")


# Keys and signatures


def signature(digest: str, key: bytes = b"key", text: bytes = b"text") -> bytes:
    return hmac.digest(key, text, digest)


@pytest.mark.parametrize("digest", url_keys.DIGESTS)
def test_both_forms_of_a_signature(digest: str) -> None:
    mac = signature(digest)
    standard, safe = base64.b64encode(mac).decode(), base64.urlsafe_b64encode(mac).decode()
    for text in (mac.hex(), f"{digest}:{standard}", f"{digest}:{safe}", f"{digest}:{standard.rstrip('=')}"):
        assert parse_signature(text, url_keys.DIGESTS) == (digest, mac.hex())
        assert parse_signature(text, [other for other in url_keys.DIGESTS if other != digest]) is None


@given(st.text(alphabet="0123456789abcdefABCDEF:shaé=-_+/ \n", max_size=140))
def test_any_text_is_a_signature_or_not(text: str) -> None:
    parsed = parse_signature(text, url_keys.DIGESTS)
    assert parsed is None or len(parsed.mac) == len(hmac.digest(b"", b"", parsed.digest)) * 2


@pytest.mark.parametrize(
    "text", ["", ":", "sha256:", "sha256:é", "sha1:" + "A" * 43, "md5:" + "A" * 22, "0" * 63, "٣" * 64, ":" * 64]
)
def test_other_texts_are_no_signatures(text: str) -> None:
    assert parse_signature(text, url_keys.DIGESTS) is None


def is_by(key: bytes, meta: dict[str, str], digest: str = "sha256") -> bool:
    parsed = parse_signature(signature(digest, key).hex(), [digest])
    assert parsed is not None
    return parsed.is_by(meta, [b"other", b"text"])


@given(st.text(min_size=1, max_size=200), st.sampled_from(url_keys.DIGESTS))
def test_a_key_of_any_length_signs_as_hmac_does(key: str, digest: str) -> None:
    assert is_by(key.encode(), {"temp-url-key": key}, digest)
    assert not is_by(key.encode(), {"temp-url-key": key + "x"}, digest)


def test_either_key_counts() -> None:
    assert is_by(b"k", {"temp-url-key": "x", "temp-url-key-2": "k"})
    assert is_by(b"k", {"temp-url-key": "k", "temp-url-key-2": "x"})
    assert is_by(b"\xff", {"temp-url-key": "\udcff"})
    assert not is_by(b"k", {"temp-url-key-3": "k", "temp-url-key": "K", "key": "k"})
    assert not is_by(b"", {"temp-url-key": ""})
    assert not is_by(b"", {})


@pytest.mark.parametrize("other", ["A" * 64, "g" * 64, "0" * 64])
def test_digits_of_another_kind_fit_no_key(other: str) -> None:
    parsed = parse_signature(other, ["sha256"])
    assert parsed is not None
    assert not parsed.is_by({"temp-url-key": "k"}, [b"text"])


def test_the_setting_of_digests() -> None:
    assert url_keys.digests("sha512, sha1") == ("sha1", "sha512")
    for text in ("", "md5", "sha256 md5"):
        with pytest.raises(ValueError, match="sha256"):
            url_keys.digests(text)
    assert url_keys.info_of_digests(("sha512",)) == {"allowed_digests": ["sha512"], "deprecated_digests": []}
