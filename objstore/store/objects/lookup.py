"""Finding what is live at a location, and opening it. Everything here blocks."""

from __future__ import annotations

from typing import NamedTuple

from objstore.core.errors import Corrupt, DeviceUnavailable
from objstore.runtime.files import Files, OpenFile
from objstore.store.interface import ObjectInfo
from objstore.store.objects.disk_errors import UNREADABLE
from objstore.store.objects.file_io import read_spilled, read_whole
from objstore.store.objects.format import ATTRIBUTE, Unsound, decode_record
from objstore.store.objects.layout import DATA, FileName
from objstore.store.objects.liveness import Liveness, decide, parse_names
from objstore.store.objects.records import MetaRecord, fold, lay_over, read_data, read_meta

_RETRIES = 20  # of an opening whose file is replaced after the listing


class BadFile(Exception):
    """A file that is not what was written; it must be quarantined."""

    def __init__(self, name: FileName, why: Exception) -> None:
        super().__init__(f"{name}: {why}")
        self.name = name


class UnreadableFile(OSError):
    """A file that the device fails to read."""

    def __init__(self, name: FileName, why: OSError) -> None:
        super().__init__(why.errno, f"{name}: {why.strerror}")
        self.name = name


class Found(NamedTuple):
    """An open object. meta: what its .meta files say. spilled: bytes of its record in the trailer."""

    name: FileName
    file: OpenFile
    info: ObjectInfo
    meta: MetaRecord | None
    spilled: int


def look_up(files: Files, directory: str) -> Found | Liveness:
    """The live object of a hash directory, or its liveness where there is no data.

    Raises BadFile; OSError if the device fails, UnreadableFile among it; DeviceUnavailable.
    """
    for _ in range(_RETRIES):
        try:
            names = files.list(directory)
        except FileNotFoundError:
            names = []
        live = decide(parse_names(names))
        if live.data is None:
            return live
        try:
            return _open(files, directory, live.data, live)
        except FileNotFoundError:  # replaced since the listing
            continue
    raise DeviceUnavailable(f"{directory} changes faster than it can be read")


def live_info(files: Files, directory: str) -> ObjectInfo | None:
    """The live object of a hash directory, None where there is none; raises Corrupt and OSError."""
    try:
        found = look_up(files, directory)
    except BadFile as error:
        raise Corrupt(f"{directory}: {error}") from error
    if not isinstance(found, Found):
        return None
    found.file.close()
    return found.info


def holds_record(files: Files, path: str, name: FileName, record: bytes) -> bool:
    """Does a file of this name hold this very record? Raises OSError."""
    file = files.open(path)
    try:
        if name.kind == DATA:
            kept = files.attribute(file.fd, ATTRIBUTE)
            if kept is None:
                kept = read_spilled(files, file)
        else:
            kept = read_whole(files, file)
        return kept == record or decode_record(kept) == decode_record(record)
    except Unsound:
        return False
    finally:
        file.close()


def _open(files: Files, directory: str, name: FileName, live: Liveness) -> Found:
    bad = name  # the file that an error is about
    file = None
    try:
        file = files.open(f"{directory}/{name}")
        spilled = 0
        record = files.attribute(file.fd, ATTRIBUTE)
        if record is None:
            record = read_spilled(files, file)
            spilled = len(record)
        info = read_data(decode_record(record), name)
        if live.meta is None and live.content_type is None:
            return Found(name, file, info, None, spilled)
        metas = []
        for bad in {live.meta, live.content_type} - {None}:  # type: ignore[assignment]
            metas.append(_read_meta(files, directory, bad))
        meta = fold(metas[0], metas[-1], name.timestamp)
        return Found(name, file, lay_over(info, meta), meta, spilled)
    except BaseException as error:
        if file is not None:
            file.close()
        if isinstance(error, ValueError):
            raise BadFile(bad, error) from error
        if isinstance(error, OSError) and error.errno in UNREADABLE:
            raise UnreadableFile(bad, error) from error
        raise


def _read_meta(files: Files, directory: str, name: FileName) -> MetaRecord:
    file = files.open(f"{directory}/{name}")
    try:
        return read_meta(decode_record(read_whole(files, file)), name)
    finally:
        file.close()
