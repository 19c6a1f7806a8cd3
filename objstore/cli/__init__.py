"""The commands: `objstore ...` and those of the servers.

They read arguments, call `assembly` and `health`, and print.
"""
