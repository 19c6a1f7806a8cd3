"""The S3 language in, operations on the object layer, and back.

Nouns: a *request* is an S3 request whose bucket, key, signature and body framing are understood (`request`); an
*operation* is one of S3's verbs, listed in `operations` by resource and found by the *router* from method, level and
sub-resource. `data` reads and changes objects through the object layer, which keeps versions and places content in
other storage policies; `multipart` does so for uploads in parts, `buckets` for buckets and their documents. `access`
asks who may do what. `language` has S3's errors (`S3Error`, and the table that makes them from those of the layer),
XML, dates, checksums and tags.

A bucket is a container of the account that owns it; who that is stands in one registry across
accounts (`buckets`). Configuration of a bucket is kept in its container's system metadata,
what S3 says of an object (ACL, tags, checksums) in the object's.

Knows nothing of nodes, rings and disks.
"""
