"""What clients do with a cluster while it is hurt, beside plain objects (`harness.ledger`) and contended names.

Each workload keeps what it was told, and `findings` says what of that does not hold. All of them count what was
acknowledged by kind, and failures by status, in a `Tally`.
"""

from __future__ import annotations

import hashlib
import http.client
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from random import Random
from typing import Any, NamedTuple, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from harness.client import Answer, Client
from harness.tally import Tally

_PAUSE = 0.05  # seconds after a failure
PART = 5 * 1024 * 1024  # the least size of a part that is not the last
BROKEN = (OSError, http.client.HTTPException)


class Workload(Protocol):
    """step: one change, by one thread."""

    def step(self) -> None: ...

    def findings(self) -> list[str]:
        """What does not hold, once the cluster has come to rest."""
        ...


@contextmanager
def at_work(workloads: list[Workload], pause: float) -> Iterator[list[BaseException]]:
    """Each in a thread of its own until the end of the block; raises what one raised, which is in the list before."""
    stop = threading.Event()
    failures: list[BaseException] = []

    def work(workload: Workload) -> None:
        try:
            while not stop.wait(pause):
                workload.step()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(workload,), daemon=True) for workload in workloads]
    for thread in threads:
        thread.start()
    try:
        yield failures
    finally:
        stop.set()
        for thread in threads:
            thread.join(300)
    assert not any(thread.is_alive() for thread in threads), "a client hangs"
    if failures:
        raise failures[0]


class _Told:
    """Requests whose answers are counted."""

    def __init__(self, client: Client, tally: Tally) -> None:
        self._client = client
        self._tally = tally

    def send(self, kind: str, method: str, path: str, good: tuple[int, ...], **given: Any) -> int | None:
        """The status, where it is a good one; else None."""
        try:
            answer = self._client.request(method, path, **given)
        except BROKEN as error:
            self._tally.failure(kind, error)
        else:
            if answer.status in good:
                self._tally.success(kind)
                return answer.status
            self._tally.failure(kind, answer.status)
        time.sleep(_PAUSE)
        return None

    def read(self, path: str, method: str = "GET") -> Answer:
        return self._client.request(method, path, {"X-Newest": "true"})


class Metadata:
    """PUT, POST and DELETE of a few names: which metadata may be read of each. One writer.

    A version is a PUT's or a POST's. Content is that of one of the PUTs in doubt; None is a deletion. Some is too large
    to be packed.
    """

    def __init__(self, client: Client, container: str, tally: Tally, seed: int) -> None:
        self._container = container
        self._chance = Random(seed)
        self._client = client
        self._told = _Told(client, tally)
        self._content: dict[str, set[int | None]] = {}
        self._metadata: dict[str, set[int]] = {}
        self._version = 0

    def step(self) -> None:
        name = f"meta-{self._chance.randrange(12)}"
        content, metadata = self._content.setdefault(name, {None}), self._metadata.setdefault(name, set())
        kind = self._chance.choice(["PUT", "POST", "POST", "DELETE"])
        self._version += 1
        version = self._version
        path = f"{self._container}/{name}"
        headers = {"X-Object-Meta-Version": str(version)}
        if kind == "PUT":
            content.add(version)
            metadata.add(version)
            body = (b"%d" % version).ljust(self._chance.choice([0, 0, 70_000]))
            if self._told.send("PUT", "PUT", path, (201,), headers=headers, body=body):
                self._content[name], self._metadata[name] = {version}, {version}
        elif kind == "POST":
            metadata.add(version)
            if self._told.send("POST", "POST", path, (202,), headers={**headers, "Content-Length": "0"}):
                self._metadata[name] = {version}
        else:
            content.add(None)
            if self._told.send("DELETE", "DELETE", path, (204, 404)):
                self._content[name] = {None}

    def findings(self) -> list[str]:
        found = []
        for name, content in sorted(self._content.items()):
            answer = self._told.read(f"{self._container}/{name}")
            if answer.status == 404 and None in content:
                continue
            said = answer.get("X-Object-Meta-Version")
            if answer.status != 200 or int(answer.body) not in content:
                found.append(f"{self._container}/{name}: {answer.status} {answer.body[:20]!r}, may be {content}")
            elif said is None or int(said) not in self._metadata[name]:
                found.append(f"{self._container}/{name}: metadata {said}, may be {self._metadata[name]}")
        return found


