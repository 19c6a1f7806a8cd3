"""Who may do what, whichever API asks.

Nouns: an *identity* is who asks, as an identity system says; *anyone* is who did not say. A *realm* is the accounts
that such a system decides over. An *action* is what is to be done, from one closed list. *Lists* are Swift's access
control lists of containers and accounts; an *ACL* is what the owner of a bucket or object grants, in S3's terms; a
*policy* is a bucket's list of statements that allow and deny, under *conditions*; *ownership* says whether ACLs count,
and whose an object is; the *public access block* keeps what is public from being set or from counting. A *question*
is who wants to do what to what; `decision.decide` answers it by *facts*, which the *judge* collects as they are needed.

Promises: what binds one API binds the other; a denial goes before every grant; what nothing grants is denied; the
owner of a bucket without a policy costs a few look-ups in memory and no request.

An account is named by its name wherever AWS has a canonical id or twelve digits. Knows nothing of HTTP, environs, XML,
signatures, nor how the objects it protects are stored.
"""
