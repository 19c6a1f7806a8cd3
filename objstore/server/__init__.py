"""The account, container and object servers: verbs over `store`, for proxies and daemons only.

A `StorageServer` handles the requests of `wire.messages` about names of its own kind. `wire.local` hands them over as
they are; `http_adapter` turns those that come by HTTP into the same. They trust what they are asked: who may do what is
decided before.
Knows nothing of rings and of the proxy.
"""
