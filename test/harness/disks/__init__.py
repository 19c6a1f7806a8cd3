"""Disks that fail below a real file system; see `faulty`."""
