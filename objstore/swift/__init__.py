"""The Swift API: the last app of the proxy's pipeline.

`app` routes a request to its verb, in `accounts`, `containers`, `object_get`, `object_put`, `object_post` or
`object_delete`. They read headers and queries, ask for permission, check what a client may send, and
make HTTP responses of what `objstore.cluster` returns.

Knows nothing of disks, databases and S3.
"""
