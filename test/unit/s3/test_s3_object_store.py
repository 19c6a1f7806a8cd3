"""Objects read and written by S3: over a layer in memory."""

from __future__ import annotations

import pytest

from objstore.core.manifests import FORM, MANIFEST, MANIFEST_ETAG, MANIFEST_SIZE
from objstore.core.names import Name
from objstore.layers.bodies import BytesBody
from objstore.layers.interface import ContainerOptions
from objstore.layers.memory import MemoryLayer
from objstore.layers.versions import Versions
from objstore.s3.data.object_store import ObjectUpload, S3Objects, Target
from objstore.s3.language.errors import S3Error
from objstore.s3.request.s3_request import S3Request
from objstore.web.context import RequestContext

NAME = Name("AUTH_t", "b", "k")
PLAIN = ObjectUpload({"Content-Type": "text/plain"}, BytesBody(b"data"))


class World:
    def __init__(self) -> None:
        self.layer = Versions(MemoryLayer())
        self.objects = S3Objects(self.layer, lambda request, name: None)
        self.make()

    def make(self) -> None:
        assert self.layer.create_container(RequestContext(), NAME.of_container, ContainerOptions({}))

    def request(self) -> S3Request:
        return S3Request({"REQUEST_METHOD": "PUT"}, "b", "k", {}, {}, None, None)  # type: ignore[arg-type]


@pytest.fixture
def world() -> World:
    return World()


def code(error: pytest.ExceptionInfo[S3Error]) -> tuple[str, dict[str, str]]:
    return error.value.code, error.value.extra


@pytest.mark.parametrize("again", [True, False])
def test_a_manifest_is_not_written_into_another_life_of_its_bucket(world: World, again: bool) -> None:
    """Its parts went with the bucket that was deleted."""
    request = world.request()
    assert world.layer.container_info(request.context, NAME).exists  # as access is decided
    world.layer.delete_container(RequestContext(), NAME.of_container)
    if again:
        world.make()
    headers = {MANIFEST: FORM, MANIFEST_ETAG: "0-1", MANIFEST_SIZE: "0", "Content-Type": "text/plain"}
    with pytest.raises(S3Error) as error:
        world.objects.write(request, NAME, ObjectUpload(headers, BytesBody(b"[]")))
    assert error.value.code == ("OperationAborted" if again else "NoSuchBucket")


def test_conditions_on_what_is_there_and_what_is_not(world: World) -> None:
    for conditions, expected in (
        ({"If-Match": "*"}, ("NoSuchKey", {"Key": "k"})),
        ({"If-None-Match": "*"}, None),
        ({"If-None-Match": "*"}, ("PreconditionFailed", {"Condition": "If-None-Match"})),
        ({"If-Match": "0"}, ("PreconditionFailed", {"Condition": "If-Match"})),
    ):
        upload = PLAIN._replace(body=BytesBody(b"data"), conditions=conditions)
        if expected is None:
            assert world.objects.write(world.request(), NAME, upload).etag
            continue
        with pytest.raises(S3Error) as error:
            world.objects.write(world.request(), NAME, upload)
        assert code(error) == expected


def test_versions_of_a_bucket_that_keeps_none(world: World) -> None:
    world.objects.write(world.request(), NAME, PLAIN._replace(body=BytesBody(b"data")))
    assert world.objects.read(world.request(), Target(NAME, "null")).read() == b"data"
    with pytest.raises(S3Error) as error:
        world.objects.read(world.request(), Target(NAME, "no id"))
    assert code(error) == ("InvalidArgument", {"ArgumentName": "versionId", "ArgumentValue": "no id"})


def test_a_bucket_that_is_gone(world: World) -> None:
    world.layer.delete_container(RequestContext(), NAME.of_container)
    for change in (
        lambda: world.objects.write(world.request(), NAME, PLAIN._replace(body=BytesBody(b"data"))),
        lambda: world.objects.delete(world.request(), Target(NAME)),
    ):
        with pytest.raises(S3Error) as error:
            change()
        assert error.value.code == "NoSuchBucket"
