"""The vocabulary: names, nodes, timestamps, metadata classes, policies, limits, errors.

Frozen values and pure functions; imports nothing but the standard library and knows
nothing of files, sockets and HTTP.
"""
