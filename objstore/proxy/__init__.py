"""One client request to many nodes, one answer.

`app` routes; `accounts`, `containers`, `object_get`, `object_put` and `object_change` each tell
the story of one kind of request. They place names by the rings (`cluster`), ask nodes one
after the other (`reads`) or all at once (`writes`), and let pure functions decide: in which
order nodes are asked (`node_order`), what their answers amount to (`quorum`), what a client
may send (`constraints`).

A proxy keeps nothing: any other serves the next request as well. Knows nothing of disks,
databases and S3.
"""
