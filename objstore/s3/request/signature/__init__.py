"""Who signed a request: AWS Signature Version 4 and Version 2, in headers and in the query.

Nouns: a *claim* is what a request says of its signature, checked for form only; *canonical* is
the one text that both sides make of a request; a *seed* is what the signatures of a body's
chunks go on from. `check` decides which version a request uses and returns a `Proof`.

Promises: all comparisons take the same time; nothing is looked up, hashed or kept for
a request whose claim is malformed; each failure is the S3 error of that name. Knows nothing of bodies,
operations and access rights.
"""

from objstore.s3.request.signature.check import Checker, Proof, SignatureRules
from objstore.s3.request.signature.keys import Seed
from objstore.s3.request.signature.signing import Signing

__all__ = ["Checker", "Proof", "Seed", "SignatureRules", "Signing"]
