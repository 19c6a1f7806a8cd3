import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.access.identity import Identity, Realm
from objstore.auth import hashing, users
from objstore.auth.prefixes import Prefix, Prefixes, from_conf
from objstore.auth.users import User, UserTable
from objstore.core.errors import ConfigError

PREFIXES = Prefixes([Prefix("AUTH_"), Prefix("SERVICE_")])


def test_lines_of_configuration_are_users():
    found = users.from_conf(
        {
            "user": "swift",  # who runs the server, in Swift's DEFAULT section
            "users_file": "x",
            "user_test_tester": " testing  .admin staff",
            "user64_dW5kZXJfc2NvcmU_YV9i": "testing4 $HOST/v1/AUTH_x",
        }
    )
    assert found == {
        "test:tester": User("test:tester", "testing", (".admin", "staff")),
        "under_score:a_b": User("under_score:a_b", "testing4", url="$HOST/v1/AUTH_x"),
    }


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("user_test", "key", "user64"),
        ("user_a_b_c", "key", "user64"),
        ("user_a_b", "", "no key"),
        ("user_a_b", " ", "no key"),
        ("user__b", "key", "ACCOUNT:USER"),
        ("user64_%_YV9i", "key", "base64"),
        ("user64__w_YV9i", "key", "user64"),
        ("user_a_b", "key a,b", "group"),
        ("user_a_b", "key http://", "url"),
    ],
)
def test_bad_line_is_named(setting, value, message):
    with pytest.raises(ConfigError, match=message) as raised:
        users.from_conf({setting: value})
    assert str(raised.value).startswith(setting)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("test", {"key": "k"}),
        ("te st:a", {"key": "k"}),
        (".test:a", {"key": "k"}),
        ("test:a/b", {"key": "k"}),
        ("test:*", {"key": "k"}),
        ("test:", {"key": "k"}),
        (":a", {"key": "k"}),
        ("test:a" * 99, {"key": "k"}),
        ("test:a", {}),
        ("test:a", []),
        ("test:a", {"key": 1}),
        ("test:a", {"key": "k", "group": ["x"]}),
        ("test:a", {"key": "k", "groups": "x"}),
        ("test:a", {"key": "k", "groups": [1]}),
        ("test:a", {"key": "k", "groups": [""]}),
        ("test:a", {"key": "k", "access_key": "A"}),
        ("test:a", {"key": "k", "secret_key": "A"}),
        ("test:a", {"key": "k", "access_key": "A/B", "secret_key": "S"}),
        ("test:a", {"key": "k", "account": "a/b"}),
        ("test:a", {"key": "k", "account": "a", "url": "http://h/v1/b"}),
        ("test:a", {"key": "k", "url": "h/v1/b"}),
        ("test:a", {"key": "\ud800"}),
        ("test:\ud800", {"key": "k"}),
        ("test:a", {"key": "scrypt:x"}),
        ("test:a", {"key": "scrypt:30:8:1:AAAAAAAAAAAAAAAA:AAAAAAAAAAAAAAAAAAAAAAAA"}),
    ],
)
def test_bad_entry_is_refused(name, fields):
    with pytest.raises(ValueError):
        users.from_json(name, fields)


@given(
    st.builds(
        User,
        st.just("test:tester"),
        st.text(min_size=1, max_size=8).filter(lambda key: not key.startswith("scrypt:")),
        st.lists(st.sampled_from([".admin", "staff", "\u00e5"]), max_size=3).map(tuple),
        st.just("A"),
        st.text(min_size=1, max_size=8),
        st.sampled_from(["", "AUTH_x"]),
        st.just(""),
    )
)
def test_users_are_the_same_once_written_and_read(user):
    assert users.from_json(user.name, users.to_json(user)) == user


def test_admins_own_their_account_under_every_prefix():
    table = UserTable([User("test:tester", "k", (".admin", "staff", ".reseller_admin"))], PREFIXES)
    login = table.logins["test:tester"]
    assert login.identity.account == "AUTH_test"
    assert login.identity == Identity(
        "test:tester",
        ("test:tester", "test", "staff"),
        ("AUTH_test", "SERVICE_test"),
        True,
        "AUTH_test",
    )


