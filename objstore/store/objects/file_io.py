"""Reading the records and trailers of an object's files, whole and at once."""

from __future__ import annotations

from objstore.runtime.files import Files, OpenFile
from objstore.store.objects.format import FOOTER, Trailer, Unsound, decode_footer, decode_trailer, trailer_size


def read_whole(files: Files, file: OpenFile) -> bytes:
    """The content of a .meta or .ts file."""
    buffer = bytearray(files.size(file.fd))
    return bytes(buffer[: files.read_at(file.fd, buffer, 0)])


def read_trailer(files: Files, file: OpenFile) -> Trailer:
    """The trailer at the end of a .data file; raises Unsound."""
    length = files.size(file.fd)
    footer = bytearray(FOOTER.size)
    count = files.read_at(file.fd, footer, max(0, length - len(footer)))
    size, record_size = decode_footer(footer[:count])
    if length != size + trailer_size(size, record_size):
        raise Unsound("the file's length does not match its footer")
    trailer = bytearray(length - size)
    files.read_at(file.fd, trailer, size)
    return decode_trailer(trailer)


def read_spilled(files: Files, file: OpenFile) -> bytes:
    """Return the record in the trailer of a .data file; raises Unsound if there is none."""
    record = read_trailer(files, file).record
    if not record:
        raise Unsound("the file has no metadata")
    return record


def read_aside(files: Files, file: OpenFile, view: memoryview, offset: int) -> int:
    """Fill a buffer, and return the number of bytes read; memory then holds of the file what it held before."""
    try:
        cached = files.read_cached(file.fd, view, offset)
    except BlockingIOError:
        cached = 0
    except OSError:  # the file system cannot tell; what is wrong with the file, the next call shows
        cached = -1
    if cached == len(view):
        return cached
    done = max(0, cached)
    done += files.read_at(file.fd, view[done:], offset + done)
    if cached >= 0:
        files.drop_cached(file.fd, offset + cached, done - cached)
    return done
