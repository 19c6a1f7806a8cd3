"""Static large objects of the Swift API (SLO): a client uploads segments as objects, and a manifest that lists them.

A *manifest* is an object that is read as its segments (`layers.manifests`); its *list* names them. The client sends a
*document* (`document`), which is checked against the segments (`validation`) and stored as the list. A *segment* is an
object of the same account, a range of one, or bytes in the list itself; it may be a large object too.

It knows nothing of how manifests are read.
"""
