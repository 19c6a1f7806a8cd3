"""Every decoder of what others send, given what no one should: only the errors of our tree may come out.

Bodies in S3's chunks are in `test_s3_body.py`, heads and chunks of HTTP in `test_http_fuzz.py`.
"""

from __future__ import annotations

import base64
import io
import json
import time
from array import array
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from harness.fuzz import Damage, hold, tries
from harness.identities import identity

from objstore.access import acl, policy, swift_acls
from objstore.access.identity import Credential
from objstore.auth import hashing
from objstore.core import expiry_queue
from objstore.core.errors import MALFORMED, ObjstoreError
from objstore.core.metadata import check_sendable
from objstore.core.timestamps import Timestamp
from objstore.http.request_head import HeadLimits, parse_head
from objstore.layers.versions import names as versions
from objstore.replication import databases, objects_messages
from objstore.ring.ring_file import RING, RingContents, decode_ring, encode_ring
from objstore.ring.sealed import seal
from objstore.s3.buckets import cors
from objstore.s3.data import object_headers
from objstore.s3.language import acl_xml, dates, tags, xml
from objstore.s3.language.errors import S3Error
from objstore.s3.multipart import plan
from objstore.s3.operations.lists import listing
from objstore.s3.operations.object import delete_many
from objstore.s3.operations.objects import CopySource
from objstore.s3.operations.uploads import part_copy as upload_part_copy
from objstore.s3.request import addressing, incoming, post_policy
from objstore.s3.request.acl_headers import Owners, from_headers
from objstore.s3.request.form import Form, boundary_of
from objstore.s3.request.signature import Checker, SignatureRules
from objstore.s3.request.signature.times import Window
from objstore.store.change import Change
from objstore.store.databases import account_db, container_db
from objstore.store.databases import metadata as database_metadata
from objstore.store.objects import format
from objstore.web import conditions, constraints, listings, ranges, requests, segments
from objstore.wire import messages, named_rows

OURS = (ObjstoreError, S3Error)
NOW = 1369353600.0
OWNER = Credential(identity("AUTH_a", "b", True), "secret")


class Keys:
    def find(self, access_key: str) -> Credential | None:
        return OWNER if access_key == "KEY" else None

    def has_account(self, account: str) -> bool:
        return True


CHECKER = Checker(Keys(), SignatureRules(("us-east-1",), Window(skew=900, life=604800)), lambda: NOW)


class Decoder(NamedTuple):
    """form: what is decoded: `text`, `native` text as in WSGI, or `bytes`. expected: errors besides ours."""

    form: str
    decode: Callable[[Any], object]
    samples: tuple[str, ...]
    expected: tuple[type[Exception], ...] = ()


def known(_: str) -> bool:
    return True


def signed(lines: str) -> object:
    """A request to S3 as text, its head without the body: read, located, and its signature checked."""
    head = lines.encode("latin-1")
    environ: dict[str, Any] = {"QUERY_STRING": "", "wsgi.input": io.BytesIO()}
    parse_head(head, HeadLimits(), environ)
    sent = incoming.read(environ)
    address = addressing.locate(sent.path, sent.headers.get("Host", ""), ("s3.example.com",))
    proof = CHECKER.check(sent, address.bucket if address.by_host else "")
    return proof.headers


def request(target: str, *lines: str) -> str:
    return "\r\n".join([f"GET {target} HTTP/1.1", "Host: b.s3.example.com", *lines, "", ""])


V4 = "AWS4-HMAC-SHA256 Credential=KEY/20130524/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-date, Signature=abc"
V4_QUERY = (
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=KEY%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
    "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=abc&x-amz-meta-a=b"
)


def queried(text: str) -> object:
    return list(incoming.split_query(text)[1].items())


def located(path: str) -> object:
    return addressing.locate(path, "b.s3.example.com", ("s3.example.com",))


def granted(text: str) -> object:
    return from_headers({"X-Amz-Grant-Read": text}, Owners("a", "a"), known)


def form(body: bytes) -> object:
    one = Form(io.BytesIO(body), boundary_of('multipart/form-data; boundary="x"'))
    one.read_fields()
    return list(iter(lambda: one.read_chunk(100), b""))


def json_policy(body: bytes) -> object:
    encoded = base64.b64encode(body).decode()
    parsed = post_policy.parse(encoded)
    return post_policy.check(parsed, {"bucket": "b", "key": "k"}, NOW)


def frames(body: bytes) -> object:
    reader = objects_messages.FrameReader([body[:7], body[7:]])
    found = []
    while (frame := reader.head()) is not None:
        found.append((frame, b"".join(bytes(piece) for piece in reader.pieces(frame.length))))
    return found


