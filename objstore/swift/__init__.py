"""The Swift API: the last app of the proxy's pipeline.

`app` routes a request to its verb. `accounts`, `containers`, `object_get`, `object_put` and `object_change` each hold
the verbs of one kind of request: they read headers and queries, ask for permission, check what a client may send, and
make HTTP responses of what `objstore.cluster` returns.

Knows nothing of disks, databases and S3.
"""
