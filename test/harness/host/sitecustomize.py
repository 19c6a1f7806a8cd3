"""Puts a server of a test's cluster at the test's mercy; Python loads this before anything else (see `site`).

Nothing of the store knows of it. The environment says what it does:

HARNESS_STATE    file of `harness.hosts.State`: how far the clock is ahead, and whether devices are full
HARNESS_SOURCE   address of this host, from which its connections are to come
HARNESS_RELAYS   `<first port> <last port> <offset>`: connections to these ports go to as many ports further on
"""

import mmap
import os
import socket
import struct
import time

_NO_PORT_YET = 24  # IP_BIND_ADDRESS_NO_PORT: the port is chosen when the other end is known


def _lie(path):
    with open(path, "r+b") as file:
        state = mmap.mmap(file.fileno(), 0)
    fields = struct.Struct("<dd")
    real_time, real_time_ns, real_space = time.time, time.time_ns, os.statvfs

    def shifted():
        return real_time() + fields.unpack_from(state)[0]

    def shifted_ns():
        return real_time_ns() + int(fields.unpack_from(state)[0] * 1e9)

    def space(path):
        found = real_space(path)
        if not fields.unpack_from(state)[1]:
            return found
        return os.statvfs_result((*found[:3], 0, 0, *found[5:], found.f_fsid))

    time.time, time.time_ns, os.statvfs = shifted, shifted_ns, space


def _divert(source, first, last, offset):
    real = socket.socket.connect_ex

    def connect_ex(sock, address):
        if sock.family != socket.AF_INET or not first <= address[1] <= last:
            return real(sock, address)
        sock.setsockopt(socket.IPPROTO_IP, _NO_PORT_YET, 1)
        sock.bind((source, 0))
        return real(sock, (address[0], address[1] + offset))

    socket.socket.connect_ex = connect_ex


if "HARNESS_STATE" in os.environ:
    _lie(os.environ["HARNESS_STATE"])
if "HARNESS_RELAYS" in os.environ:
    _divert(os.environ["HARNESS_SOURCE"], *map(int, os.environ["HARNESS_RELAYS"].split()))
