"""The account, container and object servers: WSGI apps over `store`, for proxies and daemons only.

Each answers `/<device>/<partition>/<account>[/<container>[/<object>]]` for its own depth of
name. They trust what they are asked: who may do what is decided before.
Knows nothing of rings and of the proxy.
"""
