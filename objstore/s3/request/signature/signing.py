"""The kind of a signature, for condition keys of bucket policies such as `s3:authType` and `s3:signatureAge`.

The values are those of the S3 user guide, "Signature Version 4 authentication specific policy keys".
"""

from __future__ import annotations

from typing import NamedTuple

V2 = "AWS"
V4 = "AWS4-HMAC-SHA256"
BY_HEADER = "REST-HEADER"
BY_URL = "REST-QUERY-STRING"
BY_FORM = "POST"


class Signing(NamedTuple):
    """The kind of a signature.

    version, type: of the constants above. payload: the signed text about the body, '' for none. seconds: the time of
    the signature, since the epoch; None for a URL or form of version 2, which does not have it.
    """

    version: str
    type: str
    payload: str = ""
    seconds: float | None = None
