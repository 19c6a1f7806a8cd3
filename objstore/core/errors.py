"""The closed tree of errors that objstore raises on purpose.

No error here knows an HTTP status; `objstore.web.errors` holds the one table that
turns them into responses.
"""


class ObjstoreError(Exception):
    """The root of all errors of this project."""


class InvalidInput(ObjstoreError):
    """What the caller gave is not acceptable; the message says what is wrong with it."""


class LimitExceeded(InvalidInput):
    """A configured limit was passed; the message names the limit and its value."""


class TooManyContainers(LimitExceeded):
    """The account has as many containers as it may have."""


class MetadataTooLarge(InvalidInput):
    """The metadata of a name is larger than the servers accept."""


class NotSupported(InvalidInput):
    """What is asked for is known, but not to be had here; the message names it."""


# What code raises that takes a decoded document (JSON, a queue's row) apart and does not find what it expects.
MALFORMED = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError)


class ConfigError(ObjstoreError):
    """A setting, ring or credentials file cannot be used; the message names file and setting."""


class NotFound(ObjstoreError):
    """The name, database or file does not exist.

    timestamp: that of the deletion where one is known (a tombstone, a deleted
    database), as `Timestamp`; None where the name was never seen.
    """

    def __init__(self, message: str = "", timestamp: object = None) -> None:
        super().__init__(message)
        self.timestamp = timestamp


class NoContainer(NotFound):
    """The container of an object does not exist. ended: it was deleted while the object was written."""

    def __init__(self, message: str = "", ended: bool = False) -> None:
        super().__init__(message)
        self.ended = ended


class Conflict(ObjstoreError):
    """The change is older than what is stored, or the state forbids it (a container not empty).

    timestamp: the stored `Timestamp` that won, where the order in time was the reason.
    """

    def __init__(self, message: str = "", timestamp: object = None) -> None:
        super().__init__(message)
        self.timestamp = timestamp


class ContainerReplaced(Conflict):
    """The container was deleted and made again while an object was written that depends on its former life."""


class LifeEnded(ObjstoreError):
    """The container was deleted, or is being deleted, since the writer of a row looked at it."""


class PreconditionFailed(ObjstoreError):
    """What is stored is not what the caller made a condition.

    missing: nothing is stored, where the condition names something.
    """

    def __init__(self, message: str = "", missing: bool = False) -> None:
        super().__init__(message)
        self.missing = missing


class NameHeld(ObjstoreError):
    """The name is held for another's change; to be tried again after `seconds`."""

    def __init__(self, message: str = "", seconds: float = 0.0) -> None:
        super().__init__(message)
        self.seconds = seconds


class NoSpace(ObjstoreError):
    """The device is full, or would fall below its reserve of free space."""


class DeviceUnavailable(ObjstoreError):
    """The device is not mounted, or does not answer."""


class Unreadable(DeviceUnavailable):
    """The device fails to read one file. That says nothing of the file's content, nor of other files."""


class Corrupt(ObjstoreError):
    """Bytes on disk are not what was written; the file or database has been quarantined."""


class ChecksumMismatch(InvalidInput):
    """The body received is not the one that the caller's checksum describes."""


class BodyTruncated(ObjstoreError):
    """The body ended before its announced length, or its framing broke off."""


class BodyTimeout(ObjstoreError):
    """The sender of a body was silent for longer than allowed."""


class ClientGone(ObjstoreError):
    """The other end closed the connection while we were still talking to it."""


class LockTimeout(ObjstoreError):
    """A lock on a name or database was not had in time."""


class NodeFailure(ObjstoreError):
    """A storage node could not be asked, or broke off its answer."""


class NodeUnreachable(NodeFailure):
    """No connection to the node."""


class NodeTimeout(NodeFailure):
    """The node did not connect, answer or go on in time."""


class NodeRefusal(NodeFailure):
    """The node takes no such request, as where it is of an older version."""


class NodeDeviceGone(NodeFailure):
    """The node answers, but says that its device is not there."""
