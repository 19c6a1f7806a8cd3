"""Who may do what.

Nouns: a *caller* is the account and user that signed a request, or nobody; an *ACL* is what the owner
of a bucket or object grants; a *policy* is a bucket's list of statements that allow and deny; *ownership*
says whether ACLs count, and whose an object is; the *public access block* keeps what is public
from being set or from counting. `decision` holds the one function that weighs them all.

Promises: a denial goes before every grant; what nothing grants is denied; the owner of a bucket
without a policy costs a few look-ups in memory and no request.

An account is named by its name wherever AWS has a canonical id or twelve digits. Who owns an
account comes from the identity that the authentication filter has made. Knows nothing of signatures, nor how
the objects it protects are kept.
"""

from objstore.s3.access.acl import Acl, Grant
from objstore.s3.access.check import Access, BucketAccess

__all__ = ["Access", "Acl", "BucketAccess", "Grant"]
