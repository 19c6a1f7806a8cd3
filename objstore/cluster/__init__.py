"""One operation on many nodes, one result.

`objects`, `containers` and `accounts` have the operations that change something. A change of an object is a value
(`object_change`), which `sending` sends to the nodes; `enlisting` makes sure that the container lists it. `cluster`
places names by the rings and has the transports to nodes; reads ask one node after the other (`reads`), changes all at
once (`writes`). Pure functions decide the order of nodes (`node_order`) and the result of their answers (`quorum`,
`lease_decision`).

No state remains in the process: any other process can run the next operation. The package knows nothing of disks, of
databases, and of the requests of clients.
"""
