"""The logging configuration of a bucket: what is accepted, what is refused, and that it comes back as it was sent."""

from __future__ import annotations

import pytest

from objstore.access.acl import ALL_USERS, FULL_CONTROL, Grant
from objstore.s3.bucket_logs.configuration import DELIVERY_TIME, EVENT_TIME, SIMPLE, Logging, from_xml, load, to_xml
from objstore.s3.language import xml
from objstore.s3.language.errors import S3Error

GRANTS = (Grant(ALL_USERS, "READ"), Grant("AUTH_other", "WRITE"))


def read(text: str) -> Logging | None:
    return from_xml(xml.parse(text.encode(), "BucketLoggingStatus"), "AUTH_a", lambda account: account != "nobody")


def enabled(content: str) -> str:
    return f"<BucketLoggingStatus><LoggingEnabled>{content}</LoggingEnabled></BucketLoggingStatus>"


@pytest.mark.parametrize(
    "logging",
    [
        Logging("logs", ""),
        Logging("logs", "p/", SIMPLE),
        Logging("logs", "p<&>/", EVENT_TIME),
        Logging("logs", "p/", DELIVERY_TIME, GRANTS),
    ],
)
def test_a_configuration_comes_back(logging: Logging) -> None:
    assert read(to_xml(logging).decode().partition("\n")[2]) == logging
    assert load(logging.dump()) == logging


def test_an_empty_status_disables_logging() -> None:
    assert read("<BucketLoggingStatus/>") is None
    assert to_xml(None).endswith(b'<BucketLoggingStatus xmlns="http://s3.amazonaws.com/doc/2006-03-01/"/>')


def test_partitioned_keys_are_by_the_time_of_events_unless_the_client_says_otherwise() -> None:
    key_format = "<TargetObjectKeyFormat><PartitionedPrefix/></TargetObjectKeyFormat>"
    logging = read(enabled(f"<TargetBucket>b</TargetBucket><TargetPrefix/>{key_format}"))
    assert logging is not None and logging.key_format == EVENT_TIME


def test_log_objects_belong_to_the_owner_of_their_bucket() -> None:
    acl = Logging("logs", "", "", GRANTS).acl("AUTH_a")
    assert acl.owner == "AUTH_a" and acl.grants == (Grant("AUTH_a", FULL_CONTROL), *GRANTS)
    assert Logging("logs", "").acl("AUTH_a").private


GRANT = '<Grant><Grantee xmlns:xsi="{xsi}" xsi:type="{kind}"><{child}>{who}</{child}></Grantee><Permission>{may}'


def grant(may: str, who: str = "AUTH_b", kind: str = "CanonicalUser", child: str = "ID") -> str:
    text = GRANT.format(xsi=xml.XSI, kind=kind, child=child, who=who, may=may)
    return f"<TargetBucket>b</TargetBucket><TargetPrefix/><TargetGrants>{text}</Permission></Grant></TargetGrants>"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("", "MalformedXML"),
        ("<TargetBucket>b</TargetBucket>", "MalformedXML"),
        ("<TargetPrefix>p</TargetPrefix>", "MalformedXML"),
        ("<TargetBucket>b</TargetBucket><TargetPrefix/><LoggingType>Journal</LoggingType>", "MalformedXML"),
        ("<TargetBucket>b</TargetBucket><TargetPrefix/><TargetObjectKeyFormat/>", "MalformedXML"),
        (
            (
                "<TargetBucket>b</TargetBucket><TargetPrefix/><TargetObjectKeyFormat><SimplePrefix/><PartitionedPrefix/>"
                "</TargetObjectKeyFormat>"
            ),
            "MalformedXML",
        ),
        (
            (
                "<TargetBucket>b</TargetBucket><TargetPrefix/><TargetObjectKeyFormat><PartitionedPrefix>"
                "<PartitionDateSource>Never</PartitionDateSource></PartitionedPrefix></TargetObjectKeyFormat>"
            ),
            "MalformedXML",
        ),
        (grant("READ_ACP"), "MalformedXML"),
        (grant("ALL"), "MalformedXML"),
        (grant("READ", "nobody"), "InvalidArgument"),
        (grant("READ", "http://example.com", "Group", "URI"), "InvalidArgument"),
        (grant("READ", "a@example.com", "AmazonCustomerByEmail", "EmailAddress"), "MethodNotAllowed"),
    ],
)
def test_a_wrong_document_is_refused(content: str, code: str) -> None:
    with pytest.raises(S3Error) as refused:
        read(enabled(content))
    assert refused.value.code == code
