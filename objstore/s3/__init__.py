"""The S3 API: requests become operations on the object layer, and results become S3's answers.

Nouns: a *request* is an S3 request whose bucket, key, signature and body framing are understood (`request`); an
*operation* is one of S3's verbs. `operations` lists them by resource, and the *router* selects one by method, level
and sub-resource. `data` reads and changes objects through the object layer, which keeps versions and places content in
other storage policies; `multipart` does so for uploads in parts, `buckets` for buckets and their documents. `access`
asks for the decision over access. `language` has S3's errors (`S3Error`, and the table that makes them from those of
the layer), XML, dates, checksums and tags.

A bucket is a container of the account that owns it; one registry for all accounts (`buckets`) has the owners. The
system metadata of the container has the configuration of the bucket, and that of an object has its S3 properties (ACL,
tags, checksums).

Knows nothing of nodes, rings and disks.
"""
