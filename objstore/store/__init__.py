"""Bytes and rows on one device: object engines, account and container databases, the update spool.

`interface` is the contract of object engines. Knows nothing of HTTP, rings and peers.
"""
