"""The plan of a completion, from its request and the parts of the upload. Pure; raises S3's errors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from objstore.s3.data.object_headers import Checksum
from objstore.s3.language import checksums, xml
from objstore.s3.language.errors import S3Error
from objstore.s3.multipart import sums
from objstore.s3.multipart.parts import Part
from objstore.s3.multipart.uploads import COMPOSITE, MultipartUpload

_MD5 = re.compile(r"[0-9a-f]{32}\Z")
_SIZE = "X-Amz-Mp-Object-Size"
_TYPE = "X-Amz-Checksum-Type"


class RequestedPart(NamedTuple):
    """A part in the request for completion. etag: without quotes. checksums: by algorithm, base64, as sent."""

    number: int
    etag: str
    checksums: Mapping[str, str]


class Rules(NamedTuple):
    """The limits of an upload: bytes of any part except the last, bytes of the object, number of parts."""

    min_part_size: int
    max_object_size: int
    max_parts: int


class Plan(NamedTuple):
    """The object that a completion makes. etag: without quotes.

    checksum: None if the parts lack the checksums for it.
    """

    parts: Sequence[Part]
    size: int
    etag: str
    checksum: Checksum | None

    def rows(self, container: str) -> list[dict[str, object]]:
        """Return the rows of the manifest. container: that of the parts."""
        algorithm = self.checksum.algorithm if self.checksum is not None else ""
        return [
            {
                "name": f"/{container}/{part.name}",
                "hash": part.etag,
                "bytes": part.size,
                **({"checksum": _checksum_of(part, algorithm)} if algorithm else {}),
            }
            for part in self.parts
        ]


def _checksum_of(part: Part, algorithm: str) -> dict[str, str]:
    checksum = {"algorithm": algorithm, "value": part.checksums[algorithm]}
    if algorithm in checksums.RARE and checksums.COMPANION in part.checksums:
        checksum["companion"] = part.checksums[checksums.COMPANION]
    return checksum


def read(document: bytes, max_parts: int) -> list[RequestedPart]:
    """Return the parts that a CompleteMultipartUpload document lists. max_parts: the greatest valid number.

    Raises S3Error MalformedXML, InvalidArgument, InvalidPartOrder.
    """
    root = xml.parse(document, "CompleteMultipartUpload")
    requested = [_requested_part(element, max_parts) for element in root.iterchildren("Part")]
    if not requested or len(requested) != len(root):
        raise S3Error("MalformedXML")
    for previous, part in pairwise(requested):
        if part.number <= previous.number:
            raise S3Error("InvalidPartOrder")
    return requested


def _requested_part(element: Any, max_parts: int) -> RequestedPart:
    number, etag = xml.text(element, "PartNumber"), xml.text(element, "ETag")
    if not (number.isascii() and number.isdigit() and len(number) < 10) or element.find("ETag") is None:
        raise S3Error("MalformedXML")
    if not 1 <= int(number) <= max_parts:
        raise S3Error(
            "InvalidArgument",
            f"PartNumber must be an integer between 1 and {max_parts}, inclusive",
            {"ArgumentName": "PartNumber", "ArgumentValue": number},
        )
    values = {name: xml.text(element, f"Checksum{name}") for name in sorted(checksums.ALGORITHMS)}
    part_checksums = {name: value for name, value in values.items() if value}
    if len(part_checksums) > 1 or any(not checksums.is_valid(name, value) for name, value in part_checksums.items()):
        raise S3Error(
            "InvalidArgument",
            "Invalid Base64 or multiple checksums present in request",
            {
                "ArgumentName": "Checksum",
                "ArgumentValue": "".join(f"{name}:{value};" for name, value in part_checksums.items()),
            },
        )
    return RequestedPart(int(number), etag.strip('"'), part_checksums)


def makes(requested: Sequence[RequestedPart], etag: str) -> bool:
    """Return whether these parts make up the object with this entity tag."""
    parts = [part.etag for part in requested]
    return all(_MD5.match(part) for part in parts) and sums.etag(parts) == etag


def make(
    requested: Sequence[RequestedPart],
    attempts: Mapping[int, Part],
    upload: MultipartUpload,
    headers: Mapping[str, str],
    rules: Rules,
) -> Plan:
    """Return the plan of the object. attempts: those that count, by number. headers: of the request.

    Raises S3Error InvalidPart, EntityTooSmall, EntityTooLarge, InvalidRequest, BadDigest.
    """
    _check_type(upload, headers)
    expected = _declared(upload, headers)
    if upload.algorithm and upload.type == COMPOSITE:
        _check_composite(requested, upload, expected)
    parts = [_chosen(part, attempts.get(part.number), upload) for part in requested]
    for part in parts[:-1]:
        if part.size < rules.min_part_size:
            raise S3Error(
                "EntityTooSmall",
                "",
                {
                    "ProposedSize": str(part.size),
                    "MinSizeAllowed": str(rules.min_part_size),
                    "PartNumber": str(part.number),
                    "ETag": part.etag,
                },
            )
    size = sum(part.size for part in parts)
    if size > rules.max_object_size:
        raise S3Error("EntityTooLarge", "", {"ProposedSize": str(size), "MaxSizeAllowed": str(rules.max_object_size)})
    _check_size(size, headers)
    checksum = _checksum(parts, upload)
    if expected and checksum is not None and upload.type != COMPOSITE and expected != checksum.value:
        raise _bad_digest(checksum.algorithm)
    return Plan(parts, size, sums.etag([part.etag for part in parts]), checksum)


def _check_type(upload: MultipartUpload, headers: Mapping[str, str]) -> None:
    requested = headers.get(_TYPE)
    if requested is not None and requested.upper() != upload.type:
        raise S3Error(
            "InvalidRequest",
            f"The upload was created using the {upload.type} checksum mode. The complete request must use the same "
            "checksum mode.",
        )


def _declared(upload: MultipartUpload, headers: Mapping[str, str]) -> str:
    """Return the checksum of the whole object in the request, of the upload's algorithm; '' for none."""
    algorithm = upload.algorithm or checksums.DEFAULT
    header = checksums.header_of(algorithm)
    value = headers.get(header, "")
    if not value:
        return ""
    plain, dash, count = value.partition("-")
    if (dash and not (count.isascii() and count.isdigit())) or not checksums.is_valid(algorithm, plain):
        raise S3Error("InvalidRequest", f"Value for {header.lower()} header is invalid.")
    return value


