"""Cross-origin requests of browsers by a bucket's rules (S3 user guide, "Using cross-origin resource sharing").

The first matching rule decides. CORS gives no access: it controls which answers a browser shows to a script, and every
request has the rights that it would have without an Origin.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from objstore.access.patterns import matches
from objstore.core.errors import ObjstoreError
from objstore.core.names import Name
from objstore.core.text import is_header_name
from objstore.layers import documents
from objstore.s3.buckets import bucket_config
from objstore.s3.context import Context
from objstore.s3.language import xml
from objstore.s3.language.errors import S3Error
from objstore.s3.request.addressing import Address
from objstore.web import requests
from objstore.web.context import RequestContext
from objstore.web.requests import Environ
from objstore.web.responses import Response

METHODS = ("GET", "PUT", "POST", "DELETE", "HEAD")
MAX_RULES = 100
_VARY = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"


class Rule(NamedTuple):
    """A CORSRule. origins, headers: patterns with at most one `*`. max_age: in seconds, -1 if it is not set."""

    origins: tuple[str, ...]
    methods: tuple[str, ...]
    headers: tuple[str, ...] = ()
    exposed: tuple[str, ...] = ()
    max_age: int = -1
    id: str = ""

    def fits(self, origin: str, method: str) -> bool:
        return method in self.methods and any(matches(pattern, origin) for pattern in self.origins)

    def lets_send(self, names: Iterable[str]) -> bool:
        """Return whether a request may have these headers. names: in lower case."""
        return all(any(matches(pattern.lower(), name) for pattern in self.headers) for name in names)


def from_xml(root: Any) -> list[Rule]:
    """Return the rules of a CORSConfiguration; raises S3Error MalformedXML, InvalidRequest."""
    xml.only(root, ("CORSRule",))
    rules = [_rule(element) for element in root]
    if not rules:
        raise S3Error("MalformedXML")
    if len(rules) > MAX_RULES:
        raise S3Error(
            "InvalidRequest", f"The number of CORS rules should not exceed allowed limit of {MAX_RULES} rules."
        )
    return rules


def _rule(element: Any) -> Rule:
    xml.only(element, ("ID", "AllowedOrigin", "AllowedMethod", "AllowedHeader", "ExposeHeader", "MaxAgeSeconds"))

    def texts(name: str) -> tuple[str, ...]:
        return tuple((child.text or "").strip() for child in element.iterchildren(name))

    rule = Rule(texts("AllowedOrigin"), texts("AllowedMethod"), texts("AllowedHeader"), texts("ExposeHeader"))
    if not rule.origins or not rule.methods:
        raise S3Error("MalformedXML")
    for method in rule.methods:
        if method not in METHODS:
            raise S3Error(
                "InvalidRequest", f"Found unsupported HTTP method in CORS config. Unsupported method is {method}"
            )
    for element_name, patterns in (("AllowedOrigin", rule.origins), ("AllowedHeader", rule.headers)):
        for pattern in patterns:
            if pattern.count("*") > 1:
                raise S3Error("InvalidRequest", f'{element_name} "{pattern}" can not have more than one wildcard.')
    for name in (*rule.exposed, *(pattern.replace("*", "") for pattern in rule.headers)):
        if name and "*" not in name and not is_header_name(name):
            raise S3Error("InvalidRequest", f'"{name}" in the CORS configuration is not the name of a header.')
    for name in rule.exposed:
        if "*" in name:
            raise S3Error(
                "InvalidRequest", f'ExposeHeader "{name}" contains wildcard. We currently do not support wildcard for '
                "ExposeHeader."
            )  # fmt: skip
    return rule._replace(max_age=_max_age(texts("MaxAgeSeconds")), id=xml.text(element, "ID"))


def _max_age(texts: Sequence[str]) -> int:
    if not texts:
        return -1
    if not (texts[0].isascii() and texts[0].isdigit() and len(texts[0]) < 10):
        raise S3Error("MalformedXML")
    return int(texts[0])


def to_xml(rules: Iterable[Rule]) -> bytes:
    return xml.document("CORSConfiguration", [("CORSRule", _elements(rule)) for rule in rules])


def _elements(rule: Rule) -> list[tuple[str, Any]]:
    return [
        ("ID", rule.id or None),
        *(("AllowedHeader", text) for text in rule.headers),
        *(("AllowedMethod", text) for text in rule.methods),
        *(("AllowedOrigin", text) for text in rule.origins),
        *(("ExposeHeader", text) for text in rule.exposed),
        ("MaxAgeSeconds", rule.max_age if rule.max_age >= 0 else None),
    ]


def dump(rules: Iterable[Rule]) -> str:
    return json.dumps(list(rules), separators=(",", ":"))


def load(text: str) -> list[Rule]:
    if not text:
        return []
    return [
        Rule(tuple(origins), tuple(methods), tuple(headers), tuple(exposed), max_age, name)
        for origins, methods, headers, exposed, max_age, name in json.loads(text)
    ]


def _rules_of(context: Context, environ: Environ, bucket: str) -> list[Rule]:
    """Return the rules of a bucket, [] if there is no such bucket. A bucket with rules is registered."""
    account = context.buckets.entry(RequestContext.of(environ), bucket).account if bucket else ""
    if not account:
        return []
    info = context.layer.container_info(RequestContext.of(environ), Name(account, bucket))
    return load(documents.read(info.sysmeta, bucket_config.CORS)) if info.exists else []


def preflight(context: Context, environ: Environ, headers: Mapping[str, str], address: Address) -> Response:
    """Return the answer to OPTIONS; raises S3Error AccessForbidden if no rule allows the request, BadRequest."""
    origin, method = headers.get("Origin", ""), headers.get("Access-Control-Request-Method", "")
    if not origin:
        raise S3Error("BadRequest", "Insufficient information. Origin request header needed.")
    if method not in METHODS:
        raise S3Error("BadRequest", f"Invalid Access-Control-Request-Method: {method or 'null'}")
    forbidden = {"Method": method, "ResourceType": "OBJECT" if address.key else "BUCKET"}
    rules = _rules_of(context, environ, address.bucket)
    if not rules:
        message = "CORSResponse: CORS is not enabled for this bucket."
        raise S3Error("AccessForbidden", message, forbidden, {"Vary": _VARY})
    names = headers.get("Access-Control-Request-Headers", "").lower().split(",")
    requested = [name.strip() for name in names if name.strip()]
    rule = next((rule for rule in rules if rule.fits(origin, method) and rule.lets_send(requested)), None)
    if rule is None:
        raise S3Error("AccessForbidden", "", forbidden, {"Vary": _VARY})
    answer = _rule_headers(rule, origin)
    if requested:
        answer["Access-Control-Allow-Headers"] = ", ".join(requested)
    if rule.max_age >= 0:
        answer["Access-Control-Max-Age"] = str(rule.max_age)
    return Response(200, answer)


def response_headers(context: Context, environ: Environ, bucket: str) -> dict[str, str]:
    """Return the CORS headers of the answer, also of an error, to a request with an Origin; {} if no rule matches."""
    headers = requests.headers(environ)
    origin = headers.get("Origin", "")
    method = headers.get("Access-Control-Request-Method") or environ["REQUEST_METHOD"]
    try:
        rules = _rules_of(context, environ, bucket)
    except (S3Error, ObjstoreError):
        return {}  # the client needs the answer more than its CORS headers
    rule = next((rule for rule in rules if rule.fits(origin, method)), None)
    return _rule_headers(rule, origin) if rule is not None else {}


def _rule_headers(rule: Rule, origin: str) -> dict[str, str]:
    anyone = "*" in rule.origins
    headers = {
        "Access-Control-Allow-Origin": "*" if anyone else origin,
        "Access-Control-Allow-Methods": ", ".join(rule.methods),
        "Vary": _VARY,
    }
    if not anyone:
        headers["Access-Control-Allow-Credentials"] = "true"
    if rule.exposed:
        headers["Access-Control-Expose-Headers"] = ", ".join(rule.exposed)
    return headers
