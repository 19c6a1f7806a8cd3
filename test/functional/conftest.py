"""The store that functional tests speak to.

With OBJSTORE_TEST_URL, OBJSTORE_TEST_USER and OBJSTORE_TEST_KEY set, that of the URL, as any client would.
Otherwise stores that are started for the tests: `one_device`, and `three_replicas` on
four devices. Tests run against both, unless their module says `pytestmark = ONE_DEVICE`.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest
from harness.client import Client, log_in
from harness.layouts import LAYOUTS
from harness.processes import Serve, environment
from harness.store import Store


@pytest.fixture(scope="session", params=LAYOUTS)
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    url = environment("OBJSTORE_TEST_URL")
    if url:
        if request.param != "one_device":
            pytest.skip("the store of OBJSTORE_TEST_URL is as it is")
        user, key = environment("OBJSTORE_TEST_USER"), environment("OBJSTORE_TEST_KEY")
        assert user and key, "OBJSTORE_TEST_USER and OBJSTORE_TEST_KEY go with OBJSTORE_TEST_URL"
        yield Store(url.rstrip("/"), user, key, None)
        return
    place = tmp_path_factory.mktemp(request.param)
    server = Serve(place / "data", place / "log", **LAYOUTS[request.param])
    server.start()
    try:
        known = server.credentials
        yield Store(known["endpoint"], known["user"], known["key"], server)
    finally:
        server.stop()


@pytest.fixture(scope="session")
def owner(store: Store) -> Iterator[Client]:
    """The first user, in its own account."""
    client = log_in(store.endpoint, store.user, store.key)
    yield client
    client.close()


@pytest.fixture
def anonymous(owner: Client) -> Client:
    """The owner's account without a token."""
    return owner.with_token(None)


@pytest.fixture
def container(new_container: Callable[[], str]) -> str:
    """The name of a container that is there for one test."""
    return new_container()


@pytest.fixture
def new_container(owner: Client) -> Iterator[Callable[[], str]]:
    """Makes containers that are gone after the test."""
    made: list[str] = []

    def make() -> str:
        name = f"test-{uuid.uuid4().hex[:12]}"
        assert owner.put(name).status == 201
        made.append(name)
        return name

    yield make
    for name in made:
        if owner.head(name).status != 404:
            owner.wipe(name)
