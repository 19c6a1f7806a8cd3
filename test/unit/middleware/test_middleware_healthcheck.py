from objstore.middleware.healthcheck import filter_factory
from objstore.web.responses import Response, call


def ask(app, path="/healthcheck", method="GET"):
    return call(app, {"REQUEST_METHOD": method, "PATH_INFO": path})


def test_ok_in_plain_text():
    answer = ask(filter_factory({})(Response(418)))
    assert (answer.status, answer.read()) == (200, b"OK") and answer.headers["Content-Type"].startswith("text/plain")
    assert ask(filter_factory({})(Response(418)), method="HEAD").read() == b""


def test_other_paths_and_methods_pass():
    app = filter_factory({})(Response(418))
    assert ask(app, "/healthcheck2").status == ask(app, method="PUT").status == 418


def test_disabled_while_a_file_exists(tmp_path):
    flag = tmp_path / "down"
    app = filter_factory({}, disable_path=str(flag))(Response(418))
    assert ask(app).status == 200
    flag.touch()
    answer = ask(app)
    assert (answer.status, answer.read()) == (503, b"DISABLED BY FILE")
