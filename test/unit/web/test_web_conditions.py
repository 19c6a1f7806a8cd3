from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.core.timestamps import Timestamp
from objstore.web import conditions
from objstore.web.conditions import evaluate, http_date_seconds, range_applies

# 784111777 is the example of RFC 9110; the change was made in the second before.
CHANGED = Timestamp.parse("0784111776.50000")
AT = "Sun, 06 Nov 1994 08:49:37 GMT"
BEFORE = "Sun, 06 Nov 1994 08:49:36 GMT"
AFTER = "Sun, 06 Nov 1994 08:49:38 GMT"


@pytest.mark.parametrize(
    ("headers", "get", "put"),
    [
        ({}, None, None),
        ({"If-Match": '"abc"'}, None, None),
        ({"If-Match": "abc"}, None, None),
        ({"If-Match": '"x", "abc"'}, None, None),
        ({"If-Match": "x,abc"}, None, None),
        ({"If-Match": "*"}, None, None),
        ({"If-Match": '"x"'}, 412, 412),
        ({"If-Match": 'W/"abc"'}, 412, 412),
        ({"If-Match": ""}, 412, 412),  # sent, and names no tag
        ({"If-None-Match": ""}, None, None),
        ({"If-None-Match": "", "If-Modified-Since": AFTER}, None, None),
        ({"If-None-Match": '"abc"'}, 304, 412),
        ({"If-None-Match": 'W/"abc"'}, 304, 412),
        ({"If-None-Match": "*"}, 304, 412),
        ({"If-None-Match": '"x"'}, None, None),
        ({"If-Modified-Since": AT}, 304, None),
        ({"If-Modified-Since": AFTER}, 304, None),
        ({"If-Modified-Since": BEFORE}, None, None),
        ({"If-Modified-Since": "yesterday"}, None, None),
        ({"If-Unmodified-Since": AT}, None, None),
        ({"If-Unmodified-Since": AFTER}, None, None),
        ({"If-Unmodified-Since": BEFORE}, 412, 412),
        ({"If-Unmodified-Since": "0"}, None, None),
        # precedence: tags before dates, 412 before 304
        ({"If-Match": '"abc"', "If-Unmodified-Since": BEFORE}, 412, 412),
        ({"If-None-Match": '"x"', "If-Modified-Since": AFTER}, None, None),
        ({"If-Match": '"x"', "If-None-Match": '"abc"'}, 412, 412),
        ({"If-Match": '"abc"', "If-None-Match": '"abc"'}, 304, 412),
        ({"If-Match": '"abc"', "If-Modified-Since": AT}, 304, None),
        ({"If-Unmodified-Since": AT, "If-Modified-Since": AT}, 304, None),
    ],
)
def test_conditions_on_what_is_there(headers, get, put):
    assert evaluate("GET", headers, "abc", CHANGED) == get
    assert evaluate("HEAD", headers, "abc", CHANGED) == get
    assert evaluate("PUT", headers, "abc", CHANGED) == put
    assert evaluate("DELETE", headers, "abc", CHANGED) == put


@pytest.mark.parametrize(
    ("headers", "put"),
    [
        ({}, None),
        ({"If-Match": "*"}, 412),
        ({"If-Match": '"abc"'}, 412),
        ({"If-None-Match": "*"}, None),
        ({"If-None-Match": '"abc"'}, None),
        ({"If-Unmodified-Since": BEFORE}, None),
    ],
)
def test_conditions_on_what_is_not_there(headers, put):
    assert evaluate("PUT", headers, None, None) == put
    assert evaluate("GET", headers, None, None) is None  # the 404 comes first
    assert evaluate("DELETE", headers, None, None) is None


@pytest.mark.parametrize(
    ("if_range", "applies"),
    [
        ("", True),
        ('"abc"', True),
        ("abc", True),
        ('W/"abc"', False),
        ('"x"', False),
        ("*", False),
        (AT, True),
        (BEFORE, False),
        (AFTER, False),
    ],
)
def test_if_range_needs_the_very_same_object(if_range, applies):
    assert range_applies(if_range, "abc", CHANGED) is applies


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (AT, 784111777),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 784111777),
        ("Sun Nov  6 08:49:37 1994", 784111777),
        ("Sun, 6 Nov 1994 08:49:37 +0000", 784111777),
        ("Sun, 06 Nov 1994 08:49:60 GMT", 784111799),
        ("Sun, 31 Feb 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 1994 25:49:37 GMT", None),
        ("Sun, 06 Foo 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 0000 08:49:37 GMT", None),
        ("1994-11-06T08:49:37Z", None),
        ("784111777", None),
        ("", None),
    ],
)
def test_http_dates_in_three_forms(text, seconds):
    assert http_date_seconds(text, this_year=2025) == seconds


@pytest.mark.parametrize(
    ("digits", "now", "year"), [(94, 2025, 1994), (75, 2025, 2075), (76, 2025, 1976), (1, 1999, 2001)]
)
def test_two_digit_years_are_never_far_ahead(digits, now, year):
    found = http_date_seconds(f"Friday, 01-Jan-{digits:02d} 00:00:00 GMT", this_year=now)
    assert found == http_date_seconds(f"Fri, 01 Jan {year} 00:00:00 GMT")


@given(st.integers(0, 253402300799))
def test_dates_we_write_are_read_back(seconds):
    assert http_date_seconds(formatdate(seconds, usegmt=True)) == seconds


@given(st.integers(1, 10**15))
def test_a_change_counts_as_made_when_its_last_modified_says(raw):
    changed = Timestamp(raw)
    shown = formatdate(changed.ceiling, usegmt=True)
    assert evaluate("GET", {"If-Modified-Since": shown}, "abc", changed) == 304
    assert evaluate("GET", {"If-Unmodified-Since": shown}, "abc", changed) is None
    assert range_applies(shown, "abc", changed)


def test_text_that_holds_a_tag_is_not_that_tag():
    assert conditions.entity_tags('not-"a", "b,c", W/"d", e') == [(False, "b,c"), (True, "d"), (False, "e")]


@given(st.text(max_size=60))
def test_any_text_is_taken_for_a_list_of_tags(text):
    for _, tag in conditions.entity_tags(text):
        assert '"' not in tag
    evaluate("GET", {"If-Match": text, "If-None-Match": text}, "abc", CHANGED)
    range_applies(text, "abc", CHANGED)
