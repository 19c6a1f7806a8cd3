"""One operation on many nodes, one result.

`objects`, `containers` and `accounts` have the operations that change something. One on an object makes a value of the
change (`object_change`), which `sending` brings to the nodes; `enlisting` sees to it that the container lists it.
`cluster` places names by the rings and has the way to each node; reads ask one node after the other (`reads`), changes
all at once (`writes`). Pure functions decide: in which order nodes are asked (`node_order`), what their answers amount
to (`quorum`, `lease_decision`).

A process keeps no state of it: any other can do the next operation. Knows nothing of disks, of databases, and of the
requests of clients.
"""