def _check_composite(requested: Sequence[RequestedPart], upload: MultipartUpload, expected: str) -> None:
    """Check that a request has the checksum of each part, and that `expected`, if not '', is their composite."""
    name = upload.algorithm
    for part in requested:
        if not part.checksums:
            raise S3Error(
                "InvalidRequest",
                f"The upload was created using a {name.lower()} checksum. The complete request must include the "
                f"checksum for each part. It was missing for part {part.number} in the request.",
            )
        other = next(iter(part.checksums))
        if other != name:
            raise S3Error(
                "BadDigest",
                f"The {other.lower()} you specified for part {part.number} did not match what we received.",
            )
    if expected:
        value = sums.composite(name, [part.checksums[name] for part in requested]).value
        if expected not in (value, value.partition("-")[0]):
            raise _bad_digest(name)


def _chosen(requested: RequestedPart, part: Part | None, upload: MultipartUpload) -> Part:
    if part is None or part.etag != requested.etag or not requested.checksums.items() <= part.checksums.items():
        raise S3Error(
            "InvalidPart", "", {"UploadId": upload.id, "PartNumber": str(requested.number), "ETag": requested.etag}
        )
    return part


def _check_size(size: int, headers: Mapping[str, str]) -> None:
    text = headers.get(_SIZE)
    if text is None:
        return
    if not (text.isascii() and text.isdigit()):
        raise S3Error("InvalidRequest", f"Value for {_SIZE.lower()} header is invalid.")
    if int(text[:20]) != size:
        raise S3Error("InvalidRequest", f"The provided '{_SIZE.lower()}' header does not match what was computed")


def _checksum(parts: Sequence[Part], upload: MultipartUpload) -> Checksum | None:
    algorithm = upload.algorithm or checksums.DEFAULT
    if any(algorithm not in part.checksums for part in parts):
        return None
    if upload.type == COMPOSITE:
        return sums.composite(algorithm, [part.checksums[algorithm] for part in parts])
    return sums.full(algorithm, [(part.checksums[algorithm], part.size) for part in parts])


def _bad_digest(algorithm: str) -> S3Error:
    return S3Error("BadDigest", f"The {algorithm.lower()} you specified did not match the calculated checksum.")