def ring(text: str) -> RingContents:
    """A ring file whose header is damaged, and its seal good."""
    rows = {"replica.0": memoryview(array("H", [0] * 4))}
    moves = {f"move.{name}": memoryview(array("I", [])) for name in ("partition", "device", "time")}
    return decode_ring(seal(RING, 1, json.loads(text), rows | moves), "x.ring")


def row_of(table: Any) -> Callable[[bytes], object]:
    return lambda body: [table.decode(line).normal() for line in json.loads(body)]


POLICY = json.dumps(
    {
        "Version": "2012-10-17",
        "Id": "a",
        "Statement": [
            {
                "Sid": "x",
                "Effect": "Allow",
                "Principal": {"AWS": ["arn:aws:iam::a:user/b", "*"]},
                "Action": ["s3:GetObject", "s3:Put*"],
                "Resource": "arn:aws:s3:::b/*",
                "Condition": {"NumericLessThan": {"s3:max-keys": 10}, "IpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
            }
        ],
    }
)
POST_POLICY = json.dumps(
    {
        "expiration": "2030-01-01T00:00:00Z",
        "conditions": [{"bucket": "b"}, ["starts-with", "$key", ""], ["content-length-range", 0, "10"]],
    }
)


def field(name: str, value: str) -> str:
    return f"--x\r\nContent-Disposition: form-data; {name}\r\n\r\n{value}\r\n"


FORM = (
    field('name="key"', "a/${filename}") + field('name="x-amz-meta-a"', "b") + field('name="file"; filename="f"', "123")
)
HASH = "0123456789abcdef" * 2
TAGS = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"
CORS = (
    "<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod><AllowedHeader>x-*"
    "</AllowedHeader><ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>10</MaxAgeSeconds></CORSRule></CORSConfiguration>"
)
ACL = (
    '<AccessControlPolicy><Owner><ID>a</ID></Owner><AccessControlList><Grant><Grantee xmlns:xsi="'
    'http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"><ID>a</ID></Grantee><Permission>READ'
    "</Permission></Grant></AccessControlList></AccessControlPolicy>"
)
DELETION = (
    "<Delete><Quiet>true</Quiet><Object><Key>k</Key><VersionId>v</VersionId><ETag>e</ETag><Size>1</Size></Object>"
    "</Delete>"
)
COMPLETION = (
    "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>e</ETag><ChecksumCRC32>AAAAAA==</ChecksumCRC32>"
    "</Part></CompleteMultipartUpload>"
)
V4_LINES = ("X-Amz-Date: 20130524T000000Z", f"Authorization: {V4}", "x-amz-content-sha256: UNSIGNED-PAYLOAD")
V2_LINES = ("Date: Fri, 24 May 2013 00:00:00 GMT", "Authorization: AWS KEY:abc=")
V2_QUERY = "AWSAccessKeyId=KEY&Expires=1369353660&Signature=abc&versionId=x"
RING_HEADER = json.dumps(
    {
        "part_power": 2,
        "replicas": 1.0,
        "builder_version": 3,
        "devices": [[1, 1, "127.0.0.1", 1, "d", "127.0.0.1", 1, 1.0, ""], None],
    }
)
AT = "1500000000.00001"
OBJECT_ROW = json.dumps([[0, 0, "a", AT, 3, "t", "e", None, AT, 0]])
CONTAINER_ROW = json.dumps([[0, "a", AT, "0000000000.00000", 3, 4, 0, AT]])
RECORD = format.encode_record({"name": "/a/c/o"}).decode()
FRAME = objects_messages.Frame(HASH, Change.parse("1500000000.00001.data"), 3)  # type: ignore[arg-type]
TRAILER = format.encode_trailer(3, array("I", [1]))


def metadata(text: str) -> None:
    check_sendable(object_headers.stored_headers({"X-Amz-Meta-A": text, "Content-Type": text, "Expires": text}))


def named(text: str) -> None:
    check_sendable(object_headers.stored_headers({f"X-Amz-Meta-{text}": "a"}))


def judged(text: str) -> object:
    asked = dict.fromkeys(conditions.CONDITIONAL_HEADERS, text)
    return conditions.evaluate("GET", asked, "a", Timestamp(10)), conditions.range_applies(text, "a", Timestamp(10))


S3: dict[str, Decoder] = {
    "query": Decoder("native", queried, ("a=b&c&d=%20+%C3%A9",)),
    "address": Decoder("native", located, ("/b/k", "/b/a%2Fb+c?x")),
    "signature 4": Decoder("native", signed, (request("/k?acl", *V4_LINES), request(f"/k?{V4_QUERY}"))),
    "signature 2": Decoder("native", signed, (request("/k?acl", *V2_LINES), request(f"/k?{V2_QUERY}"))),
    "tags": Decoder("text", lambda text: tags.dump(tags.from_header(text)), ("a=b&c=%20d", "k=é")),
    "tags in XML": Decoder("bytes", lambda body: tags.from_xml(xml.parse(body, "Tagging")), (TAGS,)),
    "cors": Decoder("bytes", lambda body: cors.dump(cors.from_xml(xml.parse(body, "CORSConfiguration"))), (CORS,)),
    "acl in XML": Decoder("bytes", lambda body: acl.dump(acl_xml.from_xml(body, "a", known), ""), (ACL,)),
    "acl in headers": Decoder("text", granted, ('id="a", uri="http://acs.amazonaws.com/groups/global/AllUsers"',)),
    "deletion": Decoder("bytes", lambda body: delete_many.read(body, 10), (DELETION,)),
    "completion": Decoder("bytes", lambda body: plan.read(body, 10_000), (COMPLETION,)),
    "policy": Decoder("bytes", lambda body: policy.parse(body.decode(), "b"), (POLICY,), (UnicodeDecodeError,)),
    "policy of a form": Decoder("bytes", json_policy, (POST_POLICY,)),
    "policy of a form, encoded": Decoder("text", post_policy.parse, (base64.b64encode(POST_POLICY.encode()).decode(),)),
    "form": Decoder("bytes", form, (f"{FORM}--x--\r\n",)),
    "boundary": Decoder("text", boundary_of, ('multipart/form-data; boundary="x"', "multipart/form-data;boundary=x")),
    "encoded word": Decoder("text", object_headers.decoded, ("=?UTF-8?B?Z3LDvG4=?= =?iso-8859-1?q?=FC?=",)),
    "metadata": Decoder("text", metadata, ("plain", "=?UTF-8?B?Z3LDvG4=?=", "grün")),
    "metadata's name": Decoder("text", named, ("a", "a-b_c.d%")),
    "copy source": Decoder("text", CopySource, ("/b/k?versionId=v", "b/a%20b")),
    "copy range": Decoder("text", upload_part_copy._requested_range, ("bytes=0-9",)),
    "token of a listing": Decoder("text", listing.read_token, (listing.token("abc"), listing.token("é"))),
    "max-keys": Decoder("text", lambda text: listing.max_entries({"max-keys": text}, "max-keys", 1000), ("10",)),
    "HTTP date": Decoder("text", dates.parse_http, ("Fri, 24 May 2013 00:00:00 GMT",)),
    "ISO date": Decoder("text", dates.parse_iso, ("2024-05-06T07:08:09.000Z",)),
    "basic date": Decoder("text", dates.parse_iso_basic, ("20240506T070809Z",)),
    "version id": Decoder("text", versions.parse_id, ("dAKNTe1IvuAAAAACSWrtx", "null")),
}

SWIFT: dict[str, Decoder] = {
    "query": Decoder("native", lambda text: requests.query({"QUERY_STRING": text}), ("a=b&c&d=%20+%C3%A9",)),
    "path": Decoder("native", requests.api_name, ("/v1/AUTH_a/c/o/p", "/v1/AUTH_a/")),
    "range": Decoder("text", lambda text: ranges.resolve(ranges.parse(text) or (), 100), ("bytes=0-9,20-,-5",)),
    "conditions": Decoder("text", judged, ('"a", W/"b", *', "Fri, 24 May 2013 00:00:00 GMT")),
    "container ACL": Decoder(
        "text", lambda text: swift_acls.parse(swift_acls.clean("X-Container-Read", text)), (".r:*,a:b,.r:-x.y",)
    ),
    "referrer": Decoder(
        "text", lambda text: swift_acls.referrer_allowed(text, swift_acls.parse(".r:.a.b")), ("http://[::1]:80/a",)
    ),
    "account ACL": Decoder("text", swift_acls.clean_account_acl, ('{"read-only": ["a:b"], "admin": ["c"]}',)),
    "accept": Decoder("text", lambda text: listings.negotiated("", text), ("text/*;q=0.5, application/json;q=1",)),
    "expiry": Decoder("text", lambda text: constraints.delete_at({"X-Delete-At": text}, NOW), ("1999999999",)),
    "life": Decoder("text", lambda text: constraints.delete_at({"X-Delete-After": text}, NOW), ("60",)),
    "limit": Decoder("text", lambda text: constraints.check_listing_limit({"limit": text}, 10), ("10",)),
    "length": Decoder("native", lambda text: requests.content_length({"CONTENT_LENGTH": text}), ("10",)),
    "timestamp": Decoder("text", Timestamp.parse, ("1500000000.00001_00000000000000ff",)),
    "hashed password": Decoder("text", hashing.check, (hashing.hashed("x"),), (ValueError,)),
}

INSIDE: dict[str, Decoder] = {
    "path": Decoder("text", messages.parse_path, ("/d1/7/AUTH_a/c/o", "/d1/7/AUTH_a")),
    "path of a share": Decoder("text", messages.parse_share_path, (f"/d1/7/{HASH}", "/d1/7", "/d1")),
    "update target": Decoder("text", messages.UpdateTarget.decode, ('["/a/c",7,[[0,"10.0.0.1",6201,"d1"]]]',)),
    "names": Decoder("bytes", named_rows.decode_names, ('["a","b"]',)),
    "named rows": Decoder("bytes", named_rows.decode_rows, ('[["a","1500000000.00001",false,0]]',)),
    "receipt": Decoder("bytes", objects_messages.Receipt.decode, ('{"frames":2,"refused":{"1":"why"}}',)),
    "changes": Decoder("bytes", objects_messages.decode_changes, (f'{{"{HASH}":["1500000000.00001.data"]}}',)),
    "suffix hashes": Decoder("bytes", objects_messages.decode_hashes, ('{"abc":"def"}',)),
    "partition hashes": Decoder("bytes", objects_messages.decode_partitions, ('{"7":"def"}',)),
    "partitions": Decoder("bytes", objects_messages.decode_numbers, ("[1,2,3]",)),
    "frames": Decoder("bytes", frames, (objects_messages.encode_head(FRAME).decode("latin-1") + "abc",)),
    "comparison": Decoder("bytes", databases.decode_comparison, (f'[["{HASH}","id",1,"x","y"]]',)),
    "differences": Decoder("bytes", databases.decode_differences, (f'[["{HASH}","id",1,true,false]]',)),
    "rows": Decoder("bytes", databases.decode_rows, ('{"from":"a","to":"b","after":1,"last":2,"rows":[[1]]}',)),
    "status": Decoder("bytes", databases.decode_status, ('["/a/c","1.0","1.0","0","1.0",0,{"k":["v","1.0"]}]',)),
    "sync point": Decoder("bytes", databases.decode_point, ('{"point":3}',)),
    "object rows": Decoder("bytes", row_of(container_db.OBJECTS), (OBJECT_ROW,), MALFORMED),
    "container rows": Decoder("bytes", row_of(account_db.CONTAINERS), (CONTAINER_ROW,), MALFORMED),
    "metadata": Decoder("text", database_metadata.load, ('{"k": ["v", "1500000000.00001"]}',), MALFORMED),
    "expiry row": Decoder("text", expiry_queue.parse_row, ("1500000000-a/c/o",)),
    "segments": Decoder("bytes", segments.parse, ('[{"name":"/c/o","hash":"e","bytes":10,"range":"0-4"}]',)),
    "ring's header": Decoder("text", ring, (RING_HEADER,), MALFORMED),
    "ring": Decoder("bytes", lambda body: decode_ring(body, "x"), ("OBJSRING",)),
    "change": Decoder("text", Change.parse, ("1500000000.00001_ff.data", "1500000000.00001.ts")),
    "object's record": Decoder("bytes", format.decode_record, (RECORD,), (format.Unsound,)),
    "object's trailer": Decoder("bytes", format.decode_trailer, (TRAILER.decode("latin-1"),), (format.Unsound,)),
}
AREAS = {"S3": S3, "SWIFT": SWIFT, "INSIDE": INSIDE}


@pytest.mark.parametrize(("area", "name"), [(area, name) for area, table in AREAS.items() for name in table])
def test_only_expected_errors_come_of_damaged_input(area: str, name: str) -> None:
    form, decode, samples, expected = AREAS[area][name]
    damage = Damage(f"{area} {name}")
    spoil: Callable[[Any], Any] = {"text": damage.text, "native": damage.native, "bytes": damage.bytes}[form]
    slowest = 0.0
    for _ in tries():
        given = spoil(samples)
        began = time.process_time()
        hold(decode, given, (*OURS, *expected))
        slowest = max(slowest, time.process_time() - began)
    assert slowest < 2.0, "an input of a few kilobytes took seconds"


def test_good_input_is_taken() -> None:
    """Else the damage would be done to what is refused in any case."""
    assert encode_ring(ring(RING_HEADER))
    for table in AREAS.values():
        for name, (form, decode, samples, _) in table.items():
            if name not in ("signature 4", "signature 2", "ring", "policy of a form"):
                coding = "latin-1" if name in ("frames", "object's trailer") else "utf-8"
                for sample in samples:
                    decode(sample.encode(coding) if form == "bytes" else sample)
