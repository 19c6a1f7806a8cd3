"""Buckets: the registry of who owns which name, and the configuration documents of a bucket."""
