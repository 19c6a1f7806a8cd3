from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.auth.prefixes import Prefix, Prefixes
from objstore.auth.tokens import Tokens
from objstore.auth.users import User, UserTable

PREFIXES = Prefixes([Prefix("AUTH_")])
SECRET = b"0123456789abcdef"
USER = User("test:t\u00ebster", "testing", (".admin",))
TABLE = UserTable([USER, User("test:other", "testing")], PREFIXES)


def _decoded(token):
    text = token.removeprefix("AUTH_tk")
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Time:
    def __init__(self):
        self.now = 1_500_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Time()


def test_a_token_tells_its_user_until_it_expires(clock):
    tokens = Tokens(SECRET, life=60, now=clock)
    token = tokens.issue(USER)
    assert token.expires == 1_500_000_060
    assert tokens.seconds_left(token) == 60
    clock.now += 59.9
    assert tokens.verify(token.text, TABLE).user == USER
    clock.now += 0.1
    assert tokens.verify(token.text, TABLE) is None
    assert Tokens(SECRET, now=clock).verify(token.text, TABLE) is None
    assert tokens.seconds_left(token) == 0


def test_all_who_share_the_secret_agree(clock):
    token = Tokens(SECRET, now=clock).issue(USER).text
    assert Tokens(SECRET, now=clock).verify(token, TABLE).user == USER
    assert Tokens(SECRET + b"x", now=clock).verify(token, TABLE) is None
    assert Tokens(SECRET, now=clock, prefix="OTHER_").verify(token, TABLE) is None


def test_changed_users_count_at_once(clock):
    tokens = Tokens(SECRET, now=clock)
    token = tokens.issue(USER).text
    assert tokens.verify(token, TABLE)
    assert tokens.verify(token, UserTable([USER._replace(key="other")], PREFIXES)) is None
    assert tokens.verify(token, UserTable([], PREFIXES)) is None
    demoted = tokens.verify(token, UserTable([USER._replace(groups=())], PREFIXES))
    assert demoted.identity.accounts == ()
    assert tokens.verify(token, TABLE).identity.accounts == ("AUTH_test",)


def test_no_two_tokens_are_equal(clock):
    tokens = Tokens(SECRET, now=clock)
    assert tokens.issue(USER) != tokens.issue(USER)


@given(st.integers(0, 94), st.sampled_from("Aa0-_="))
def test_a_changed_token_is_refused_or_says_the_same(index, letter):
    tokens = Tokens(SECRET)
    token = tokens.issue(USER).text
    login = tokens.verify(token[:index] + letter + token[index + 1 :], TABLE)
    assert login is None or login.user == USER


@pytest.mark.parametrize("index", range(len(_decoded(Tokens(SECRET).issue(USER).text))))
def test_no_byte_of_a_token_can_be_changed(index):
    """Nobody moves the end of a token, or makes one of another user: the signature covers all."""
    tokens = Tokens(SECRET)
    data = bytearray(_decoded(tokens.issue(USER).text))
    data[index] ^= 1
    changed = "AUTH_tk" + urlsafe_b64encode(data).rstrip(b"=").decode()
    assert tokens.verify(changed, TABLE) is None


@given(st.text(max_size=80))
def test_any_text_is_refused(text):
    tokens = Tokens(SECRET)
    assert tokens.verify(text, TABLE) is None
    assert tokens.verify("AUTH_tk" + text, TABLE) is None
    assert tokens.verify("AUTH_tk" + "A" * 9999, TABLE) is None


def test_memory_of_tokens_is_bounded(clock):
    tokens = Tokens(SECRET, now=clock, cache_limit=3)
    issued = [tokens.issue(USER).text for _ in range(10)]
    for token in (*issued, *issued):
        assert tokens.verify(token, TABLE)
    assert tokens.known == 3
