"""The Swift API: the last app of the proxy's pipeline.

`app` routes a request to its verb, in `accounts`, `containers`, `object_get`, `object_put`, `object_post` or
`object_delete`. They read headers and queries, check permissions and limits, and make HTTP responses from the results
of `objstore.cluster`.

They know nothing of disks, databases and S3.
"""
