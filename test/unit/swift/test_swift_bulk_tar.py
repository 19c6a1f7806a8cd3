"""Archives as streams: what tar programs write is read, and hostile input is bounded."""

import io
import random
import tarfile
import tracemalloc

import pytest
from harness.archives import archive, of_type

from objstore.core.errors import BodyTruncated, InvalidInput, LimitExceeded
from objstore.swift.bulk import tar_format
from objstore.swift.bulk.tar_format import MemberKind
from objstore.swift.bulk.tar_reader import PIECE, TarReader

LIMIT = 1 << 20


def header(name=b"x", size=0, type=b"0", magic=b"ustar\x0000", **fields):
    """Return a header block as bytes, with a checksum."""
    block = bytearray(512)
    block[: len(name)] = name
    block[124:136] = size if isinstance(size, bytes) else b"%011o\0" % size
    block[156:157] = type
    block[257:265] = magic
    for at, value in fields.items():
        start = int(at.removeprefix("at"))
        block[start : start + len(value)] = value
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def padded(data):
    return data + bytes(-len(data) % 512)


def reader(data, step=0, limit=LIMIT, **kwargs):
    """Return a reader of bytes, which arrive in pieces of up to `step`."""
    source = io.BytesIO(data)
    return TarReader(lambda: source.read(step or len(data) or 1), limit, **kwargs)


def members(data, **kwargs):
    read = reader(data, **kwargs)
    found = []
    while (member := read.next()) is not None:
        found.append((member.kind, member.name, b"".join(read.content())))
    return found


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("step", [1, 7, 511, 513, 100_000])
def test_files_of_each_format_in_any_pieces(format, step):
    content = random.Random(1).randbytes(3000)
    names = ["a", "dir/" + "n" * 90, "d" * 100 + "/" + "f" * 100]
    data = archive(*((name, content[: 1000 * at]) for at, name in enumerate(names)), format=format)
    assert members(data, step=step) == [
        (MemberKind.FILE, name.encode(), content[: 1000 * at]) for at, name in enumerate(names)
    ]


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_names_longer_than_a_header_and_not_utf8(format):
    name = "x" * 2000 + "/\udcff\udcfe/ä"
    assert [found[1] for found in members(archive((name, b"1"), format=format))] == [
        name.encode("utf-8", "surrogateescape")
    ]


def test_members_without_content_are_of_their_kind():
    types = {
        tarfile.DIRTYPE: MemberKind.DIRECTORY,
        tarfile.SYMTYPE: MemberKind.SYMBOLIC_LINK,
        tarfile.LNKTYPE: MemberKind.HARD_LINK,
        tarfile.CHRTYPE: MemberKind.DEVICE,
        tarfile.BLKTYPE: MemberKind.DEVICE,
        tarfile.FIFOTYPE: MemberKind.PIPE,
    }
    data = archive(*(of_type("m", type) for type in types), ("last", b"content"))
    assert [found[0] for found in members(data)] == [*types.values(), MemberKind.FILE]


def test_an_unknown_type_is_skipped_with_its_content():
    data = header(b"odd", 700, b"Z") + padded(bytes(700)) + archive(("a", b"1"))
    assert [(kind, name) for kind, name, _ in members(data)] == [(MemberKind.OTHER, b"odd"), (MemberKind.FILE, b"a")]


def test_a_slash_makes_a_directory_only_in_the_oldest_format():
    data = header(b"old/", type=b"\0", magic=bytes(8)) + header(b"new/") + bytes(1024)
    assert [(kind, name) for kind, name, _ in members(data)] == [
        (MemberKind.DIRECTORY, b"old/"),
        (MemberKind.FILE, b"new/"),
    ]


def test_sizes_in_base_256():
    content = b"x" * 600
    data = header(b"big", b"\x80" + (600).to_bytes(11, "big")) + padded(content) + bytes(1024)
    assert members(data) == [(MemberKind.FILE, b"big", content)]
    with pytest.raises(InvalidInput, match="invalid header"):
        members(header(b"negative", b"\xff" * 12))


def test_a_signed_checksum_counts():
    block = bytearray(header(b"\xe4"))
    block[148:156] = b" " * 8
    signed = sum(byte - 256 if byte > 127 else byte for byte in block)
    block[148:156] = b"%06o\0 " % signed
    assert members(bytes(block) + bytes(1024)) == [(MemberKind.FILE, b"\xe4", b"")]


# PAX records


def attributes(records):
    read = reader(archive(("a", b"", records)))
    return read.next().records.attributes


