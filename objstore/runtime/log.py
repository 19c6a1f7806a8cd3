"""Logs: where they go, and lines of the access log written whole.

A message that belongs to a request is logged with `extra={"trans_id": ...}`; its line ends
in `(txn: ...)`.
"""

from __future__ import annotations

import fcntl
import logging
import logging.handlers
import os
import re
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from objstore.core.errors import ConfigError
from objstore.runtime import green, settings
from objstore.runtime.files import FILES
from objstore.runtime.settings import choice, setting

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def destination(text: str) -> str:
    """stdout, stderr, syslog, none, or the absolute path of a file."""
    text = text.strip()
    if text in ("stdout", "stderr", "syslog", "none") or text.startswith("/"):
        return text
    raise ValueError("is neither stdout, stderr, syslog, none, nor an absolute path")


@dataclass(frozen=True)
class LogSettings:
    """The destination and the level of a log."""

    log_name: str = setting(str.strip, "objstore", "name at the start of each line")
    log_level: str = setting(choice(*_LEVELS), "INFO", "DEBUG, INFO, WARNING, ERROR or CRITICAL")
    log_to: str = setting(destination, "stderr", "log: stdout, stderr, syslog, none, or the path of a file")
    log_address: str = setting(str.strip, "/dev/log", "syslog's socket, or host:port for UDP")
    log_facility: str = setting(str.strip, "local0", "syslog facility")


_UNPRINTABLE = re.compile(
    r"[\x00-\x1f\x7f-\x9f]"  # control characters
    r"|[\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]"  # ends of lines, and changes of direction
    r"|[\ud800-\udfff]"  # surrogates
)


def one_line(text: str) -> str:
    """Text that ends no line and moves no cursor, whatever clients put into names: `#012` for a line feed.

    Control characters are octal, as syslog daemons write them; bytes that are no UTF-8 (surrogates) likewise.
    """
    return text if text.isprintable() else _UNPRINTABLE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    number = ord(match[0])
    if 0xDC80 <= number <= 0xDCFF:
        number &= 0xFF
    return f"#{number:03o}" if number <= 0xFF else f"#u{number:04x}"


class _Lines(logging.Formatter):
    """One line a message, tracebacks among them, so that lines of several workers stay apart."""

    def __init__(self, dated: bool) -> None:
        super().__init__(
            ("%(asctime)s " if dated else "") + "%(log_name)s[%(process)d] %(levelname)s %(message)s",
            "%Y-%m-%dT%H:%M:%S%z",
        )

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        trans_id = getattr(record, "trans_id", "")
        return one_line(f"{line} (txn: {trans_id})" if trans_id else line)


class _Named(logging.Filter):
    def __init__(self, log_name: str) -> None:
        super().__init__()
        self._log_name = log_name

    def filter(self, record: logging.LogRecord) -> bool:
        record.log_name = self._log_name
        return True


def get_logger(values: LogSettings, name: str = "") -> logging.Logger:
    """Return the logger of a server or daemon, configured by `values`.

    A log file that was moved away is reopened. A second call with the same name and settings changes nothing.
    """
    log_name = name or values.log_name
    logger = logging.getLogger(f"objstore.{log_name}")
    wanted = (values.log_to, values.log_address, values.log_facility, log_name)
    if [handler.name for handler in logger.handlers] != [repr(wanted)]:
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
            handler.close()
        made = _handler(values)
        made.set_name(repr(wanted))
        made.setFormatter(_Lines(dated=values.log_to != "syslog"))
        made.addFilter(_Named(log_name))
        logger.addHandler(made)
        logger.propagate = False
    logger.setLevel(values.log_level)
    return logger


def from_conf(conf: Mapping[str, str], name: str = "") -> logging.Logger:
    """The logger that a section's own settings ask for."""
    return get_logger(settings.read(LogSettings, conf, "logging"), name)


def _handler(values: LogSettings) -> logging.Handler:
    if values.log_to == "none":
        return logging.NullHandler()
    if values.log_to in ("stdout", "stderr"):
        return logging.StreamHandler(getattr(sys, values.log_to))
    if values.log_to == "syslog":
        return logging.handlers.SysLogHandler(_syslog_address(values), _facility(values))
    try:
        return logging.handlers.WatchedFileHandler(values.log_to)
    except OSError as error:
        raise ConfigError(f"log_to = {values.log_to}: {error.strerror}") from None


def _facility(values: LogSettings) -> int:
    number = logging.handlers.SysLogHandler.facility_names.get(values.log_facility.lower().removeprefix("log_"))
    if number is None:
        raise ConfigError(f"log_facility = {values.log_facility}: no such facility")
    return number


def _syslog_address(values: LogSettings) -> str | tuple[str, int]:
    host, colon, port = values.log_address.rpartition(":")
    return (host, int(port)) if colon and port.isdigit() else values.log_address


