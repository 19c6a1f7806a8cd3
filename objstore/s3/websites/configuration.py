"""The website configuration of a bucket: its values, S3's document of it, and its stored form.

Limits and messages are those of S3's PutBucketWebsite.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from objstore.core.numbers import whole
from objstore.s3.language import xml
from objstore.s3.language.errors import S3Error
from objstore.s3.request.addressing import check_key

MAX_DOCUMENT = 128 * 1024  # bytes
MAX_RULES = 50
PROTOCOLS = ("http", "https")
_HOST = re.compile(r"[!-~]+\Z")  # S3 accepts a path after the name


class Redirect(NamedTuple):
    """A redirect. host, protocol: '' for those of the request. status: 0 if it is not set, which means 301.

    prefix: replaces the matched prefix of the key, key: the whole key; None to leave it as it is.
    """

    host: str = ""
    protocol: str = ""
    status: int = 0
    prefix: str | None = None
    key: str | None = None


class RoutingRule(NamedTuple):
    """A rule. prefix: of the keys that it matches. status: of the error that it matches, 0 for a rule without one."""

    redirect: Redirect
    prefix: str = ""
    status: int = 0


class Website(NamedTuple):
    """A configuration. suffix: of index documents. error_key: of the error document, '' for none.

    everything: the redirect of all requests; the other values are empty then.
    """

    suffix: str = ""
    error_key: str = ""
    rules: tuple[RoutingRule, ...] = ()
    everything: Redirect | None = None


def from_xml(root: Any) -> Website:
    """Return the website of a WebsiteConfiguration. Raises S3Error MalformedXML, InvalidRequest, InvalidArgument."""
    xml.only(root, ("RedirectAllRequestsTo", "IndexDocument", "ErrorDocument", "RoutingRules"))
    everything = root.find("RedirectAllRequestsTo")
    if everything is not None:
        if len(root) > 1:
            message = "RedirectAllRequestsTo cannot be provided in conjunction with other Routing Rules."
            raise S3Error("InvalidRequest", message)
        xml.only(everything, ("HostName", "Protocol"))
        if not xml.text(everything, "HostName"):
            raise S3Error("MalformedXML")
        return Website(everything=Redirect(_host(everything), _protocol(everything)))
    return Website(_index(root), _error(root), _rules(root))


def _index(root: Any) -> str:
    element = root.find("IndexDocument")
    if element is None:
        message = "A value for IndexDocument Suffix must be provided if RedirectAllRequestsTo is empty"
        raise S3Error("InvalidArgument", message, {"ArgumentName": "IndexDocument", "ArgumentValue": "null"})
    xml.only(element, ("Suffix",))
    suffix = xml.optional(element, "Suffix")
    if suffix is None:
        raise S3Error("MalformedXML")
    if not suffix or "/" in suffix:
        extra = {"ArgumentName": "IndexDocument", "ArgumentValue": suffix}
        raise S3Error("InvalidArgument", "The IndexDocument Suffix is not well formed", extra)
    check_key(suffix)
    return suffix


def _error(root: Any) -> str:
    element = root.find("ErrorDocument")
    if element is None:
        return ""
    xml.only(element, ("Key",))
    key = xml.optional(element, "Key")
    if key is None:
        raise S3Error("MalformedXML")
    if not key:
        extra = {"ArgumentName": "ErrorDocument", "ArgumentValue": ""}
        raise S3Error("InvalidArgument", "The ErrorDocument Key is not well formed", extra)
    check_key(key)
    return key


def _rules(root: Any) -> tuple[RoutingRule, ...]:
    element = root.find("RoutingRules")
    if element is None:
        return ()
    xml.only(element, ("RoutingRule",))
    if len(element) > MAX_RULES:
        message = f"{len(element)} routing rules provided, the number of routing rules is limited to {MAX_RULES}."
        raise S3Error("InvalidRequest", message)
    return tuple(_rule(child) for child in element)


def _rule(element: Any) -> RoutingRule:
    xml.only(element, ("Condition", "Redirect"))
    redirect = element.find("Redirect")
    if redirect is None:
        raise S3Error("MalformedXML")
    condition = element.find("Condition")
    if condition is None:
        return RoutingRule(_redirect(redirect))
    xml.only(condition, ("KeyPrefixEquals", "HttpErrorCodeReturnedEquals"))
    if not len(condition):
        raise S3Error("InvalidRequest", "Condition cannot be empty. To redirect all requests without a condition, "
                      "the condition element shouldn't be present.")  # fmt: skip
    code = xml.optional(condition, "HttpErrorCodeReturnedEquals")
    return RoutingRule(
        _redirect(redirect), xml.text(condition, "KeyPrefixEquals"), 0 if code is None else _error_status(code)
    )


def _error_status(code: str) -> int:
    status = whole(code)
    if status is None or not 400 <= status <= 599:
        message = f"The provided HTTP error code ({code}) is not valid. Valid codes are 4XX or 5XX."
        raise S3Error("InvalidRequest", message)
    return status


def _redirect(element: Any) -> Redirect:
    names = ("HostName", "Protocol", "HttpRedirectCode", "ReplaceKeyPrefixWith", "ReplaceKeyWith")
    xml.only(element, names)
    if not len(element):
        raise S3Error("MalformedXML")
    prefix, key = xml.optional(element, "ReplaceKeyPrefixWith"), xml.optional(element, "ReplaceKeyWith")
    if prefix is not None and key is not None:
        raise S3Error("InvalidRequest", "You can only define ReplaceKeyPrefix or ReplaceKey but not both.")
    code = xml.optional(element, "HttpRedirectCode")
    return Redirect(_host(element), _protocol(element), 0 if code is None else _redirect_status(code), prefix, key)


def _redirect_status(code: str) -> int:
    status = whole(code)
    if status is None or not 301 <= status <= 399 or status == 304:  # 304 has no Location
        message = f"The provided HTTP redirect code ({code}) is not valid. Valid codes are 3XX except 300."
        raise S3Error("InvalidRequest", message)
    return status


def _host(element: Any) -> str:
    host = xml.text(element, "HostName")
    if host and not _HOST.match(host):
        raise S3Error("InvalidRequest", f"The provided HostName ({host}) is not valid.")
    return host


def _protocol(element: Any) -> str:
    protocol = xml.text(element, "Protocol").lower()
    if protocol and protocol not in PROTOCOLS:
        message = (
            "Invalid protocol, protocol can be http or https. If not defined the protocol will be selected "
            "automatically."
        )
        raise S3Error("InvalidRequest", message)
    return protocol


def to_xml(website: Website) -> bytes:
    everything = website.everything
    if everything is not None:
        content: list[tuple[str, Any]] = [("RedirectAllRequestsTo", _redirect_elements(everything))]
    else:
        content = [("IndexDocument", [("Suffix", website.suffix)])]
        if website.error_key:
            content.append(("ErrorDocument", [("Key", website.error_key)]))
        if website.rules:
            content.append(("RoutingRules", [("RoutingRule", _rule_elements(rule)) for rule in website.rules]))
    return xml.document("WebsiteConfiguration", content)


def _rule_elements(rule: RoutingRule) -> Iterable[tuple[str, Any]]:
    condition = [("KeyPrefixEquals", rule.prefix or None), ("HttpErrorCodeReturnedEquals", rule.status or None)]
    if rule.prefix or rule.status:
        yield "Condition", condition
    yield "Redirect", _redirect_elements(rule.redirect)


def _redirect_elements(redirect: Redirect) -> list[tuple[str, Any]]:
    return [
        ("Protocol", redirect.protocol or None),
        ("HostName", redirect.host or None),
        ("ReplaceKeyPrefixWith", redirect.prefix),
        ("ReplaceKeyWith", redirect.key),
        ("HttpRedirectCode", redirect.status or None),
    ]


def dump(website: Website) -> str:
    return json.dumps(website, separators=(",", ":"))


def load(text: str) -> Website:
    suffix, error_key, rules, everything = json.loads(text)
    return Website(
        suffix,
        error_key,
        tuple(RoutingRule(Redirect(*redirect), prefix, status) for redirect, prefix, status in rules),
        None if everything is None else Redirect(*everything),
    )
