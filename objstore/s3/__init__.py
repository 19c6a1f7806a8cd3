"""The S3 language in, operations on the object layer, and back.

Nouns: a *request* is an S3 request whose bucket, key, signature and body framing are understood
(`request`); an *operation* is one of S3's verbs, one file each under `operations`, found by the
*router* from method, level and sub-resource; *current* reads and changes objects through the object layer, which
knows of versions and other storage policies. `access` asks who may do what. Errors are
`S3Error`s with S3's codes; those of the layer become such by one table (`failures`).

A bucket is a container of the account that owns it; who that is stands in one registry across
accounts (`buckets`). Configuration of a bucket is kept in its container's system metadata,
what S3 says of an object (ACL, tags, checksums) in the object's.

Knows nothing of nodes, rings and disks.
"""
