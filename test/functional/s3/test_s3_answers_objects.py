"""What S3 answers to odd completions, copies, ranges, versions, conditions and encryption headers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from harness.s3 import NAMESPACE, S3, code_of, error_of
from harness.s3_answers import ALL, BODY, OTHER, ask, v2_presigned

MALFORMED_XML = "The XML you provided was not well-formed or did not validate against our published schema"
BAD_PART = (
    "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified "
    "entity tag may not match the part's entity tag."
)
ENCRYPTION = "x-amz-server-side-encryption"


class Upload:
    """An upload by parts of BODY each, but the first ones, which are 5 MiB."""

    def __init__(self, raw: S3, target: str, count: int = 2, headers: dict[str, str] | None = None) -> None:
        self.raw = raw
        self.target = target
        begun = raw.request("POST", f"{target}?uploads=", headers)
        assert begun.status == 200, begun
        self.id = begun.body.partition(b"<UploadId>")[2].partition(b"</UploadId>")[0].decode()
        self.begun = begun
        self.etags = [self.part(number, number == count) for number in range(1, count + 1)]

    def part(self, number: int, last: bool = True) -> str:
        data = BODY if last else b"x" * (5 << 20)
        return self.raw.put(f"{self.target}?partNumber={number}&uploadId={self.id}", data)["ETag"]

    def complete(self, parts: dict[int, str] | None = None, headers: dict[str, str] | None = None) -> Any:
        listed = dict(enumerate(self.etags, 1)) if parts is None else parts
        inner = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in listed.items()
        )
        return self.send(f"<CompleteMultipartUpload>{inner}</CompleteMultipartUpload>", headers)

    def send(self, document: str, headers: dict[str, str] | None = None) -> Any:
        return self.raw.request("POST", f"{self.target}?uploadId={self.id}", headers, document.encode())


@pytest.fixture
def versioned(raw: S3, new_bucket: Callable[..., str]) -> Iterator[str]:
    name = new_bucket()
    document = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    assert raw.put(f"/{name}?versioning=", document).status == 200
    yield name


# Uploads by parts


@pytest.mark.parametrize("keeps", ["plain", "versioned"])
def test_an_upload_is_completed_again_only_with_the_same_list(raw: S3, bucket: str, versioned: str, keeps: str) -> None:
    """Another list was answered with the first result, as if the object had been made of it."""
    upload = Upload(raw, f"/{bucket if keeps == 'plain' else versioned}/key", 3)
    first, second, third = upload.etags
    done = upload.complete({1: first, 2: second})
    assert done.status == 200
    none = {"If-None-Match": "*"}
    for headers in ({}, none):
        again = upload.complete({1: first, 2: second}, headers)
        assert (again.status, again.body) == (200, done.body)
        for other in ({1: first}, {1: first, 2: second, 3: third}, {2: second}, {1: first, 3: third}, {1: "", 2: ""}):
            assert code_of(upload.complete(other, headers)) == (404, "NoSuchUpload"), other
    assert raw.request("HEAD", upload.target)["Content-Length"] == str(10 << 20)
    assert raw.request("DELETE", upload.target).status == 204
    if keeps == "plain":
        assert code_of(upload.complete({1: first, 2: second})) == (404, "NoSuchUpload")


def test_after_an_abortion_there_is_no_upload(raw: S3, bucket: str) -> None:
    upload = Upload(raw, f"/{bucket}/key", 1)
    target = f"{upload.target}?uploadId={upload.id}"
    assert raw.request("DELETE", target).status == 204
    assert code_of(upload.complete()) == (404, "NoSuchUpload")
    assert code_of(raw.get(target)) == (404, "NoSuchUpload")
    assert code_of(raw.put(f"{target}&partNumber=1", BODY)) == (404, "NoSuchUpload")
    assert code_of(raw.request("DELETE", f"{upload.target}?uploadId=unknown")) == (404, "NoSuchUpload")


def test_lists_of_parts(raw: S3, bucket: str) -> None:
    upload = Upload(raw, f"/{bucket}/key", 2)
    assert code_of(upload.complete({2: upload.etags[1], 1: upload.etags[0]})) == (400, "InvalidPartOrder")
    empty = upload.complete({1: upload.etags[0], 2: ""})
    assert code_of(empty) == (400, "InvalidPart")
    told = error_of(empty)
    assert told["Message"] == BAD_PART
    assert (told["UploadId"], told["PartNumber"], told["ETag"]) == (upload.id, "2", "")
    sums = "<ChecksumCRC32>AAAAAA==</ChecksumCRC32>"
    inner = f"<Part><PartNumber>1</PartNumber>{sums}</Part>"
    absent = upload.send(f"<CompleteMultipartUpload>{inner}</CompleteMultipartUpload>")
    assert code_of(absent) == (400, "MalformedXML")
    assert error_of(absent)["Message"] == MALFORMED_XML
    done = upload.complete({1: upload.etags[0]})
    assert done.status == 200
    assert b"-1&quot;" in done.body or b'-1"' in done.body


def test_part_numbers_may_have_gaps_and_a_part_may_be_empty(raw: S3, bucket: str) -> None:
    upload = Upload(raw, f"/{bucket}/key", 0)
    etags = {1: upload.part(1, False), 1000: upload.part(1000)}
    done = upload.complete(etags)
    assert (done.status, raw.request("HEAD", f"/{bucket}/key")["ETag"][-3:]) == (200, '-2"')
    upload = Upload(raw, f"/{bucket}/empty", 0)
    etag = raw.put(f"{upload.target}?partNumber=1&uploadId={upload.id}", b"")["ETag"]
    assert upload.complete({1: etag}).status == 200


def test_conditions_of_the_first_completion(raw: S3, bucket: str) -> None:
    assert raw.put(f"/{bucket}/key", BODY).status == 200
    upload = Upload(raw, f"/{bucket}/key", 1)
    assert code_of(upload.complete(headers={"If-None-Match": "*"})) == (412, "PreconditionFailed")
    other = upload.complete(headers={"If-None-Match": upload.etags[0]})
    assert code_of(other) == (501, "NotImplemented")
    assert upload.complete().status == 200  # neither has claimed the upload


# Conditions


@pytest.mark.parametrize("form", ALL)
@pytest.mark.parametrize("value", ['"0123"', "0123", '"*"', "*, *", '"a", "b"'])
def test_a_put_takes_only_a_star_in_if_none_match(raw: S3, bucket: str, form: str, value: str) -> None:
    answer = ask(raw, form, "PUT", f"/{bucket}/key", {"If-None-Match": value}, BODY)
    assert code_of(answer) == (501, "NotImplemented")
    assert error_of(answer)["Message"] == "A header you provided implies functionality that is not implemented"
    assert ask(raw, form, "PUT", f"/{bucket}/key", {"If-None-Match": "*"}, BODY).status == 200
    assert code_of(ask(raw, form, "PUT", f"/{bucket}/key", {"If-None-Match": "*"}, BODY))[0] == 412
    copy = {"x-amz-copy-source": f"/{bucket}/key", "If-None-Match": value}
    assert code_of(ask(raw, form, "PUT", f"/{bucket}/copy", copy)) == (501, "NotImplemented")


# Copies


@pytest.mark.parametrize("form", ALL)
def test_a_copy_with_a_range_is_refused(raw: S3, bucket: str, form: str) -> None:
    """The range was ignored, and the whole was copied."""
    assert raw.put(f"/{bucket}/key", BODY).status == 200
    headers = {"x-amz-copy-source": f"/{bucket}/key", "Range": "bytes=0-3"}
    answer = ask(raw, form, "PUT", f"/{bucket}/copy", headers)
    assert code_of(answer) == (400, "InvalidArgument")
    told = error_of(answer)
    assert told["Message"] == "RANGE is not supported in Copy!"
    assert (told["ArgumentName"], told["ArgumentValue"]) == ("Range", "bytes=0-3")
    assert raw.get(f"/{bucket}/copy").status == 404


def test_copies_of_an_object_of_parts(raw: S3, bucket: str) -> None:
    upload = Upload(raw, f"/{bucket}/key", 2)
    assert upload.complete().status == 200
    etag = raw.request("HEAD", f"/{bucket}/key")["ETag"]
    source = {"x-amz-copy-source": f"/{bucket}/key", "x-amz-copy-source-if-match": etag}
    copied = raw.request("PUT", f"/{bucket}/copy", source)
    assert (copied.status, b"<LastModified>" in copied.body) == (200, True)
    assert "-" not in raw.request("HEAD", f"/{bucket}/copy")["ETag"]
    again = Upload(raw, f"/{bucket}/parts", 0)
    parts = {}
    for number, span in ((1, f"0-{(5 << 20) - 1}"), (2, f"{5 << 20}-{(5 << 20) + len(BODY) - 1}")):
        headers = {**source, "x-amz-copy-source-range": f"bytes={span}"}
        answer = raw.request("PUT", f"{again.target}?partNumber={number}&uploadId={again.id}", headers)
        assert answer.status == 200, answer
        parts[number] = answer.body.partition(b"<ETag>")[2].partition(b"</ETag>")[0].decode().replace("&quot;", "")
    assert again.complete(parts).status == 200
    assert raw.request("HEAD", f"/{bucket}/parts")["ETag"] == etag


def test_a_copy_names_the_version_of_its_source(raw: S3, versioned: str) -> None:
    version = raw.put(f"/{versioned}/key", BODY)["x-amz-version-id"]
    for query in ("", f"?versionId={version}"):
        copied = raw.request("PUT", f"/{versioned}/copy", {"x-amz-copy-source": f"/{versioned}/key{query}"})
        assert copied["x-amz-copy-source-version-id"] == version


# Ranges


@pytest.mark.parametrize("made_of", ["parts", "one piece"])
def test_part_numbers_of_a_read(raw: S3, bucket: str, made_of: str) -> None:
    target = f"/{bucket}/key"
    if made_of == "parts":
        assert Upload(raw, target, 2).complete().status == 200
    else:
        assert raw.put(target, BODY).status == 200
    for method in ("GET", "HEAD"):
        answer = raw.request(method, f"{target}?partNumber=1")
        assert (answer.status, answer["Accept-Ranges"]) == (206, "bytes")
        assert answer["Content-Range"].startswith("bytes 0-")
        for number, status in (("3", 416), ("10000", 416), ("0", 400), ("-1", 400), ("10001", 400)):
            refused = raw.request(method, f"{target}?partNumber={number}")
            assert (refused.status, refused.body == b"") == (status, method == "HEAD")
    refused = raw.get(f"{target}?partNumber=10001")
    assert error_of(refused)["Message"] == "Part number must be an integer between 1 and 10000, inclusive"
    assert error_of(raw.get(f"{target}?partNumber=9"))["Message"] == "The requested partnumber is not satisfiable"
    for number in ("1", "0", "-1", "10001", "x"):
        both = raw.get(f"{target}?partNumber={number}", {"Range": "bytes=0-1"})
        assert code_of(both) == (400, "InvalidRequest")
        assert error_of(both)["Message"] == "Cannot specify both Range header and partNumber query parameter"


# Versions


def test_markers_of_a_listing_of_versions(raw: S3, versioned: str) -> None:
    older, version = (raw.put(f"/{versioned}/{key}", BODY)["x-amz-version-id"] for key in ("a", "b"))
    base = f"/{versioned}?versions="
    lone = raw.get(f"{base}&version-id-marker={version}")
    assert code_of(lone) == (400, "InvalidArgument")
    assert error_of(lone)["Message"] == "A version-id marker cannot be specified without a key marker."
    for key in ("", "a"):
        nonsense = raw.get(f"{base}&key-marker={key}&version-id-marker=nonsense")
        assert code_of(nonsense) == (400, "InvalidArgument")
        assert error_of(nonsense)["Message"] == "Invalid version id specified"
    from_start = raw.get(f"{base}&key-marker=&version-id-marker={version}")
    assert (from_start.status, from_start.body.count(b"<Version>")) == (200, 2)
    assert raw.get(f"{base}&key-marker=a").body.count(b"<Version>") == 1
    of_another_key = raw.get(f"{base}&key-marker=b&version-id-marker={older}")
    assert (of_another_key.status, of_another_key.body.count(b"<Version>")) == (200, 0)
    assert b"<NextKeyMarker>" not in raw.get(base).body
    cut = raw.get(f"{base}&max-keys=1").body
    assert b"<NextKeyMarker>a</NextKeyMarker>" in cut
    assert b"<NextVersionIdMarker>" in cut


def test_an_empty_delimiter_is_shown_in_listings_of_versions_only(raw: S3, bucket: str) -> None:
    assert b"<Delimiter></Delimiter>" in raw.get(f"/{bucket}?versions=&delimiter=").body
    assert b"Delimiter" not in raw.get(f"/{bucket}?versions=").body
    assert b"Delimiter" not in raw.get(f"/{bucket}?delimiter=").body
    assert b"Delimiter" not in raw.get(f"/{bucket}?list-type=2&delimiter=").body


def test_states_of_versioning(raw: S3, bucket: str) -> None:
    assert b"Status" not in raw.get(f"/{bucket}?versioning=").body
    disabled = raw.put(
        f"/{bucket}?versioning=", b"<VersioningConfiguration><Status>Disabled</Status></VersioningConfiguration>"
    )
    assert code_of(disabled) == (400, "MalformedXML")
    assert error_of(disabled)["Message"] == MALFORMED_XML


def test_deletions_of_versions(raw: S3, versioned: str) -> None:
    target = f"/{versioned}/key"
    first, second = (raw.put(target, body)["x-amz-version-id"] for body in (OTHER, BODY))
    raw.put(f"{target}-other", BODY)
    assert raw.request("DELETE", f"{target}?versionId={second}").status == 204
    assert raw.get(target).body == OTHER
    older, latest = (raw.request("DELETE", target)["x-amz-version-id"] for _ in range(2))
    assert raw.request("DELETE", f"{target}?versionId={older}").status == 204
    missing = raw.get(target)
    assert code_of(missing) == (404, "NoSuchKey")
    assert error_of(missing)["Message"] == "The specified key does not exist."
    assert raw.request("DELETE", f"{target}?versionId={latest}").status == 204
    assert raw.get(target).body == OTHER
    assert raw.request("DELETE", f"{target}?versionId={first}").status == 204
    assert raw.get(f"{target}-other").body == BODY


def test_a_completion_names_the_new_version(raw: S3, versioned: str) -> None:
    done = Upload(raw, f"/{versioned}/key", 1).complete()
    assert done["x-amz-version-id"] == raw.request("HEAD", f"/{versioned}/key")["x-amz-version-id"]


# Encryption headers


def test_an_upload_that_asks_for_aes256_is_accepted(raw: S3, bucket: str) -> None:
    asked = {ENCRYPTION: "AES256"}
    target = f"/{bucket}/key"
    assert raw.put(target, BODY, asked)[ENCRYPTION] == "AES256"
    for method in ("GET", "HEAD"):
        assert raw.request(method, target)[ENCRYPTION] == "AES256"
    copied = raw.request("PUT", f"{target}-copy", {"x-amz-copy-source": target})
    assert (copied.status, copied.get(ENCRYPTION)) == (200, None)
    copied = raw.request("PUT", f"{target}-copy", {"x-amz-copy-source": target, **asked})
    assert (copied[ENCRYPTION], raw.get(f"{target}-copy")[ENCRYPTION]) == ("AES256", "AES256")
    upload = Upload(raw, f"{target}-parts", 1, asked)
    assert upload.begun[ENCRYPTION] == "AES256"
    for _ in range(2):
        assert upload.complete()[ENCRYPTION] == "AES256"
    assert raw.request("HEAD", f"{target}-parts")[ENCRYPTION] == "AES256"
    raw.put(target, BODY)
    assert raw.get(target).get(ENCRYPTION) is None


# Others


def test_answers_about_buckets(raw: S3, bucket: str) -> None:
    lock = raw.get(f"/{bucket}?object-lock=")
    assert code_of(lock) == (404, "ObjectLockConfigurationNotFoundError")
    assert error_of(lock)["Message"] == "Object Lock configuration does not exist for this bucket"
    made = raw.put(f"/{bucket}-too")
    assert (made.status, made["Location"], made["Content-Length"]) == (200, f"/{bucket}-too", "0")
    assert raw.request("DELETE", f"/{bucket}-too").status == 204


@pytest.mark.parametrize("form", ALL)
def test_the_list_of_buckets(raw: S3, bucket: str, form: str) -> None:
    answer = ask(raw, form, "GET", "/")
    assert answer["x-amz-request-id"]
    assert answer.body.count(b"<Bucket>") == answer.body.count(b"<CreationDate>") >= 1
    assert f"<Name>{bucket}</Name>".encode() in answer.body
    assert b"<Owner><ID>" in answer.body


def test_owners_in_listings(raw: S3, bucket: str) -> None:
    raw.put(f"/{bucket}/key", BODY)
    assert b"<Owner>" in raw.get(f"/{bucket}").body
    assert NAMESPACE.strip("{}").encode() in raw.get(f"/{bucket}?list-type=2").body


@pytest.mark.parametrize("ahead", [900, (1 << 32) + 900, 1000 * (1 << 31)])
def test_ends_of_urls_of_version_2(raw: S3, bucket: str, ahead: int) -> None:
    """Milliseconds in the place of seconds made a URL that lived for ever."""
    signed = v2_presigned(raw, "GET", f"/{bucket}", {}, int(time.time()) + ahead)
    answer = raw.send("GET", signed.target, signed.headers)
    if ahead == 900:
        assert answer.status == 200
        return
    assert code_of(answer) == (403, "AccessDenied")
    assert "Invalid date (should be seconds since epoch)" in error_of(answer)["Message"]


def test_a_signature_of_version_2_needs_a_date(raw: S3, bucket: str) -> None:
    answer = raw.send("GET", f"/{bucket}", {"Authorization": f"AWS {raw.signer.access_key}:AAAA"})
    assert code_of(answer) == (403, "AccessDenied")
    assert "AWS authentication requires a valid Date or x-amz-date header" in error_of(answer)["Message"]


def test_an_error_of_a_head_has_no_body(raw: S3, bucket: str) -> None:
    for target in (f"/{bucket}/none", f"/{bucket}-none", f"/{bucket}/none?partNumber=0"):
        assert raw.request("HEAD", target).body == b""
