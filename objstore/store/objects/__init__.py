"""Object engines: how the objects of a storage policy are kept on one device.

Nouns. A *location* is a partition and a name hash. What engines keep there are *changes* of the
name: data, metadata (of a later POST) and tombstones. Those that count are *live*, the others
*obsolete*. The file engine has a *hash directory* for each location and a file for each change; a
*record* is the metadata of one change. A file found wrong is *quarantined*: moved aside, together
with what it would otherwise bring to light.

Promises. Those of `objstore.store.interface`, which all engines pass one suite for:
`FileReplicaStore` on disk and `MemoryStore` in memory. They share the rules of what counts
(`liveness`), what replicas compare (`summaries`) and changes as bytes (`change_stream`). Paths of
files are built and parsed in `layout`; the durable write is `commit`. `FileReplicaStore` adds to
`FileStore` what replicators and auditors ask: `hashes` that are kept, `upkeep`, `verify`.
doc/format_object.md and doc/ordering.md say what is on disk, and in what order it gets there.

Knows nothing of HTTP, rings, peers, or what a name means.
"""
