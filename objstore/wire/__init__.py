"""We call a storage node: internal paths and headers, timeouts, failures as types, two transports.

A `NodeRequest` goes to a node through a `Transport`: over HTTP, or in process where the
node's devices belong to this very host. Both behave alike and pass one suite of tests:
`call` sends a request whose body is at hand and returns a `NodeResponse`; `upload` opens a
request whose body comes piece by piece. What goes wrong on the way is a `NodeFailure`; any
status a node answers with is a response, not an error.

Knows nothing of rings and disks.
"""
