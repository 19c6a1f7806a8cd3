"""The closed tree of errors that objstore raises on purpose.

No error here knows an HTTP status; `objstore.web.errors` holds the one table that
turns them into responses.
"""


class ObjstoreError(Exception):
    """The root of all errors of this project."""


class InvalidInput(ObjstoreError):
    """An argument is not acceptable; the message gives the reason."""


class LimitExceeded(InvalidInput):
    """A configured limit was exceeded; the message names the limit and its value."""


class TooManyContainers(LimitExceeded):
    """The account has as many containers as it may have."""


class MetadataTooLarge(InvalidInput):
    """The metadata of a name is larger than the servers accept."""


class BadVersionId(InvalidInput):
    """No version has an id like this."""


class MalformedHeader(InvalidInput):
    """A header that names an object does not do so in a valid form."""


class NotSupported(InvalidInput):
    """The request is valid but not supported here; the message names it."""


# Exceptions of code that takes apart a decoded document (JSON, a queue's row) of an unexpected form.
MALFORMED = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError)


class ConfigError(ObjstoreError):
    """A setting, ring or credentials file cannot be used; the message names file and setting."""


class AccessDenied(ObjstoreError):
    """The client may not read an object. account: of the object. known: the client is authenticated.

    target: the path of the object if a link leads to it, '' if not.
    """

    def __init__(self, account: str, known: bool) -> None:
        super().__init__(f"no permission to read an object of {account}")
        self.account = account
        self.known = known
        self.target = ""


class NotFound(ObjstoreError):
    """The name, database or file does not exist.

    timestamp: `Timestamp` of the deletion if it is known (a tombstone, a deleted database); None if the name was never
    seen.
    """

    def __init__(self, message: str = "", timestamp: object = None) -> None:
        super().__init__(message)
        self.timestamp = timestamp


class AccountDeleted(NotFound):
    """The account was deleted. It can be created again after its databases have been forgotten."""


class NoContainer(NotFound):
    """The container of an object does not exist. ended: it was deleted while the object was written."""

    def __init__(self, message: str = "", ended: bool = False, timestamp: object = None) -> None:
        super().__init__(message, timestamp)
        self.ended = ended


class NoSuchVersion(NotFound):
    """The object has no version with that id."""


class DeleteMarker(NotFound):
    """The requested version is a delete marker. version_id: its id. timestamp: of its creation."""

    def __init__(self, message: str, version_id: str, timestamp: object) -> None:
        super().__init__(message, timestamp)
        self.version_id = version_id


class BrokenLink(NotFound):
    """The target of a link does not exist. target: its path."""

    def __init__(self, target: str, timestamp: object = None) -> None:
        super().__init__(f"{target}, the target of a link, does not exist", timestamp)
        self.target = target


class Conflict(ObjstoreError):
    """The change is older than what is stored, or the state forbids it (a container not empty).

    timestamp: the stored `Timestamp` that won, if the order in time was the reason.
    """

    def __init__(self, message: str = "", timestamp: object = None) -> None:
        super().__init__(message)
        self.timestamp = timestamp


class LinkConflict(Conflict):
    """A link cannot be followed, or changed as requested; the message gives the reason."""


class TooManyLinks(LinkConflict):
    """A link leads to a link, which leads to a link, and so on, more often than allowed."""


class TargetChanged(LinkConflict):
    """The target of a static link does not have the etag that the link requires. target: its path."""

    def __init__(self, message: str, target: str) -> None:
        super().__init__(message)
        self.target = target


class IsLink(LinkConflict):
    """A change of the metadata of a link, which keeps them. target: the path of its target.

    etag: that a static link requires, '' for a dynamic one.
    """

    def __init__(self, target: str, etag: str = "") -> None:
        self.etag = etag
        super().__init__(f"The metadata of a link cannot be changed: send the POST to its target, {target}")
        self.target = target


class ContainerReplaced(Conflict):
    """The container was deleted and made again while an object was written that depends on its former life."""


class LifeEnded(ObjstoreError):
    """The container was deleted, or is being deleted, since the writer of a row last read it."""


class PreconditionFailed(ObjstoreError):
    """The stored state does not meet the caller's condition.

    missing: nothing is stored, but the condition requires something.
    """

    def __init__(self, message: str = "", missing: bool = False) -> None:
        super().__init__(message)
        self.missing = missing


class ObjectHeld(ObjstoreError):
    """The object is locked against the change (`core.object_lock`); the message says by what."""


class NameHeld(ObjstoreError):
    """The name is locked for another change; retry after `seconds`."""

    def __init__(self, message: str = "", seconds: float = 0.0) -> None:
        super().__init__(message)
        self.seconds = seconds


class RateLimited(ObjstoreError):
    """The rate limit of an account or container is exceeded."""


class AccountBlocked(ObjstoreError):
    """The operator has blocked the account."""


class WritesDisabled(ObjstoreError):
    """The cluster or the account takes no writes."""


class NoSpace(ObjstoreError):
    """The device is full, or would fall below its reserve of free space."""


class DeviceUnavailable(ObjstoreError):
    """The device is not mounted, or does not answer."""


class Unreadable(DeviceUnavailable):
    """The device fails to read one file. The file's content may be valid, and so may other files."""


class Corrupt(ObjstoreError):
    """Bytes on disk differ from those written; the file or database has been quarantined."""


class ChecksumMismatch(InvalidInput):
    """The received body does not match the caller's checksum."""


class BodyTruncated(ObjstoreError):
    """The body ended before its announced length, or within a chunk."""


class BodyTimeout(ObjstoreError):
    """The sender of a body was silent for longer than allowed."""


class ClientGone(ObjstoreError):
    """The other end closed the connection while we were still talking to it."""


class LockTimeout(ObjstoreError):
    """A lock on a name or database could not be taken in time."""


class QuotaExceeded(ObjstoreError):
    """The write would exceed a quota of its container or account. The message says which."""


class QuotaBusy(ObjstoreError):
    """The room left within a quota is reserved by writes that have not ended in time."""


class NodeFailure(ObjstoreError):
    """A storage node could not be reached, or its answer ended early."""


class NodeUnreachable(NodeFailure):
    """No connection to the node."""


class NodeTimeout(NodeFailure):
    """The node did not connect, answer or continue in time."""


class NodeRefusal(NodeFailure):
    """The node refuses such a request, for example because its version is older."""


class NodeDeviceGone(NodeFailure):
    """The node answers, but reports that its device is missing."""


# After these a change may have been made all the same, or may yet come to be.
_UNCLEAR = (NoSpace, DeviceUnavailable, LockTimeout, NodeFailure)


def is_refusal(failure: ObjstoreError) -> bool:
    """Is it sure that the change that failed so was not made?"""
    return not isinstance(failure, _UNCLEAR)