class LineWriter(Protocol):
    """The destination of an access log."""

    def write(self, line: str) -> None:
        """Write one line, given without its end. Never raises: a full disk must not fail requests."""
        ...


class FileLines:
    """Each line is one write, so that workers can share a file, pipe or terminal.

    A file that was moved away (rotated) is noticed within `watch` seconds, or by `reopen`. One larger than `most` bytes
    is moved to `<path>.1`, replacing an older one; 0 for no limit.
    """

    def __init__(self, path: str = "", fd: int = -1, watch: float = 1.0, most: int = 0) -> None:
        """path: of a file; without one, lines go to the descriptor `fd`. Raises OSError if it cannot be opened."""
        self._path = path
        self._most = most
        self._watch = watch
        self._checked = 0.0
        self.lost = 0  # lines that could not be written
        self._fd = self._open() if path else fd

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)

    def write(self, line: str) -> None:
        self.append(one_line(line))

    def append(self, lines: str) -> None:
        """Write lines that are known to be safe, without the last end."""
        if self._path:
            now = time.monotonic()
            if now - self._checked > self._watch:
                self._checked = now
                self._notice_rotation()
        try:
            os.write(self._fd, (lines + "\n").encode("utf-8", "surrogateescape"))
        except OSError:
            self.lost += 1

    def _notice_rotation(self) -> None:
        try:
            there = os.stat(self._path)
        except OSError:
            self.reopen()
            return
        ours = os.fstat(self._fd)
        if (there.st_ino, there.st_dev) != (ours.st_ino, ours.st_dev):
            self.reopen()
        elif self._most and there.st_size > self._most:
            self._rotate()

    def _rotate(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # of several workers, one does it
            if os.stat(self._path).st_ino == os.fstat(self._fd).st_ino:
                FILES.rename(self._path, self._path + ".1")
        except OSError:
            return
        self.reopen()

    def reopen(self) -> None:
        """Reopen the path; the old file stays open if that fails."""
        if self._path:
            try:
                fd = self._open()
            except OSError:
                return
            os.close(self._fd)
            self._fd = fd


class DelayedLines:
    """Gathers the lines of a short while into one write: a write a line costs as much as much of a request.

    Used from the event loop. A process that is killed loses what it gathered, one that ends does not.
    """

    def __init__(self, lines: FileLines, delay: float) -> None:
        """delay: in seconds."""
        self._lines = lines
        self._delay = delay
        self._gathered: list[str] = []
        self._at_end = _FlushAtEnd(self.flush)  # logging itself keeps only a weak reference

    def write(self, line: str) -> None:
        self._gathered.append(one_line(line))
        if len(self._gathered) == 1:
            green.later(self._delay, self.flush)

    def flush(self) -> None:
        gathered, self._gathered = self._gathered, []
        if gathered:
            self._lines.append("\n".join(gathered))


class _FlushAtEnd(logging.Handler):
    """Has `logging.shutdown`, with which every process ends, call a function."""

    def __init__(self, flush: Callable[[], None]) -> None:
        super().__init__()
        self._flush = flush

    def flush(self) -> None:
        self._flush()


class SyslogLines:
    """Each line is one datagram (RFC 3164), at level info; dropped where the daemon does not take it at once."""

    def __init__(self, address: Any, facility: int, name: str) -> None:
        self._start = f"<{facility * 8 + 6}>{name}: "
        self._address = address
        self._socket: socket.socket | None = None
        self.lost = 0

    def write(self, line: str) -> None:
        try:
            if self._socket is None:
                self._socket = self._connected()
            self._socket.send((self._start + one_line(line)).encode("utf-8", "surrogateescape"), socket.MSG_DONTWAIT)
        except OSError:
            self.lost += 1
            if self._socket is not None:
                self._socket.close()  # the daemon may have been restarted
            self._socket = None

    def _connected(self) -> socket.socket:
        family = socket.AF_UNIX if isinstance(self._address, str) else socket.AF_INET
        made = socket.socket(family, socket.SOCK_DGRAM)
        try:
            made.connect(self._address)
        except BaseException:
            made.close()
            raise
        return made


class NoLines:
    def write(self, line: str) -> None:
        pass


def line_writer(values: LogSettings, name: str = "", size: int = 0, delay: float = 0.0) -> LineWriter:
    """The writer of an access log; raises ConfigError if a file cannot be opened.

    size: at which the file is moved away, 0 for never. delay: seconds for which lines are gathered.
    """
    if values.log_to == "none":
        return NoLines()
    if values.log_to in ("stdout", "stderr"):
        return FileLines(fd=1 if values.log_to == "stdout" else 2)
    if values.log_to == "syslog":
        return SyslogLines(_syslog_address(values), _facility(values), name or values.log_name)
    try:
        lines = FileLines(values.log_to, most=size)
    except OSError as error:
        raise ConfigError(f"log_to = {values.log_to}: {error.strerror}") from None
    return DelayedLines(lines, delay) if delay else lines
