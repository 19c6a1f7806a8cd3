"""Doors that a check left open because it read a request in another way than what was done by it."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from botocore.exceptions import ClientError
from harness.client import Answer, Client
from harness.layouts import ONE_DEVICE
from harness.s3 import S3, code_of

pytestmark = ONE_DEVICE
BOUNDARY = "9431149156168"
PUBLIC = (
    b'<AccessControlPolicy xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><Owner><ID>%s</ID></Owner>'
    b'<AccessControlList><Grant><Grantee xsi:type="Group"><URI>http://acs.amazonaws.com/groups/global/AllUsers</URI>'
    b"</Grantee><Permission>READ</Permission></Grant></AccessControlList></AccessControlPolicy>"
)
ALL_BLOCKS = {
    "BlockPublicAcls": True, "IgnorePublicAcls": True, "BlockPublicPolicy": True, "RestrictPublicBuckets": True,
}  # fmt: skip


def deny(bucket: str, *actions: str, **fields: Any) -> str:
    statement = {
        "Effect": "Deny", "Principal": "*", "Action": list(actions),
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"], **fields,
    }  # fmt: skip
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def refused(call: Callable[..., Any], **arguments: Any) -> bool:
    try:
        call(**arguments)
    except ClientError as failure:
        assert failure.response["Error"]["Code"] == "AccessDenied", failure
        return True
    return False


@pytest.fixture
def filled(s3: Any, bucket: str) -> str:
    s3.put_object(Bucket=bucket, Key="key", Body=b"hello", Tagging="team=blue")
    return bucket


def url_of_version_2(raw: S3, method: str, path: str, end: int | None = None) -> str:
    end = int(time.time()) + 600 if end is None else end
    digest = hmac.digest(raw.signer.secret_key.encode(), f"{method}\n\n\n{end}\n{path}".encode(), "sha1")
    signature = quote(base64.b64encode(digest), safe="")
    return f"{path}?AWSAccessKeyId={raw.signer.access_key}&Expires={end}&Signature={signature}"


@pytest.mark.parametrize(
    "added", ["acl", "%61cl", "%61cl=", "tagg%69ng", "x-amz-acl=public-read", "X-Amz-%41cl=private"]
)
def test_a_url_of_version_2_for_an_upload_does_nothing_else(raw: S3, owner: Client, filled: str, added: str) -> None:
    url = url_of_version_2(raw, "PUT", f"/{filled}/key")
    answer = raw.send("PUT", f"{url}&{added}", {}, PUBLIC % owner.account.encode())
    assert code_of(answer) == (403, "SignatureDoesNotMatch")
    assert raw.send("GET", f"/{filled}/key").status == 403
    assert raw.send("PUT", url, {}, b"x").status == 200


def test_a_url_of_version_2_does_not_live_for_ever(raw: S3, filled: str) -> None:
    end = int(time.time()) + 8 * 86400
    assert code_of(raw.send("GET", url_of_version_2(raw, "GET", f"/{filled}/key", end))) == (403, "AccessDenied")


@pytest.mark.parametrize(
    "header",
    [
        "X-Remove-Container-Sysmeta-S3-Policy-0",
        "X-Container-Sysmeta-S3-Policy-0",
        "X_Remove_Container_Sysmeta_S3_Policy_0",
    ],
)
def test_a_policy_stays_whatever_a_container_is_sent(s3: Any, owner: Client, filled: str, header: str) -> None:
    s3.put_bucket_policy(Bucket=filled, Policy=deny(filled, "s3:GetObject"))
    owner.request("POST", filled, {header: ""})
    assert s3.get_bucket_policy(Bucket=filled)["Policy"]


@pytest.mark.parametrize("header", ["x-timestamp", "x-backend-storage-policy-index", "x-object-sysmeta-s3-etag"])
def test_a_signed_header_of_ours_is_checked_and_then_ignored(raw: S3, filled: str, header: str) -> None:
    assert raw.put(f"/{filled}/signed", b"mine", {header: "1"}).status == 200
    found = raw.get(f"/{filled}/signed", {header: "1"})
    assert (found.status, found.body) == (200, b"mine")
    assert found["ETag"] != '"1"'


def form(raw: S3, target: str, bucket: str, fields: dict[str, str], file: bytes = b"bar") -> Answer:
    """A signed form; each field is a condition of its policy."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    fields = {
        "key": "posted", **fields, "x-amz-algorithm": "AWS4-HMAC-SHA256", "x-amz-date": stamp,
        "x-amz-credential": f"{raw.signer.access_key}/{raw.signer.scope(stamp[:8])}",
    }  # fmt: skip
    end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 100))
    conditions = [{"bucket": bucket}, *({name: value} for name, value in fields.items())]
    encoded = base64.b64encode(json.dumps({"expiration": end, "conditions": conditions}).encode()).decode()
    fields |= {"policy": encoded, "x-amz-signature": raw.signer.hex(stamp[:8], encoded)}
    body = b"".join(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    )
    body += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'.encode()
    body += file + f"\r\n--{BOUNDARY}--\r\n".encode()
    return raw.send("POST", target, {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}, body)