def test_attributes_of_both_writers():
    star = {"SCHILY.xattr.user.meta.a": "1", "SCHILY.xattr.user.mime_type": "x/y"}
    assert attributes(star) == {b"user.meta.a": b"1", b"user.mime_type": b"x/y"}
    assert attributes({"LIBARCHIVE.xattr.user.meta.%61": "Zm9vYg"}) == {b"user.meta.a": b"foob"}
    both = {"LIBARCHIVE.xattr.user.meta.a": "Mg", "SCHILY.xattr.user.meta.a": "1"}
    assert attributes(both) == {b"user.meta.a": b"1"}


def test_global_records_count_for_all_and_those_of_a_member_win():
    def extended(type, *records):
        data = b""
        for key, value in records:
            body = f" {key}={value}\n".encode()
            length = len(body) + len(str(len(body) + 2))
            data += str(length).encode() + body
        return header(b"pax", len(data), type) + padded(data)

    everyone, one = ("SCHILY.xattr.user.meta.a", "all"), ("SCHILY.xattr.user.meta.a", "one")
    data = (
        extended(b"g", everyone) + header(b"a") + extended(b"x", one, ("path", "named")) + header(b"b") + header(b"c")
    )
    read = reader(data + bytes(1024))
    found = [read.next() for _ in range(3)]
    assert [member.name for member in found] == [b"a", b"named", b"c"]
    assert [member.records.attributes[b"user.meta.a"] for member in found] == [b"all", b"one", b"all"]


@pytest.mark.parametrize(
    "data",
    [
        b"5 a=b\n",
        b"999 a=b\n",
        b"x a=b\n",
        b"-1 a=b\n",
        b"6 a=bc",
        b"6 abc\n",
        b"99999999999999999999999 a=b\n",
        b"12 size=abc\n",
        b" 6 a=b\n",
    ],
)
def test_malformed_records_are_refused(data):
    with pytest.raises(InvalidInput):
        tar_format.parse_records(data)


def test_malformed_base64_is_refused():
    with pytest.raises(InvalidInput, match="base64"):
        attributes({"LIBARCHIVE.xattr.user.meta.a": "$$$"})


# Sparse files


def old_sparse(parts, size, content, name=b"s"):
    first, rest = parts[:4], parts[4:]
    pairs = b"".join(b"%011o\0%011o\0" % part for part in first)
    blocks = []
    while rest:
        now, rest = rest[:21], rest[21:]
        block = b"".join(b"%011o\0%011o\0" % part for part in now)
        blocks.append(block.ljust(504, b"\0") + (b"\1" if rest else b"\0") + bytes(7))
    fields = {"at386": pairs, "at482": b"\1" if blocks else b"\0", "at483": b"%011o\0" % size}
    head = header(name, len(content), b"S", b"ustar  \0", **fields)
    return head + b"".join(blocks) + padded(content) + bytes(1024)


@pytest.mark.parametrize("count", [1, 4, 5, 30])
def test_old_sparse_files_are_whole(count):
    parts = [(at * 1000 + 10, 5) for at in range(count)]
    expected = bytearray(count * 1000 + 77)
    for at, length in parts:
        expected[at : at + length] = b"data!"
    assert members(old_sparse(parts, len(expected), b"data!" * count)) == [(MemberKind.FILE, b"s", bytes(expected))]


@pytest.mark.parametrize("version", ["0.0", "0.1", "1.0"])
def test_pax_sparse_files_are_whole(version):
    expected = bytes(100) + b"one" + bytes(600_000) + b"two" + bytes(50)
    parts = [(100, 3), (600_103, 3)]
    content = b"onetwo"
    numbers = [number for part in parts for number in part]
    base = {"GNU.sparse.name": "real"}
    if version == "1.0":
        listed = b"".join(b"%d\n" % number for number in (2, *numbers))
        content = padded(listed) + content
        records = base | {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(len(expected))}
    elif version == "0.1":
        records = base | {"GNU.sparse.size": str(len(expected)), "GNU.sparse.map": ",".join(map(str, numbers))}
    else:
        data = b""
        pairs = [("GNU.sparse.size", len(expected)), ("GNU.sparse.numblocks", 2), ("GNU.sparse.name", "real")]
        for at, length in parts:
            pairs += [("GNU.sparse.offset", at), ("GNU.sparse.numbytes", length)]
        for key, value in pairs:
            body = f" {key}={value}\n".encode()
            data += str(len(body) + 2).encode() + body
        made = header(b"pax", len(data), b"x") + padded(data) + header(b"s", 6) + padded(content) + bytes(1024)
        assert members(made) == [(MemberKind.FILE, b"real", expected)]
        return
    assert members(archive(("GNUSparseFile.1/real", content, records))) == [(MemberKind.FILE, b"real", expected)]


