"""Bulk requests of the Swift API: many objects stored from one archive, many names deleted by one list.

A *member* is an entry of a tar archive: a file, directory, link or device. An *extraction* stores the files of an
archive as objects; a *deletion* deletes the objects and containers of a list. Each name succeeds or fails by itself.
Both use the object layer directly, so each object costs what a single request costs below HTTP, and has all properties
that the layers give it.

Memory is bounded by settings, whatever the client sends: archives are read as streams, headers and lists have limits.

It knows nothing of nodes, rings and disks.
"""