@pytest.mark.parametrize("query", ["delete", "%64elete", "acl", "uploads", "x=y", "versionId=null"])
def test_a_form_does_an_upload_and_nothing_else(raw: S3, filled: str, query: str) -> None:
    doomed = b"<Delete><Object><Key>key</Key></Object></Delete>"
    digest = base64.b64encode(hmac.new(b"", b"", "md5").digest()).decode()
    answer = form(raw, f"/{filled}?{query}", filled, {"content-md5": digest}, doomed)
    assert code_of(answer) == (400, "InvalidArgument")
    assert raw.get(f"/{filled}/key").body == b"hello"
    assert raw.get(f"/{filled}/posted").status == 404
    assert form(raw, f"/{filled}", filled, {}).status == 204
    assert raw.get(f"/{filled}/posted").body == b"bar"


def test_a_denial_of_acls_binds_the_headers_of_uploads(s3: Any, raw: S3, filled: str) -> None:
    s3.put_bucket_policy(Bucket=filled, Policy=deny(filled, "s3:PutObjectAcl"))
    where = {"Bucket": filled, "Key": "new"}
    for sent in ({"ACL": "public-read"}, {"GrantRead": 'uri="http://acs.amazonaws.com/groups/global/AllUsers"'}):
        assert refused(s3.put_object, **where, Body=b"", **sent)
        assert refused(s3.copy_object, **where, CopySource={"Bucket": filled, "Key": "key"}, **sent)
        assert refused(s3.create_multipart_upload, **where, **sent)
    assert code_of(form(raw, f"/{filled}", filled, {"acl": "public-read"})) == (403, "AccessDenied")
    assert not refused(s3.put_object, **where, Body=b"", Tagging="a=b")


def test_a_denial_of_tags_binds_the_headers_of_uploads(s3: Any, raw: S3, filled: str) -> None:
    s3.put_object(Bucket=filled, Key="bare", Body=b"")
    s3.put_bucket_policy(Bucket=filled, Policy=deny(filled, "s3:PutObjectTagging"))
    where = {"Bucket": filled, "Key": "new"}
    assert refused(s3.put_object, **where, Body=b"", Tagging="a=b")
    assert refused(s3.create_multipart_upload, **where, Tagging="a=b")
    source = {"Bucket": filled, "Key": "bare"}
    assert refused(s3.copy_object, **where, CopySource=source, Tagging="a=b", TaggingDirective="REPLACE")
    assert refused(s3.copy_object, **where, CopySource={"Bucket": filled, "Key": "key"})  # which has tags
    tags = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"
    assert code_of(form(raw, f"/{filled}", filled, {"tagging": tags})) == (403, "AccessDenied")
    assert not refused(s3.copy_object, **where, CopySource=source)
    assert not refused(s3.put_object, **where, Body=b"", ACL="private")


