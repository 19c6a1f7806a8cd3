"""The apps of a pipeline, and what they have."""

from __future__ import annotations

from objstore.web import pipeline


class Server:
    policies = "its policies"


class Outer:
    """A filter that has the attribute, but no value for it."""

    policies = None

    def __init__(self, app: object) -> None:
        self.app = app


def test_apps_come_in_the_order_of_a_request() -> None:
    server = Server()
    filter_ = Outer(server)
    assert list(pipeline.apps(filter_)) == [filter_, server]
    assert list(pipeline.apps(None)) == []


def test_the_first_app_that_has_a_value_gives_it() -> None:
    assert pipeline.find(Outer(Server()), "policies") == "its policies"
    assert pipeline.find(Outer(Server()), "access_keys") is None


def test_an_app_is_found_by_its_class() -> None:
    server = Server()
    assert pipeline.find_app(Outer(server), Server) is server
    assert pipeline.find_app(Outer(server), dict) is None
