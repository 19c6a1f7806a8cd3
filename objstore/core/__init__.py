"""The vocabulary: names, nodes, timestamps, metadata classes, policies, limits, errors.

Frozen values and pure functions. It imports only the standard library and knows nothing of files, sockets and HTTP.
"""