def test_tags_that_may_not_be_read_are_neither_copied_nor_counted(s3: Any, raw: S3, filled: str) -> None:
    assert raw.get(f"/{filled}/key")["x-amz-tagging-count"] == "1"
    s3.put_bucket_policy(Bucket=filled, Policy=deny(filled, "s3:GetObjectTagging"))
    assert refused(s3.copy_object, Bucket=filled, Key="new", CopySource={"Bucket": filled, "Key": "key"})
    replaced = {"Tagging": "a=b", "TaggingDirective": "REPLACE"}
    assert not refused(s3.copy_object, Bucket=filled, Key="n", CopySource={"Bucket": filled, "Key": "key"}, **replaced)
    found = raw.get(f"/{filled}/key")
    assert (found.status, found.get("x-amz-tagging-count")) == (200, None)


def test_attributes_of_what_may_not_be_read_are_not_told(s3: Any, filled: str) -> None:
    asked = {"Bucket": filled, "Key": "key", "ObjectAttributes": ["ETag", "Checksum"]}
    assert not refused(s3.get_object_attributes, **asked)
    s3.put_bucket_policy(Bucket=filled, Policy=deny(filled, "s3:GetObject"))
    assert refused(s3.get_object_attributes, **asked)


def test_the_source_of_a_copy_is_judged_in_any_spelling(s3: Any, raw: S3, filled: str) -> None:
    s3.put_object(Bucket=filled, Key="secret/x", Body=b"")
    condition = {"StringLike": {"s3:x-amz-copy-source": f"{filled}/secret/*"}}
    s3.put_bucket_policy(Bucket=filled, Policy=deny(filled, "s3:PutObject", Condition=condition))
    for source in (f"/{filled}/secret/x", f"{filled}/secret/x", f"/{filled}/%73ecret/x", f"{filled}%2Fsecret%2Fx"):
        assert code_of(raw.put(f"/{filled}/copy", b"", {"x-amz-copy-source": source})) == (403, "AccessDenied")
    assert raw.put(f"/{filled}/copy", b"", {"x-amz-copy-source": f"/{filled}/key"}).status == 200


@pytest.mark.parametrize("key", ["s3:TlsVersions", "aws:SourceAddress", "s3:x-amz-acls", "ec2:Region"])
def test_a_policy_on_an_unknown_key_is_refused(raw: S3, bucket: str, key: str) -> None:
    text = deny(bucket, "s3:GetObject", Condition={"StringEquals": {key: "x"}})
    assert code_of(raw.put(f"/{bucket}?policy", text.encode())) == (400, "MalformedPolicy")
    unknown = deny(bucket, "s3:GetObject", Condition={"StringAlike": {"s3:prefix": "x"}})
    assert code_of(raw.put(f"/{bucket}?policy", unknown.encode())) == (400, "MalformedPolicy")


def test_policies_see_how_a_request_is_signed(s3: Any, raw: S3, filled: str) -> None:
    condition = {"StringEquals": {"s3:authType": ["REST-QUERY-STRING", "POST"]}}
    s3.put_bucket_policy(Bucket=filled, Policy=deny(filled, "s3:GetObject", "s3:PutObject", Condition=condition))
    assert raw.get(f"/{filled}/key").status == 200
    assert raw.presigned("GET", f"/{filled}/key").status == 403
    assert raw.send("GET", url_of_version_2(raw, "GET", f"/{filled}/key")).status == 403
    assert form(raw, f"/{filled}", filled, {}).status == 403
    condition = {"StringEquals": {"s3:signatureversion": "AWS"}}
    s3.put_bucket_policy(Bucket=filled, Policy=deny(filled, "s3:GetObject", Condition=condition))
    assert raw.presigned("GET", f"/{filled}/key").status == 200
    assert raw.send("GET", url_of_version_2(raw, "GET", f"/{filled}/key")).status == 403
    condition = {"StringEquals": {"s3:x-amz-content-sha256": "UNSIGNED-PAYLOAD"}}
    s3.put_bucket_policy(Bucket=filled, Policy=deny(filled, "s3:PutObject", Condition=condition))
    assert raw.put(f"/{filled}/new", b"x").status == 200
    assert raw.presigned("PUT", f"/{filled}/new", b"x").status == 403
    assert form(raw, f"/{filled}", filled, {}).status == 403
    assert raw.request("PUT", f"/{filled}/new", {}, b"x", payload="UNSIGNED-PAYLOAD").status == 403