def test_others_own_nothing():
    table = UserTable([User("test:tester3", "k")], PREFIXES)
    assert table.logins["test:tester3"].identity == Identity(
        "test:tester3", ("test:tester3", "test"), (), False, "AUTH_test"
    )


@pytest.mark.parametrize("override", [{"account": "AUTH_x"}, {"url": "$HOST/v1/AUTH_x/"}])
def test_account_may_be_another(override):
    login = UserTable([User("test:tester", "k", (".admin",), **override)], PREFIXES).logins["test:tester"]
    assert login.identity.account == "AUTH_x"
    assert login.identity.accounts == ("AUTH_x", "AUTH_test", "SERVICE_test")


def test_plain_keys_and_pairs_are_credentials_and_hashes_are_not():
    hashed = hashing.hashed("k")
    table = UserTable(
        [
            User("a:plain", "k", access_key="A", secret_key="S"),
            User("a:hashed", hashed),
            User("a:pair", "", (), "B", "T"),
        ],
        PREFIXES,
    )
    assert {key: found.secret_key for key, found in table.credentials.items()} == {"a:plain": "k", "A": "S", "B": "T"}
    assert table.credentials["A"].identity.user == "a:plain"
    assert table.hashed


def test_access_key_of_two_users_is_refused():
    pair = {"access_key": "A", "secret_key": "S"}
    with pytest.raises(ConfigError, match=r"a:two.*'A'"):
        UserTable([User("a:one", "k", **pair), User("a:two", "k", **pair)], PREFIXES)


@given(st.text(max_size=12), st.text(max_size=12))
def test_plain_keys_match_themselves_alone(stored, given_key):
    stored = "x" + stored
    assert hashing.matches(stored, stored)
    assert hashing.matches(stored, given_key) is (stored == given_key)


def test_hashed_keys_match_and_differ_each_time():
    one, two = hashing.hashed("k\u00e9y"), hashing.hashed("k\u00e9y")
    assert one != two
    assert hashing.matches(one, "k\u00e9y")
    assert not hashing.matches(one, "key")
    assert not hashing.matches(one, one)
    assert not hashing.matches(hashing.unmatched(), "key")


def test_prefixes_of_settings():
    assert list(from_conf({})) == [Prefix("AUTH_")]
    assert list(from_conf({"reseller_prefix": ""})) == [Prefix("")]
    found = from_conf(
        {"reseller_prefix": "AUTH, SERVICE_, ''", "SERVICE_require_group": ".service", "require_group": "all"}
    )
    assert list(found) == [Prefix("AUTH_", "all"), Prefix("SERVICE_", ".service"), Prefix("", "all")]
    assert found.realm == Realm(("SERVICE_", "AUTH_", ""))
    owned = ("AUTH_x", "SERVICE_x", "x")
    assert found.administered(owned, ()) == ()
    assert found.administered(owned, (".service",)) == ("SERVICE_x",)
    assert found.administered(owned, ("all",)) == ("AUTH_x", "x")
    assert from_conf({}).administered(owned, ()) == owned
    with pytest.raises(ConfigError, match="twice"):
        from_conf({"reseller_prefix": "AUTH,AUTH_"})


@pytest.mark.parametrize(
    ("user", "prefix"),
    [
        (User(".buckets:x", "key", (".admin",)), ""),
        (User(".expiring_objects:x", "key"), ""),
        (User("a:x", "key", account=".buckets"), "AUTH_"),
        (User("a:x", "key", url="$HOST/v1/.buckets"), "AUTH_"),
    ],
)
def test_no_user_works_in_an_account_of_the_system(user, prefix):
    with pytest.raises(ConfigError, match="reserved for the system"):
        UserTable([user], Prefixes([Prefix(prefix)]))
    UserTable([User(".buckets:x", "key", (".admin",))], PREFIXES)  # works in AUTH_.buckets
