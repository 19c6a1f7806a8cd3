"""Object engines: how the objects of a storage policy are kept on one device.

Nouns. A *location* is a partition and a name hash; its *hash directory* holds the files of
one name: *data* (content, trailer, metadata), *meta* (of a later POST) and *tombstone*. What
counts of them is *live*, the rest *obsolete*. A *record* is the metadata of one file. A file
found wrong is *quarantined*: moved aside, together with what it would otherwise bring to
light.

Promises. Those of `objstore.store.interface`, which all engines pass one suite for:
`FileStore` on disk and `MemoryStore` in memory. Names of files are built and parsed in
`layout`, judged in `liveness`; the durable write is `commit`. `FileReplicaStore` adds what
replicators and auditors ask: `hashes` of what there is, `changes` as bytes, `upkeep`, `verify`.
doc/format_object.md and doc/ordering.md say what is on disk, and in what order it gets there.

Knows nothing of HTTP, rings, peers, or what a name means.
"""