def test_creating_a_bucket_again_obeys_what_binds_its_acl(s3: Any, raw: S3, filled: str) -> None:
    s3.put_public_access_block(Bucket=filled, PublicAccessBlockConfiguration=ALL_BLOCKS)
    assert refused(s3.create_bucket, Bucket=filled, ACL="public-read")
    s3.delete_public_access_block(Bucket=filled)
    s3.put_bucket_policy(Bucket=filled, Policy=deny(filled, "s3:PutBucketAcl"))
    assert refused(s3.create_bucket, Bucket=filled, ACL="public-read")
    assert raw.send("GET", f"/{filled}").status == 403


def test_the_public_access_block_binds_swift(s3: Any, owner: Client, anonymous: Client, raw: S3, filled: str) -> None:
    """All four blocks were on, and X-Container-Read: .r:* let everyone read."""
    assert owner.request("POST", filled, {"X-Container-Read": ".r:*,.rlistings"}).status == 204
    assert anonymous.get(f"{filled}/key").body == b"hello"
    assert s3.get_bucket_policy_status(Bucket=filled)["PolicyStatus"]["IsPublic"]
    s3.put_public_access_block(Bucket=filled, PublicAccessBlockConfiguration=ALL_BLOCKS)
    assert not s3.get_bucket_policy_status(Bucket=filled)["PolicyStatus"]["IsPublic"]
    for path in (f"{filled}/key", filled):
        assert anonymous.get(path).status == 401
    assert raw.send("GET", f"/{filled}/key").status == 403
    assert owner.get(f"{filled}/key").status == 200
    assert owner.request("POST", filled, {"X-Container-Read": ".r:*"}).status == 403
    assert owner.request("POST", filled, {"X-Container-Read": "some:one"}).status == 204
    assert owner.request("POST", filled, {"X-Remove-Container-Read": "x"}).status == 204


def test_a_policy_binds_swift(s3: Any, owner: Client, anonymous: Client, filled: str) -> None:
    s3.put_bucket_policy(Bucket=filled, Policy=deny(filled, "s3:GetObject", "s3:DeleteObject"))
    assert owner.get(f"{filled}/key").status == owner.head(f"{filled}/key").status == 403
    assert owner.delete(f"{filled}/key").status == 403
    assert owner.request("COPY", f"{filled}/key", {"Destination": f"{filled}/copy"}).status == 403
    assert owner.request("PUT", f"{filled}/copy", {"X-Copy-From": f"{filled}/key", "Content-Length": "0"}).status == 403
    assert owner.request("POST", f"{filled}/key", {"X-Delete-After": "1"}).status == 403
    assert owner.get(filled).status == 200
    assert anonymous.get(f"{filled}/key").status == 401
    s3.delete_bucket_policy(Bucket=filled)
    assert owner.get(f"{filled}/key").body == b"hello"


def test_a_type_that_reads_like_a_mark_of_ours_is_the_clients(s3: Any, owner: Client, bucket: str) -> None:
    mark = "text/plain;s3_class=GLACIER"
    s3.put_object(Bucket=bucket, Key="s3", Body=b"", ContentType=mark)
    s3.put_object(Bucket=bucket, Key="cold", Body=b"", ContentType=mark, StorageClass="STANDARD_IA")
    owner.put(f"{bucket}/swift", b"", {"Content-Type": mark})
    listed = {one["Key"]: one["StorageClass"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]}
    assert listed == {"s3": "STANDARD", "swift": "STANDARD", "cold": "STANDARD_IA"}
    types = {one["content_type"] for one in owner.get(bucket, format="json").json}
    assert types == {mark}
    assert s3.head_object(Bucket=bucket, Key="s3")["ContentType"] == mark


