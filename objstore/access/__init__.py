"""The decision whether a client may do an action, for both APIs.

Nouns: an *identity* is the client as an identity system names it; *anyone* is an anonymous client. A *realm* is the
accounts that such a system decides over. An *action* is an operation, from one closed list. *Lists* are Swift's access
control lists of containers and accounts; an *ACL* is the grants of the owner of a bucket or object, in S3's terms; a
*policy* is a bucket's list of statements that allow and deny, under *conditions*; *ownership* decides whether ACLs
count, and who owns an object; the *public access block* refuses or ignores public grants. A *question* is an identity,
an action and a name; `decision.decide` answers it from *facts*, which the *judge* collects as they are needed.

Promises: the same rules bind both APIs; a denial has precedence over every grant; an action that nothing grants is
denied; a request of the owner of a bucket without a policy costs a few look-ups in memory and no request.

An account is named by its name wherever AWS has a canonical id or twelve digits. Knows nothing of HTTP, environs, XML,
signatures, nor of the storage of the objects it protects.
"""
