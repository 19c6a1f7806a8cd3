"""The check of a request's signature, of either version, with one result: a `Proof`, or the error."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from objstore.access.identity import AccessKeys, Credential
from objstore.s3.language.errors import S3Error
from objstore.s3.request.incoming import Incoming
from objstore.s3.request.signature import times, v2, v4
from objstore.s3.request.signature.keys import Seed, SigningKeys
from objstore.s3.request.signature.signing import BY_FORM, BY_HEADER, BY_URL, V2, V4, Signing
from objstore.s3.request.signature.times import Window

_SEVERAL = (
    "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or "
    "the Authorization header should be specified"
)


class Proof(NamedTuple):
    """The result of the check of a signature.

    credential: None for anonymous requests. payload: the value of X-Amz-Content-Sha256, '' for none. seed: for the
    signatures of a body in chunks, None if it cannot have any. headers: those in a presigned URL's query. words: see
    `declared.read`. signing: the kind of the signature, None for none.
    """

    credential: Credential | None
    payload: str
    seed: Seed | None = None
    headers: dict[str, str] = {}  # noqa: RUF012 (a NamedTuple's default, never changed)
    words: bool = True
    signing: Signing | None = None


class SignatureRules(NamedTuple):
    """The rules for accepted signatures.

    regions: our own first, then other accepted ones; `any` among them accepts all. old: True if signatures of version
    2 are accepted.
    """

    regions: tuple[str, ...] = ("us-east-1",)
    window: Window = Window(900, 604800)
    old: bool = True


class Checker:
    """The check of signatures. keys: the access keys and their owners. now: the clock, in seconds since the epoch."""

    def __init__(self, keys: AccessKeys, rules: SignatureRules, now: Callable[[], float]) -> None:
        self._keys = keys
        self._rules = rules
        self._window = rules.window
        self._now = now
        self._signing_keys = SigningKeys()

    def check(self, incoming: Incoming, bucket_of_host: str = "") -> Proof:
        """Return the proof of a request. bucket_of_host: the bucket if it is part of the host's name, '' otherwise.

        Raises S3Error for a bad signature.
        """
        authorization = incoming.headers.get("Authorization", "")
        query = incoming.query
        by_v4, by_v2 = "X-Amz-Algorithm" in query or "X-Amz-Credential" in query, "AWSAccessKeyId" in query
        if (by_v4 and by_v2) or (authorization and (by_v4 or by_v2)):
            raise S3Error(
                "InvalidArgument", _SEVERAL, {"ArgumentName": "Authorization", "ArgumentValue": authorization}
            )
        if authorization.startswith(v4.ALGORITHM):
            return self._v4(incoming, v4.of_header(authorization))
        if authorization.startswith("AWS "):
            return self._v2(incoming, v2.of_header(authorization), bucket_of_host)
        if authorization:
            raise S3Error(
                "InvalidArgument",
                "Unsupported Authorization Type",
                {"ArgumentName": "Authorization", "ArgumentValue": authorization},
            )
        if by_v4:
            return self._v4(incoming, v4.of_query(incoming, self._window.life))
        if by_v2:
            return self._v2(incoming, v2.of_query(incoming), bucket_of_host)
        return Proof(None, incoming.headers.get("X-Amz-Content-Sha256", ""))

    def _v4(self, incoming: Incoming, claim: v4.ClaimV4) -> Proof:
        in_query = claim.expires is not None
        signed = times.of_text(incoming.query["X-Amz-Date"]) if in_query else times.of_headers(incoming)
        scope = claim.scope
        v4.check_scope(claim, signed, self._rules.regions)
        if claim.expires is not None:
            times.check_life(signed.seconds, claim.expires, self._now(), self._window)
        else:
            times.check_skew(signed.seconds, _shown_date(incoming), self._now(), self._window)
        credential = self.credential(scope.access_key)
        _refuse_token(incoming)
        v4.check_signed_headers(claim, incoming)
        payloads = v4.payloads_of(claim, incoming)
        key = self._signing_keys.get(credential.secret_key, scope)
        text, signed_payload = v4.check_signature(claim, incoming, signed, payloads, key)
        payload = payloads[0]
        signing = Signing(V4, BY_URL if in_query else BY_HEADER, signed_payload, signed.seconds)
        if in_query:
            return Proof(credential, payload, None, v4.headers_in_query(incoming), False, signing)
        seed = None
        if payload[:9] == "STREAMING":
            seed = Seed(key.key, signed.timestamp, scope.text, claim.signature, scope.access_key, text)
        return Proof(credential, payload, seed, signing=signing)

    def _v2(self, incoming: Incoming, claim: v2.ClaimV2, bucket_of_host: str) -> Proof:
        self.refuse_old()
        in_query = claim.expires is not None
        seconds = None
        if claim.expires is not None:
            times.check_end(claim.expires, self._now(), self._window)
        else:
            seconds = times.of_headers(incoming).seconds
            times.check_skew(seconds, _shown_date(incoming), self._now(), self._window)
        credential = self.credential(claim.access_key)
        _refuse_token(incoming)
        v2.check_signature(claim, incoming, bucket_of_host, credential.secret_key)
        headers = v2.headers_in_query(incoming) if in_query else {}
        payload = (headers | incoming.headers).get("X-Amz-Content-Sha256", "")
        signing = Signing(V2, BY_URL if in_query else BY_HEADER, payload, seconds)
        return Proof(credential, payload, None, headers, words=False, signing=signing)

    def form_by_v4(self, credential: str, signature: str, date: str, policy: str) -> tuple[Credential, Signing]:
        """Check the signature of a form's policy; the arguments are fields of the form. Raises S3Error."""
        claim = v4.of_form(credential, signature)
        signed = times.of_text(date)
        v4.check_scope(claim, signed, self._rules.regions)
        signer = self.credential(claim.scope.access_key)
        if not self._signing_keys.get(signer.secret_key, claim.scope).matches(policy, claim.signature):
            raise v4.mismatch(claim.scope.access_key, policy, claim.signature)
        return signer, Signing(V4, BY_FORM, v4.UNSIGNED, signed.seconds)

    def form_by_v2(self, access_key: str, signature: str, policy: str) -> tuple[Credential, Signing]:
        """Check the same for version 2."""
        self.refuse_old()
        signer = self.credential(access_key)
        if not v2.matches(signer.secret_key, policy, signature):
            raise v4.mismatch(access_key, policy, signature)
        return signer, Signing(V2, BY_FORM)

    def refuse_old(self) -> None:
        """Refuse version 2 if it is switched off; raises S3Error InvalidRequest."""
        if not self._rules.old:
            raise S3Error(
                "InvalidRequest",
                "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
            )

    def credential(self, access_key: str) -> Credential:
        """Return the owner of an access key; raises S3Error InvalidAccessKeyId."""
        credential = self._keys.find(access_key)
        if credential is None:
            raise S3Error("InvalidAccessKeyId", extra={"AWSAccessKeyId": access_key})
        return credential


def _shown_date(incoming: Incoming) -> str:
    return incoming.headers.get("X-Amz-Date") or incoming.headers.get("Date", "")


def _refuse_token(incoming: Incoming) -> None:
    """Refuse session tokens: they belong to temporary keys, which this store does not have."""
    if "X-Amz-Security-Token" in incoming.headers or "X-Amz-Security-Token" in incoming.query:
        raise S3Error("InvalidToken")
