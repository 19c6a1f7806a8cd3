"""The account, container and object servers: verbs over `store`, for proxies and daemons only.

A `StorageServer` handles the requests of `wire.messages` about names of its own kind. `wire.local` passes them on
unchanged; `http_adapter` decodes them from HTTP. The servers trust their requests: permissions are checked before. They
know nothing of rings and of the proxy.
"""