class Expiring:
    """Objects that end soon, and late, and whose end is taken back by a PUT or POST. One writer.

    A name may be read or not as long as in doubt: what is sure is only what the last acknowledged change said.
    """

    LATE = 100_000  # seconds: farther than any clock jumps
    MAX_NAMES = 400  # then it only changes those it has

    def __init__(self, client: Client, container: str, tally: Tally, seed: int) -> None:
        self._container = container
        self._chance = Random(seed)
        self._client = client
        self._told = _Told(client, tally)
        self._ends: dict[str, set[float | None]] = {}  # None: not there
        self._numbers = 0

    def step(self) -> None:
        again = len(self._ends) >= self.MAX_NAMES or (bool(self._ends) and self._chance.random() < 0.4)
        self._numbers += 1
        name = self._chance.choice(sorted(self._ends)) if again else f"ends-{self._numbers:05}"
        end = time.time() + self._chance.choice([2, 5, 10, self.LATE])
        path = f"{self._container}/{name}"
        ends = self._ends.setdefault(name, {None})
        headers = {"X-Delete-At": str(int(end))}
        if again and self._chance.random() < 0.5:
            ends.add(end)
            if self._told.send("POST of an end", "POST", path, (202,), headers={**headers, "Content-Length": "0"}):
                # What was in doubt is there, or was deleted by a change that is in doubt still, or has ended.
                self._ends[name] = {end, *({None} if None in ends else ())}
        else:
            ends.add(end)
            if self._told.send("PUT with an end", "PUT", path, (201,), headers=headers, body=name.encode()):
                self._ends[name] = {end}

    def findings(self) -> list[str]:
        found = []
        now = time.time()
        for name, ends in sorted(self._ends.items()):
            answer = self._told.read(f"{self._container}/{name}")
            there = {end is not None and end > now for end in ends}
            if answer.status not in (200, 404) or (answer.status == 200) not in there:
                found.append(f"{self._container}/{name}: {answer.status}, ends {ends}, {now} now")
            elif answer.status == 200 and answer.body != name.encode():
                found.append(f"{self._container}/{name}: {answer.body!r}")
        return found


class _Box:
    """What may be of one container: there (True), deleted (False), and of each object in it."""

    def __init__(self) -> None:
        self.there = {False}
        self.objects: dict[str, set[bool]] = {}


class Containers:
    """Containers that are made, deleted and made again, with objects in them. One writer."""

    def __init__(self, client: Client, prefix: str, tally: Tally, seed: int) -> None:
        self._prefix = prefix
        self._chance = Random(seed)
        self._client = client
        self._told = _Told(client, tally)
        self._boxes: dict[str, _Box] = {}

    def step(self) -> None:
        name = f"{self._prefix}-{self._chance.randrange(6)}"
        box = self._boxes.setdefault(name, _Box())
        kind = self._chance.choices(["make", "remove", "put", "delete"], [2, 3, 4, 4])[0]
        if kind == "make":
            box.there.add(True)
            if self._told.send("PUT of a container", "PUT", name, (201, 202)):
                box.there = {True}
        elif kind == "remove":
            box.there.add(False)
            if self._told.send("DELETE of a container", "DELETE", name, (204, 404)):
                box.there = {False}
        else:
            key = f"o{self._chance.randrange(3)}"
            path, states = f"{name}/{key}", box.objects.setdefault(key, {False})
            states.add(kind == "put")
            if kind == "put" and self._told.send("PUT", "PUT", path, (201,), body=path.encode()):
                box.objects[key] = {True}
            if kind == "delete" and self._told.send("DELETE", "DELETE", path, (204, 404)):
                box.objects[key] = {False}

    def findings(self) -> list[str]:
        found = []
        account = self._listed("")
        for name, box in sorted(self._boxes.items()):
            objects = {key for key in box.objects if self._told.read(f"{name}/{key}").status == 200}
            status = self._told.read(name, "HEAD").status
            for key, states in box.objects.items():
                # Objects of a container that is not there are not served; `check_cluster` finds those that are.
                if (key in objects) not in states and (status == 204 or False not in box.there):
                    found.append(f"{name}/{key}: {key in objects}, may be {states}")
            sure = {key for key, states in box.objects.items() if states == {True}}
            if status not in (204, 404) or ((status == 204) not in box.there and not sure and not objects):
                found.append(f"container {name}: {status}, may be {box.there}, with {objects}")
            elif sure and status == 404:
                found.append(f"container {name}: {status}, but these are in it: {sure}")
            elif (name in account) != (status == 204):
                found.append(f"container {name}: {status}, listed: {name in account}")
            elif status == 204 and self._listed(name) != objects:
                found.append(f"container {name}: lists {self._listed(name)}, there are {objects}")
        return found

    def _listed(self, container: str) -> set[str]:
        return set(self._client.names(container, prefix="" if container else self._prefix))


class _Version(NamedTuple):
    """What was acknowledged: etag, MD5 of the content; None for a delete marker."""

    etag: str
    md5: str | None


