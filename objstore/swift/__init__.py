"""The Swift API: the last app of the proxy's pipeline.

`app` routes a request to its verb, in `accounts`, `containers`, `object_get`, `object_put`, `object_post`,
`object_delete` or `object_copy`. They read headers and queries, ask whether they may (`permission`), check limits, and
make HTTP responses from the results of the object layer.

They know nothing of disks, databases and S3.
"""
