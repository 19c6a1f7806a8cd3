"""Small objects packed into volumes: append-only files that many records share.

Nouns. A *record* is one change of a name, with its metadata and content. It lies at a *place* in a *volume*. The
*index* has, for each name, the places of its changes. A record that counts no more is *dead*; a mark says so, and the
*compactor* frees the room of volumes that are mostly dead.

Promises. Those of `objstore.store.interface`. What is acknowledged is in a volume and synced; the index can be lost at
any time, and is rebuilt of the volumes. doc/format_volume.md says what is on disk.
"""