def test_a_deletion_of_many_without_a_key_is_refused_before_its_body_is_read(s3: Any, raw: S3, filled: str) -> None:
    sent = {"Content-MD5": "1B2M2Y8AsgTpgAmY7PhCfg=="}
    assert code_of(raw.send("POST", f"/{filled}?delete", sent, b"")) == (403, "AccessDenied")
    s3.put_bucket_acl(Bucket=filled, ACL="public-read-write")
    assert code_of(raw.send("POST", f"/{filled}?delete", sent, b"")) == (400, "MissingRequestBodyError")


@pytest.mark.parametrize("names", ["host;x-\u20ac", "host;\xe4"])
def test_signed_headers_that_are_not_ascii_are_refused(raw: S3, filled: str, names: str) -> None:
    signed = raw.signer.headers("GET", f"/{filled}/key", {"Host": raw.host}, "UNSIGNED-PAYLOAD")
    authorization = signed["Authorization"].replace("SignedHeaders=host", f"SignedHeaders={names}")
    sent = {**signed, "Authorization": authorization.encode().decode("latin-1")}
    assert raw.send("GET", f"/{filled}/key", sent).status == 400
    target = raw.signer.presign("GET", f"/{filled}/key", raw.host)
    assert raw.send("GET", target.replace("SignedHeaders=host", f"SignedHeaders={quote(names)}")).status == 400


# Internal headers, and paths that are the system's own, by every way that a client has.
HIDDEN = ["/v1/.buckets", "/v1/.buckets/00", "/v1/.expiring_objects", "/v1/%2Ebuckets/00", "/v1/AUTH_%00", "/v1/."]


@pytest.mark.parametrize("path", HIDDEN)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST", "DELETE"])
def test_accounts_of_the_system_are_closed(owner: Client, path: str, method: str) -> None:
    """The first user administers all accounts; not these."""
    sent = {"X-Auth-Token": owner.token or "", "Content-Length": "0", "X-Backend-Allow-Reserved-Names": "true"}
    assert owner.send(method, path, sent).status in (403, 404, 405, 412)


@pytest.mark.parametrize("bucket_name", ["%00versions%00{}", "%00parts%00{}"])
def test_hidden_containers_are_closed(s3: Any, owner: Client, raw: S3, filled: str, bucket_name: str) -> None:
    s3.create_multipart_upload(Bucket=filled, Key="k")
    hidden = bucket_name.format(filled)
    sent = {"X-Auth-Token": owner.token or "", "X-Backend-Allow-Reserved-Names": "true",
            "X-Allow-Reserved-Names": "true", "X_Backend_Allow_Reserved_Names": "true"}  # fmt: skip
    assert owner.send("GET", f"{owner.root}/{hidden}", sent).status == 412
    assert raw.get(f"/{hidden}").status == 400
    assert owner.request("PUT", f"{filled}/c", {"X-Copy-From": f"/{hidden}/x", "Content-Length": "0"}).status == 412
    assert owner.request("COPY", f"{filled}/key", {"Destination": f"/{hidden}/x"}).status == 412
    assert raw.put(f"/{filled}/c", b"", {"x-amz-copy-source": f"/{hidden}/x"}).status == 400


@pytest.mark.parametrize(
    ("path", "header"),
    [
        ("/{bucket}/new", "x-amz-server-side-encryption-customer-key"),
        ("/{bucket}/new", "x-amz-write-offset-bytes"),
        ("/{bucket}/new", "x-amz-not-known"),
        ("/{bucket}-new", "x-amz-bucket-namespace"),
    ],
)
def test_a_header_that_asks_for_what_is_not_done_is_refused(raw: S3, bucket: str, path: str, header: str) -> None:
    """The list of headers was there, and nothing asked it: what a header wanted was silently not done."""
    path = path.format(bucket=bucket)
    assert code_of(raw.put(path, b"", {header: "1"})) == (501, "NotImplemented")
    assert raw.get(path).status == 404
