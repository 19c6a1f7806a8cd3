"""The signer of a request: AWS Signature Version 4 and Version 2, in headers and in the query.

Nouns: a *claim* is the signature of a request with its parameters, checked for form only; *canonical* is the one text
that both sides make of a request; a *seed* is the start of the chain of signatures of a body's chunks. `check` selects
the version of a request and returns a `Proof`.

Promises: all comparisons take the same time; for a request with a malformed claim nothing is searched, hashed or
stored; each failure is the S3 error of that name. Knows nothing of bodies, operations and access rights.
"""

from objstore.s3.request.signature.check import Checker, Proof, SignatureRules
from objstore.s3.request.signature.keys import Seed
from objstore.s3.request.signature.signing import Signing

__all__ = ["Checker", "Proof", "Seed", "SignatureRules", "Signing"]
