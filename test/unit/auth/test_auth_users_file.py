import json
import logging
import os
import stat
import threading
from pathlib import Path

import pytest

from objstore.auth import users_file
from objstore.auth.prefixes import Prefix, Prefixes
from objstore.auth.users import User
from objstore.auth.users_file import Users, editing, read_users
from objstore.core.errors import ConfigError

PREFIXES = Prefixes([Prefix("AUTH_")])
LOGGER = logging.getLogger("test-users-file")


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "users.json")


def put(path, **by_name):
    with editing(path) as known:
        known.update({name: User(f"test:{name}", key) for name, key in by_name.items()})
        for name in by_name:
            known[f"test:{name}"] = known.pop(name)


def test_edited_users_are_read_back_and_kept_from_others(path):
    put(path, one="k\u00e9y")
    assert read_users(path) == {"test:one": User("test:one", "k\u00e9y")}
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    with open(path, "rb") as file:
        assert json.load(file)["version"] == 1


def test_edit_that_fails_changes_nothing(path):
    put(path, one="k")
    before = os.stat(path).st_ino
    with pytest.raises(ZeroDivisionError), editing(path) as known:
        known.clear()
        1 / 0  # noqa: B018
    with editing(path):
        pass
    assert os.stat(path).st_ino == before


def test_editors_wait_for_each_other(path):
    def add(number):
        with editing(path) as known:
            known[f"test:{number}"] = User(f"test:{number}", "k")

    threads = [threading.Thread(target=add, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read_users(path)) == 10


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("[" * 99999, "not JSON"),
        ("\xff", "not JSON"),
        ("[]", "users"),
        ('{"users": []}', "users"),
        ('{"version": 2, "users": {}}', "version 2"),
        ('{"users": {"test:a": {"key": ""}}}', "user 'test:a'"),
    ],
)
def test_bad_file_is_named_with_its_entry(path, content, message):
    with open(path, "w", encoding="latin-1") as file:
        file.write(content)
    with pytest.raises(ConfigError, match=message) as raised:
        read_users(path)
    assert str(raised.value).startswith(path)


def test_file_that_is_not_there_is_an_error_at_start(path):
    with pytest.raises(ConfigError, match="No such file"):
        Users(PREFIXES, LOGGER, {}, path)


def test_table_is_the_same_object_until_the_file_changes(path):
    put(path, one="k")
    users = Users(PREFIXES, LOGGER, {}, path)
    table = users.current()
    assert users.current() is table
    put(path, two="k")
    assert set(users.current().logins) == {"test:one", "test:two"}
    assert set(table.logins) == {"test:one"}


def test_users_of_the_file_go_before_those_of_the_configuration(path):
    put(path, one="file")
    conf = {"test:one": User("test:one", "conf"), "test:two": User("test:two", "conf")}
    logins = Users(PREFIXES, LOGGER, conf, path).current().logins
    assert {name: login.user.key for name, login in logins.items()} == {"test:one": "file", "test:two": "conf"}
    assert set(Users(PREFIXES, LOGGER, conf).current().logins) == {"test:one", "test:two"}


def test_broken_or_missing_file_leaves_the_users_and_is_logged_once(path, caplog):
    put(path, one="k")
    users = Users(PREFIXES, LOGGER, {}, path)
    table = users.current()
    for breaking in (lambda: Path(path).write_text("{"), lambda: os.unlink(path)):
        caplog.clear()
        breaking()
        assert users.current() is table
        assert users.current() is table
        assert len(caplog.records) == 1
        assert path in caplog.text
    put(path, two="k")
    assert set(users.current().logins) == {"test:two"}


def test_first_user_is_made_once(path):
    made = users_file.ensure_first_user(path, "test:tester")
    assert read_users(path) == {"test:tester": made}
    assert made.groups == (".admin", ".reseller_admin")
    assert users_file.ensure_first_user(path) is None
    assert read_users(path) == {"test:tester": made}


def test_token_key_is_made_once(tmp_path):
    path = str(tmp_path / "token.key")
    users_file.ensure_token_key(path)
    key = users_file.read_token_key(path)
    assert len(key) == 64
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    users_file.ensure_token_key(path)
    assert users_file.read_token_key(path) == key


def test_bad_token_key_is_told(tmp_path):
    path = tmp_path / "token.key"
    with pytest.raises(ConfigError, match="No such file"):
        users_file.read_token_key(str(path))
    path.write_text("short")
    with pytest.raises(ConfigError, match="16"):
        users_file.read_token_key(str(path))
