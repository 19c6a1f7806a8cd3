"""What a request for completion asks for, held against the parts there are. Pure; raises S3's errors."""

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
from objstore.s3.multipart.uploads import COMPOSITE, Upload

_MD5 = re.compile(r"[0-9a-f]{32}\Z")
_SIZE = "X-Amz-Mp-Object-Size"
_TYPE = "X-Amz-Checksum-Type"


class Asked(NamedTuple):
    """A part of the request. etag: without quotes. checksums: by algorithm, base64, as sent."""

    number: int
    etag: str
    checksums: Mapping[str, str]


class Rules(NamedTuple):
    """smallest: bytes of any part but the last. largest: of the object. parts: most of them."""

    smallest: int
    largest: int
    parts: int


class Plan(NamedTuple):
    """The object to be. etag: without quotes. checksum: None where the parts have none that make one."""

    parts: Sequence[Part]
    size: int
    etag: str
    checksum: Checksum | None

    def rows(self, container: str) -> list[dict[str, object]]:
        """The manifest's list. container: where the parts are."""
        algorithm = self.checksum.algorithm if self.checksum is not None else ""
        return [
            {
                "name": f"/{container}/{part.name}",
                "hash": part.etag,
                "bytes": part.size,
                **({"checksum": {"algorithm": algorithm, "value": part.checksums[algorithm]}} if algorithm else {}),
            }
            for part in self.parts
        ]


def read(document: bytes, most: int) -> list[Asked]:
    """The parts that a CompleteMultipartUpload document lists. Raises S3Error MalformedXML, InvalidArgument,
    InvalidPartOrder."""
    root = xml.parse(document, "CompleteMultipartUpload")
    asked = [_asked(element, most) for element in root.iterchildren("Part")]
    if not asked or len(asked) != len(root):
        raise S3Error("MalformedXML")
    for before, part in pairwise(asked):
        if part.number <= before.number:
            raise S3Error("InvalidPartOrder")
    return asked


def _asked(element: Any, most: int) -> Asked:
    number, etag = xml.text(element, "PartNumber"), xml.text(element, "ETag")
    if not (number.isascii() and number.isdigit() and len(number) < 10) or element.find("ETag") is None:
        raise S3Error("MalformedXML")
    if not 1 <= int(number) <= most:
        raise S3Error(
            "InvalidArgument",
            f"PartNumber must be an integer between 1 and {most}, inclusive",
            {"ArgumentName": "PartNumber", "ArgumentValue": number},
        )
    found = {name: xml.text(element, f"Checksum{name}") for name in sorted(checksums.ALGORITHMS)}
    sent = {name: value for name, value in found.items() if value}
    if len(sent) > 1 or any(not checksums.is_valid(name, value) for name, value in sent.items()):
        raise S3Error(
            "InvalidArgument",
            "Invalid Base64 or multiple checksums present in request",
            {
                "ArgumentName": "Checksum",
                "ArgumentValue": "".join(f"{name}:{value};" for name, value in sent.items()),
            },
        )
    return Asked(int(number), etag.strip('"'), sent)


def makes(asked: Sequence[Asked], etag: str) -> bool:
    """Do these parts make up the object with this entity tag?"""
    parts = [part.etag for part in asked]
    return all(_MD5.match(part) for part in parts) and sums.etag(parts) == etag


def make(
    asked: Sequence[Asked], found: Mapping[int, Part], upload: Upload, headers: Mapping[str, str], rules: Rules
) -> Plan:
    """The object that the parts make. found: the attempts that count, by number. headers: of the request.

    Raises S3Error InvalidPart, EntityTooSmall, EntityTooLarge, InvalidRequest, BadDigest.
    """
    _check_type(upload, headers)
    expected = _declared(upload, headers)
    if upload.algorithm and upload.type == COMPOSITE:
        _check_composite(asked, upload, expected)
    parts = [_chosen(part, found.get(part.number), upload) for part in asked]
    for part in parts[:-1]:
        if part.size < rules.smallest:
            raise S3Error(
                "EntityTooSmall",
                "",
                {
                    "ProposedSize": str(part.size),
                    "MinSizeAllowed": str(rules.smallest),
                    "PartNumber": str(part.number),
                    "ETag": part.etag,
                },
            )
    size = sum(part.size for part in parts)
    if size > rules.largest:
        raise S3Error("EntityTooLarge", "", {"ProposedSize": str(size), "MaxSizeAllowed": str(rules.largest)})
    _check_size(size, headers)
    checksum = _checksum(parts, upload)
    if expected and checksum is not None and upload.type != COMPOSITE and expected != checksum.value:
        raise _bad_digest(checksum.algorithm)
    return Plan(parts, size, sums.etag([part.etag for part in parts]), checksum)


def _check_type(upload: Upload, headers: Mapping[str, str]) -> None:
    asked = headers.get(_TYPE)
    if asked is not None and asked.upper() != upload.type:
        raise S3Error(
            "InvalidRequest",
            f"The upload was created using the {upload.type} checksum mode. The complete request must use the same "
            "checksum mode.",
        )


def _declared(upload: Upload, headers: Mapping[str, str]) -> str:
    """The checksum of the whole that the request says, '' for none; of an algorithm that is not the upload's too."""
    algorithm = upload.algorithm or checksums.DEFAULT
    header = checksums.header_of(algorithm)
    value = headers.get(header, "")
    if not value:
        return ""
    plain, dash, count = value.partition("-")
    if (dash and not (count.isascii() and count.isdigit())) or not checksums.is_valid(algorithm, plain):
        raise S3Error("InvalidRequest", f"Value for {header.lower()} header is invalid.")
    return value


def _check_composite(asked: Sequence[Asked], upload: Upload, expected: str) -> None:
    """The checksums of a request must be there for each part and, where it says one of the whole, make that up."""
    name = upload.algorithm
    for part in asked:
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
        value = sums.composite(name, [part.checksums[name] for part in asked]).value
        if expected not in (value, value.partition("-")[0]):
            raise _bad_digest(name)


def _chosen(asked: Asked, part: Part | None, upload: Upload) -> Part:
    if part is None or part.etag != asked.etag or not asked.checksums.items() <= part.checksums.items():
        raise S3Error("InvalidPart", "", {"UploadId": upload.id, "PartNumber": str(asked.number), "ETag": asked.etag})
    return part


def _check_size(size: int, headers: Mapping[str, str]) -> None:
    said = headers.get(_SIZE)
    if said is None:
        return
    if not (said.isascii() and said.isdigit()):
        raise S3Error("InvalidRequest", f"Value for {_SIZE.lower()} header is invalid.")
    if int(said[:20]) != size:
        raise S3Error("InvalidRequest", f"The provided '{_SIZE.lower()}' header does not match what was computed")


def _checksum(parts: Sequence[Part], upload: Upload) -> Checksum | None:
    algorithm = upload.algorithm or checksums.DEFAULT
    if any(algorithm not in part.checksums for part in parts):
        return None
    if upload.type == COMPOSITE:
        return sums.composite(algorithm, [part.checksums[algorithm] for part in parts])
    return sums.full(algorithm, [(part.checksums[algorithm], part.size) for part in parts])


def _bad_digest(algorithm: str) -> S3Error:
    return S3Error("BadDigest", f"The {algorithm.lower()} you specified did not match the calculated checksum.")
