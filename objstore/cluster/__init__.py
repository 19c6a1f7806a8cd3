"""One operation on many nodes, one result.

`cluster` places names by the rings and holds the way to each node. Changes go to all nodes of a name at once
(`writes`), or as a stream (`put_stream`); what depends on what is stored is decided under a lease (`decided_write`).
Reads ask one node after the other (`reads`). Pure functions decide: in which order nodes are asked (`node_order`),
what their answers amount to (`quorum`, `lease_decision`).

A process keeps no state of it: any other can do the next operation. Knows nothing of disks, databases and of the
APIs that clients speak.
"""
