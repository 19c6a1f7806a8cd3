"""We call a storage node: internal paths and headers, timeouts, failures as types, two transports.

A `NodeRequest` goes to a node through a `Transport`: over HTTP, or in process where the node's devices belong to this
very host. Both behave alike and pass one suite of tests: `call` sends a request with a complete body and returns a
`NodeResponse`; `upload` opens a request whose body comes piece by piece. Failures of the connection are a
`NodeFailure`; any status of a node is a response, not an error.

It knows nothing of rings and disks.
"""
