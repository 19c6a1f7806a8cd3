"""The answer to a bulk request: counts, errors by name and a status, as text, JSON or XML in Swift's forms.

The HTTP status is 200 whatever happens, since the answer begins before the outcome is known; the status of the outcome
is in the body. Names are percent-encoded.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from time import monotonic
from xml.sax.saxutils import escape

from objstore.runtime import green
from objstore.web import listings
from objstore.web.responses import status_line

CREATED, DELETED, NOT_FOUND = "Number Files Created", "Number Deleted", "Number Not Found"
_SKIPPED = "Number Skipped"


class BulkReport:
    """The outcome of a request so far.

    root: of the XML document. counts: names of counts, in the order of the answer. success: the status if nothing
    fails. max_listed: limit of the skipped members that are listed; all are counted.
    """

    def __init__(self, root: str, counts: tuple[str, ...], success: int, max_listed: int = 0) -> None:
        self.root = root
        self.counts = dict.fromkeys(counts, 0)
        self.errors: list[tuple[str, str]] = []
        self.skipped: list[tuple[str, str]] = []
        self.skipped_count = 0
        self.note = ""
        self._success = success
        self._max_listed = max_listed
        self._refused = 0
        self._has_server_error = False

    def count(self, name: str, number: int = 1) -> None:
        self.counts[name] += number

    def fail(self, name: str, status: int) -> None:
        """Record the error of a name."""
        self.errors.append((name, status_line(status)))
        self._has_server_error = self._has_server_error or status >= 500

    def skip(self, name: str, reason: str) -> None:
        """Record a member that is not stored, without an error."""
        self.skipped_count += 1
        if len(self.skipped) < self._max_listed:
            self.skipped.append((name, reason))

    def refuse(self, status: int, note: str = "") -> None:
        """End with a status that does not follow from the names, and a note for people. The first one counts."""
        if not self._refused:
            self._refused, self.note = status, note

    @property
    def is_refused(self) -> bool:
        return bool(self._refused)

    @property
    def status(self) -> int:
        """The status of the whole."""
        if self._refused:
            return self._refused
        if self.errors:
            return 502 if self._has_server_error else 400
        return self._success

    # Forms

    def rendered(self, media_type: str) -> bytes:
        """Return the document. media_type: one of `web.listings.TYPES`; others are answered with text."""
        if media_type == listings.JSON:
            return self._json()
        return self._xml() if media_type.endswith("/xml") else self._text()

    @property
    def _counts(self) -> dict[str, int]:
        return {**self.counts, **({_SKIPPED: self.skipped_count} if self.skipped_count else {})}

    def _json(self) -> bytes:
        document: dict[str, object] = {
            "Response Status": status_line(self.status),
            "Response Body": self.note,
            **self._counts,
            "Errors": self.errors,
        }
        if self.skipped_count:
            document["Skipped"] = self.skipped
        return json.dumps(document).encode()

    def _text(self) -> bytes:
        lines = [f"{name}: {number}" for name, number in self._counts.items()]
        lines += [f"Skipped: {name}, {reason}" for name, reason in self.skipped]
        lines += [f"Response Body: {self.note}", f"Response Status: {status_line(self.status)}", "Errors:"]
        lines += [f"{name}, {line}" for name, line in self.errors]
        return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")

    def _xml(self) -> bytes:
        lines = [element(name, str(number)) for name, number in self._counts.items()]
        lines += [element("Response Body", self.note), element("Response Status", status_line(self.status))]
        lines += entries("errors", "status", self.errors)
        if self.skipped_count:
            lines += entries("skipped", "reason", self.skipped)
        return "\n".join((f"<{self.root}>", *lines, f"</{self.root}>\n")).encode("utf-8", "replace")


def element(name: str, text: str) -> str:
    """Return an element of XML, named after a field of the answer."""
    tag = name.lower().replace(" ", "_")
    return f"<{tag}>{escape(text)}</{tag}>"


def entries(tag: str, second: str, pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Return the lines of an element with pairs of a name and a second field."""
    inner = [f"<object>{element('name', name)}{element(second, text)}</object>" for name, text in pairs]
    return [f"<{tag}>", *inner, f"</{tag}>"]


def with_heartbeats(work: Iterator[None], report: BulkReport, media_type: str, interval: float) -> Iterator[bytes]:
    """Yield the body of the answer: while `work` runs a space each `interval` seconds, at its end the report.

    Spaces keep the connection open at every hop. They are followed by an empty line, as in Swift.
    """
    last = monotonic()
    separator = b""
    try:
        for _ in work:
            if monotonic() - last >= interval:
                yield b" "
                last, separator = monotonic(), b"\r\n\r\n"
    finally:
        close = getattr(work, "close", None)
        if close is not None:
            close()
    yield separator + report.rendered(media_type)


def beats(put: Callable[[object], object], item: object, seconds: float) -> None:
    """Put an item at intervals, so that work that waits for items yields in time; for a green thread, until killed."""
    while True:
        green.sleep(seconds)
        put(item)