@pytest.mark.parametrize(
    ("parts", "size"),
    [([(0, 5)], 3), ([(10, 5), (5, 5)], 100), ([(0, 4)], 100), ([(0, 3), (2, 2)], 10), ([(2**32, 5)], 100)],
)
def test_sparse_maps_that_do_not_fit_are_refused(parts, size):
    with pytest.raises(InvalidInput, match="sparse"):
        members(old_sparse(parts, size, b"12345"))


def test_the_holes_of_a_sparse_file_are_counted_before_they_are_made():
    seen = []

    def count(size):
        seen.append(size)
        if sum(seen) > 10 * PIECE:
            raise LimitExceeded("enough")

    with pytest.raises(LimitExceeded):
        members(old_sparse([], 8 << 30, b""), on_holes=count)
    assert len(seen) == 11


# Damage, and limits


def test_an_empty_file_and_garbage():
    for data, message in ((b"", "empty"), (b"x" * 100, "truncated header"), (b"x" * 3000, "invalid header")):
        with pytest.raises(InvalidInput, match=message):
            members(data)


def test_every_truncation_is_an_end_or_an_error():
    data = archive(("a", b"x" * 700), ("n" * 300, b"y" * 100, {"SCHILY.xattr.user.meta.b": "c"}), ("c", b"z"))
    whole = members(data)
    used = data.rstrip(b"\0")
    for end in range(0, len(used), 37):
        read = reader(data[:end], step=100)
        found = []
        try:
            while (member := read.next()) is not None:
                found.append((member.kind, member.name, b"".join(read.content())))
        except (BodyTruncated, InvalidInput):
            pass
        assert found == whole[: len(found)]
        assert not read.has_end


def test_the_mark_at_the_end_is_seen():
    data = archive(("a", b"1"))
    read = reader(data)
    while read.next() is not None:
        list(read.content())
    assert read.has_end
    without = reader(data[:1024])
    while without.next() is not None:
        list(without.content())
    assert not without.has_end


@pytest.mark.parametrize("type", [b"L", b"K", b"x", b"g", b"X"])
def test_an_extended_header_of_a_gibibyte_is_refused_at_once(type):
    read = reader(header(b"long", 1 << 30, type) + b"x" * 5000)
    with pytest.raises(LimitExceeded, match="1073741824"):
        read.next()


def test_global_headers_together_have_a_limit():
    data = b""
    for number in range(300):
        body = b" SCHILY.xattr.user.meta.%d=%s\n" % (number, b"v" * 5000)
        text = b"%d" % (len(body) + 4) + body
        data += header(b"g", len(text), b"g") + padded(text)
    with pytest.raises(LimitExceeded, match="together"):
        reader(data).next()


def test_sparse_maps_have_a_limit():
    parts = [(at * 2, 1) for at in range(2000)]
    with pytest.raises(LimitExceeded):
        members(old_sparse(parts, 4000, b"1" * 2000), limit=10_000)
    records = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "10"}
    with pytest.raises(LimitExceeded):
        members(archive(("s", b"1000000\n" + b"1\n" * 100_000, records)), limit=10_000)


def test_a_hundred_thousand_members_need_no_memory():
    block = header(b"dir", type=b"5")
    count = 100_000
    sent = iter([block * 1000] * (count // 1000))
    read = TarReader(lambda: next(sent, b""), LIMIT)
    found = 0
    tracemalloc.start()
    try:
        while read.next() is not None:
            found += 1
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    assert found == count


def test_random_damage_raises_nothing_else():
    data = archive(("a", b"x" * 700), ("n" * 300, b"y", {"SCHILY.xattr.user.meta.b": "c"})) + old_sparse(
        [(5, 5)], 20, b"12345"
    )
    chance = random.Random(7)
    for _ in range(2000):
        damaged = bytearray(data)
        for _ in range(chance.randrange(1, 4)):
            damaged[chance.randrange(len(data))] = chance.randrange(256)
        # With its checksum right, so that the fields are read.
        for at in range(0, len(damaged), 512):
            block = damaged[at : at + 512]
            if block[257:262] == b"ustar" and chance.random() < 0.8:
                block[148:156] = b" " * 8
                damaged[at + 148 : at + 156] = b"%06o\0 " % sum(block)
        read = reader(bytes(damaged), limit=4096)
        size = 0
        try:
            while (member := read.next()) is not None and size < 1 << 20:
                for piece in read.content():
                    size += len(piece)
                    if size > 1 << 20:
                        break
                assert member.name is not None
        except (BodyTruncated, InvalidInput):
            pass
