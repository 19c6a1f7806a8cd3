"""The S3 language in, native requests out, and back.

Nouns: a *request* is an S3 request whose bucket, key, signature and body framing are understood
(`request`); an *operation* is one of S3's verbs, one file each under `operations`, found by the
*router* from method, level and sub-resource; *native* is the one module that knows our own API,
spoken to the pipeline below by subrequests. *access* decides who may do what. Errors are
`S3Error`s with S3's codes and leave through one table (`errors`).

A bucket is a container of the account that owns it; who that is stands in one registry across
accounts (`buckets`). Configuration of a bucket is kept in its container's system metadata,
what S3 says of an object (ACL, tags, checksums) in the object's.

Knows nothing of nodes, rings and disks.
"""
