"""Signature Version 4 (S3 API: Authenticating requests, AWS Signature Version 4)."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from objstore.core.keyed_hash import signer
from objstore.s3.language.errors import S3Error
from objstore.s3.request.incoming import Incoming, as_header
from objstore.s3.request.signature import canonical
from objstore.s3.request.signature.times import Signed

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
ANY_REGION = "any"
_PARAMETERS = ("X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature")
_SIGNING_ALONE = frozenset({*_PARAMETERS, "X-Amz-Algorithm"})
# Parameters of the signature itself; other `x-amz-` ones replace headers.
OWN_PARAMETERS = frozenset(
    name.lower() for name in (*_PARAMETERS, "X-Amz-Algorithm", "X-Amz-Security-Token", "X-Amz-Content-Sha256")
)
# Headers that may be unsigned: the string to sign has the value of the first, the second is for statistics.
_FREE = frozenset({"X-Amz-Content-Sha256", "X-Amz-User-Agent"})
_DIGITS = re.compile(r"-?[0-9]{1,19}\Z")
_MAX_NUMBER = (1 << 63) - 1  # S3 reads no larger number
_ISO = re.compile(r"[0-9]{8}T[0-9]{6}Z\Z")

_HEADER_ERROR = "AuthorizationHeaderMalformed"
_QUERY_ERROR = "AuthorizationQueryParametersError"
_MISSING = (
    "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, "
    "X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
)


class Scope(NamedTuple):
    """A credential as it is sent: an access key and the scope of its signing key. text: of the scope."""

    access_key: str
    date: str
    region: str
    service: str
    terminal: str
    text: str


class ClaimV4(NamedTuple):
    """The claim of a signature. expires: the life of a URL in seconds, None for a signature in headers."""

    scope: Scope
    signed_headers: tuple[str, ...]
    signature: str
    expires: int | None = None

    @property
    def error(self) -> str:
        return _HEADER_ERROR if self.expires is None else _QUERY_ERROR

    @property
    def about(self) -> str:
        """The beginning of messages about the credential."""
        if self.expires is None:
            return "The authorization header is malformed; "
        return "Error parsing the X-Amz-Credential parameter; "


def of_header(authorization: str) -> ClaimV4:
    """Return the claim of an Authorization header; raises S3Error AuthorizationHeaderMalformed."""
    # All fields except the signature repeat from request to request.
    before, field, rest = authorization[len(ALGORITHM) :].rpartition("Signature=")
    signature, _, after = rest.partition(",")
    if not field or not signature.strip():
        raise _missing_field("Signature")
    scope, names = _of_fields(f"{before},{after}")
    return ClaimV4(scope, names, signature.strip())


@lru_cache(maxsize=1024)
def _of_fields(text: str) -> tuple[Scope, tuple[str, ...]]:
    """Return the scope and the signed headers in an Authorization header without its signature."""
    fields = {}
    for field in text.split(","):
        name, _, value = field.strip().partition("=")
        fields[name] = value.strip()
    for required in ("Credential", "SignedHeaders"):
        if not fields.get(required):
            raise _missing_field(required)
    scope = _scope(fields["Credential"])
    if scope is None:
        raise S3Error(
            _HEADER_ERROR,
            "The authorization header is malformed; the Credential is mal-formed; "
            'expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".',
        )
    return scope, _names(fields["SignedHeaders"], _HEADER_ERROR)


@lru_cache(maxsize=1024)  # the same for a day
def _scope(credential: str) -> Scope | None:
    """Return the parts of a credential, None if it has another form."""
    try:
        key, date, region, service, terminal = credential.rsplit("/", 4)
    except ValueError:
        return None
    return Scope(key, date, region, service, terminal, f"{date}/{region}/{service}/{terminal}")


def _missing_field(name: str) -> S3Error:
    return S3Error(_HEADER_ERROR, f"The authorization header is malformed; missing {name}.")


def of_form(credential: str, signature: str) -> ClaimV4:
    """Return the claim of a form, whose signature covers its policy; raises S3Error AuthorizationHeaderMalformed."""
    if "," in credential or "," in signature:
        raise S3Error(_HEADER_ERROR, "The authorization header is malformed; a field contains a comma.")
    return of_header(f"{ALGORITHM} Credential={credential},SignedHeaders=host,Signature={signature}")


def of_query(incoming: Incoming, max_life: float) -> ClaimV4:
    """Return the claim of a presigned URL. max_life: of the URL, in seconds.

    Raises S3Error AuthorizationQueryParametersError.
    """
    query = incoming.query
    if query.get("X-Amz-Algorithm") != ALGORITHM:
        raise S3Error(_QUERY_ERROR, 'X-Amz-Algorithm only supports "AWS4-HMAC-SHA256 and AWS4-ECDSA-P256-SHA256"')
    for name in _PARAMETERS:
        if not query.get(name):
            raise S3Error(_QUERY_ERROR, _MISSING)
    scope = _scope(query["X-Amz-Credential"])
    if scope is None:
        raise S3Error(
            _QUERY_ERROR,
            "Error parsing the X-Amz-Credential parameter; the Credential is mal-formed; "
            'expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".',
        )
    if not _ISO.match(query["X-Amz-Date"]):
        raise S3Error(_QUERY_ERROR, "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
    expires = _life(query["X-Amz-Expires"], max_life)
    return ClaimV4(scope, _names(query["X-Amz-SignedHeaders"], _QUERY_ERROR), query["X-Amz-Signature"], expires)


@lru_cache(maxsize=256)
def _life(text: str, max_life: float) -> int:
    if not _DIGITS.match(text) or abs(int(text)) > _MAX_NUMBER:
        raise S3Error(_QUERY_ERROR, "X-Amz-Expires should be a number")
    life = int(text)
    if life < 0:
        raise S3Error(_QUERY_ERROR, "X-Amz-Expires must be non-negative")
    if life > max_life:
        raise S3Error(
            _QUERY_ERROR,
            f"X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less "
            f"than {int(max_life)} seconds",
        )
    return life


@lru_cache(maxsize=1024)
def _names(text: str, error: str) -> tuple[str, ...]:
    """Return the signed headers in lower case; raises S3Error `error` for text that cannot be names of headers."""
    if not text.isascii() or min(text, default="~") <= " ":
        raise S3Error(error, "SignedHeaders must be names of headers separated by semicolons")
    return tuple(text.lower().split(";"))


def check_scope(claim: ClaimV4, signed: Signed, regions: Sequence[str]) -> None:
    """Refuse a claim for another day, region or service.

    regions: our own first; `any` among them accepts all. Raises S3Error `claim.error`.
    """
    scope = claim.scope
    if scope.date != signed.timestamp[:8]:
        raise S3Error(
            claim.error,
            f'{claim.about}Invalid credential date "{scope.date}". This date is not the same as X-Amz-Date: '
            f'"{signed.timestamp[:8]}".',
        )
    if scope.region not in regions and ANY_REGION not in regions:
        raise S3Error(
            claim.error,
            f"{claim.about}the region '{scope.region}' is wrong; expecting '{regions[0]}'",
            {"Region": regions[0]},
        )
    if scope.service != "s3":
        raise S3Error(
            claim.error,
            f'{claim.about}incorrect service "{scope.service}". This endpoint belongs to "s3".',
        )
    if scope.terminal != "aws4_request":
        raise S3Error(
            claim.error,
            f'{claim.about}incorrect terminal "{scope.terminal}". This endpoint uses "aws4_request".',
        )


def check_signed_headers(claim: ClaimV4, incoming: Incoming) -> None:
    """Refuse a request with an unsigned header that matters: anyone on the way could have added it.

    Raises S3Error AccessDenied.
    """
    signed = claim.signed_headers
    unsigned = []
    if "X-Amz-" in "\n".join(incoming.headers):
        unsigned = [
            name.lower()
            for name in incoming.headers
            if name[:6] == "X-Amz-" and name not in _FREE and name.lower() not in signed
        ]
    if "host" not in signed and ":authority" not in signed:
        unsigned.insert(0, "host")
    if unsigned:
        raise S3Error(
            "AccessDenied",
            "There were headers present in the request which were not signed",
            {"HeadersNotSigned": ", ".join(unsigned)},
        )


def payloads_of(claim: ClaimV4, incoming: Incoming) -> tuple[str, ...]:
    """Return the possible texts for the body in the canonical request. The first is the request's declaration.

    Raises S3Error InvalidRequest if a required declaration is missing.
    """
    declared_hash = incoming.headers.get("X-Amz-Content-Sha256", "")
    if claim.expires is None:
        if not declared_hash:
            raise S3Error("InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
        return (declared_hash,)
    if declared_hash and "x-amz-content-sha256" in claim.signed_headers:
        return (declared_hash,)
    presigned = incoming.query.get("X-Amz-Content-Sha256") or UNSIGNED
    return (declared_hash, presigned) if declared_hash else (presigned,)


def check_signature(
    claim: ClaimV4, incoming: Incoming, signed: Signed, payloads: tuple[str, ...], key: SigningKey
) -> tuple[str, str]:
    """Return the canonical request that was signed, and which of the payloads it has.

    Raises S3Error SignatureDoesNotMatch.
    """
    pairs = incoming.pairs
    if claim.expires is not None:
        pairs = [pair for pair in pairs if pair[0] != "X-Amz-Signature"]
    for payload in payloads:
        # Most signers send the encoding that they sign, so the first form needs no encoding.
        for form in (canonical.request_as_sent, canonical.request):
            text = form(incoming, pairs, claim.signed_headers, payload)
            if key.matches(string_to_sign(claim.scope.text, signed.timestamp, text), claim.signature):
                return text, payload
    first = canonical.request(incoming, pairs, claim.signed_headers, payloads[0])
    to_sign = string_to_sign(claim.scope.text, signed.timestamp, first)
    raise mismatch(claim.scope.access_key, to_sign, claim.signature, first)


def string_to_sign(scope: str, timestamp: str, canonical_request: str) -> str:
    digest = hashlib.sha256(canonical_request.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{ALGORITHM}\n{timestamp}\n{scope}\n{digest}"


class SigningKey:
    """A key derived from a secret."""

    __slots__ = ("_sign", "key")

    def __init__(self, key: bytes) -> None:
        self.key = key
        self._sign = signer(key, "sha256")

    def matches(self, to_sign: str, signature: str) -> bool:
        """Return whether a signature, in hex, is that of a text."""
        expected = self._sign(to_sign.encode("utf-8", "surrogateescape"))
        return hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace"))


def mismatch(access_key: str, to_sign: str, signature: str, canonical_request: str = "") -> S3Error:
    """Return the error with our canonical request, byte by byte, as in S3."""
    extra = {
        "AWSAccessKeyId": access_key,
        "StringToSign": to_sign,
        "SignatureProvided": signature,
        "StringToSignBytes": _hex(to_sign),
    }
    if canonical_request:
        extra |= {"CanonicalRequest": canonical_request, "CanonicalRequestBytes": _hex(canonical_request)}
    return S3Error("SignatureDoesNotMatch", extra=extra)


def _hex(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").hex(" ")


def headers_in_query(incoming: Incoming) -> dict[str, str]:
    """Return the headers in the query of a presigned URL (`x-amz-acl`, `x-amz-meta-a`), to which some SDKs move them.

    Raises S3Error InvalidArgument for a name or value that no header can have.
    """
    if incoming.query.keys() <= _SIGNING_ALONE:
        return {}
    return {
        canonical_name: text
        for name, value in incoming.query.items()
        if name not in _PARAMETERS and name[:6].lower() == "x-amz-" and name.lower() not in OWN_PARAMETERS
        for canonical_name, text in (as_header(name, value),)
    }