class Buckets:
    """Versions and uploads by parts in one bucket, by the S3 protocol. One writer.

    make: a boto3 client, without retries.
    """

    MAX_VERSIONS = 200  # then it deletes one at each step

    def __init__(self, make: Callable[[], Any], bucket: str, tally: Tally, seed: int) -> None:
        self._s3 = make()
        self._bucket = bucket
        self._tally = tally
        self._chance = Random(seed)
        self._versions: dict[tuple[str, str], _Version] = {}  # that are not deleted
        self._deleted: set[tuple[str, str]] = set()  # versions
        self._doubtful: set[tuple[str, str]] = set()  # versions whose deletion failed
        self._over: set[str] = set()  # ids of uploads that were completed or aborted
        self._parts: dict[str, list[tuple[int, str]]] = {}
        self._s3.create_bucket(Bucket=bucket)
        self._s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})

    def step(self) -> None:
        if len(self._versions) >= self.MAX_VERSIONS:
            self._delete_version(self._chance.choice(sorted(self._versions))[0])
            return
        kind = self._chance.choices([self._put, self._delete, self._delete_version, self._upload], [6, 2, 3, 1])[0]
        kind(f"key-{self._chance.randrange(8)}")

    def _call(self, kind: str, method: str, **given: Any) -> Mapping[str, Any] | None:
        """The answer; None where it failed."""
        try:
            answer = getattr(self._s3, method)(Bucket=self._bucket, **given)
        except ClientError as error:
            self._tally.failure(kind, error.response.get("Error", {}).get("Code", "?"))
        except (BotoCoreError, *BROKEN) as error:
            self._tally.failure(kind, error)
        else:
            self._tally.success(kind)
            return answer  # type: ignore[no-any-return]
        time.sleep(_PAUSE)
        return None

    def _put(self, key: str) -> None:
        body = self._chance.randbytes(self._chance.choice([0, 10, 50_000, 66_000]))
        answer = self._call("PutObject", "put_object", Key=key, Body=body)
        if answer:
            self._note(key, answer, hashlib.md5(body).hexdigest())

    def _note(self, key: str, answer: Mapping[str, Any], md5: str | None) -> None:
        self._versions[key, answer["VersionId"]] = _Version(answer.get("ETag", ""), md5)

    def _delete(self, key: str) -> None:
        answer = self._call("DeleteObject", "delete_object", Key=key)
        if answer:
            self._note(key, answer, None)

    def _delete_version(self, key: str) -> None:
        known = sorted(version for version in self._versions if version[0] == key)
        if not known:
            return
        chosen = self._chance.choice(known)
        self._doubtful.add(chosen)
        if self._call("DeleteObject of a version", "delete_object", Key=key, VersionId=chosen[1]):
            self._deleted.add(chosen)
            self._doubtful.discard(chosen)
            del self._versions[chosen]

    def _upload(self, key: str) -> None:
        """One by parts, which is completed mostly, or aborted."""
        begun = self._call("CreateMultipartUpload", "create_multipart_upload", Key=key)
        if not begun:
            return
        given = {"Key": key, "UploadId": begun["UploadId"]}
        sizes = [PART, 1000] if self._chance.random() < 0.3 else [1000]
        bodies = [self._chance.randbytes(size) for size in sizes]
        parts = []
        for number, body in enumerate(bodies, 1):
            for _ in range(3):
                answer = self._call("UploadPart", "upload_part", PartNumber=number, Body=body, **given)
                if answer:
                    parts.append({"PartNumber": number, "ETag": answer["ETag"]})
                    break
        if len(parts) < len(bodies) or self._chance.random() < 0.2:
            if self._call("AbortMultipartUpload", "abort_multipart_upload", **given):
                self._over.add(begun["UploadId"])
            return
        for _ in range(3):
            answer = self._call(
                "CompleteMultipartUpload", "complete_multipart_upload", MultipartUpload={"Parts": parts}, **given
            )
            if answer:
                self._over.add(begun["UploadId"])
                self._note(key, answer, hashlib.md5(b"".join(bodies)).hexdigest())
                return

    def findings(self) -> list[str]:
        try:
            return [*self._of_versions(), *self._of_uploads()]
        except (ClientError, BotoCoreError, *BROKEN) as error:
            return [f"bucket {self._bucket}: {error!r}"]

    def _of_versions(self) -> Iterator[str]:
        listed: dict[tuple[str, str], str] = {}
        pages = self._s3.get_paginator("list_object_versions").paginate(Bucket=self._bucket)
        for page in pages:
            rows = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
            listed |= {(row["Key"], row["VersionId"]): row.get("ETag", "") for row in rows}
        for key, version_id in sorted(self._deleted & listed.keys()):
            yield f"{self._bucket}/{key} version {version_id}: deleted, but listed"
        for one, version in sorted(self._versions.items()):
            where = f"{self._bucket}/{one[0]} version {one[1]}"
            if one not in listed:
                if one not in self._doubtful:
                    yield f"{where}: not listed"
            elif version.md5 is not None:
                if listed[one] != version.etag:
                    yield f"{where}: listed as {listed[one]}, was {version.etag}"
                answer = self._s3.get_object(Bucket=self._bucket, Key=one[0], VersionId=one[1])
                if hashlib.md5(answer["Body"].read()).hexdigest() != version.md5:
                    yield f"{where}: has another content"

    def _of_uploads(self) -> Iterator[str]:
        pages = self._s3.get_paginator("list_multipart_uploads").paginate(Bucket=self._bucket)
        for page in pages:
            for row in page.get("Uploads", ()):
                if row["UploadId"] in self._over:
                    yield f"{self._bucket}/{row['Key']}: upload {row['UploadId']} is over, but listed"
