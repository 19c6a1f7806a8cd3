import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.core.errors import InvalidInput
from objstore.core.timestamps import MAX_RAW, Clock, Timestamp

timestamps = st.builds(Timestamp, st.integers(0, MAX_RAW), st.integers(0, 2**64 - 1))


@given(timestamps)
def test_the_internal_form_is_read_back(stamp):
    assert Timestamp.parse(stamp.internal) == stamp


@given(timestamps, timestamps)
def test_internal_forms_sort_as_timestamps_do(one, other):
    assert (one < other) == (one.internal < other.internal)


@given(timestamps)
def test_the_ceiling_is_never_before_the_change(stamp):
    assert 0 <= stamp.ceiling - stamp.seconds <= 1.0000001


@pytest.mark.parametrize(
    ("text", "stamp"),
    [
        ("1", Timestamp(100_000)),
        ("1.5", Timestamp(150_000)),
        ("1.123456789", Timestamp(112_345)),
        ("0_a", Timestamp(0, 10)),
    ],
)
def test_forms_of_clients_are_read(text, stamp):
    assert Timestamp.parse(text) == stamp


@pytest.mark.parametrize("text", ["", "x", "1.", "-1", "1e5", "12345678901", "1_", "1_12345678901234567", "١", " 1"])
def test_what_is_no_timestamp_is_refused(text):
    with pytest.raises(InvalidInput):
        Timestamp.parse(text)


def test_a_clock_never_repeats_nor_goes_back():
    times = iter([5.0, 5.0, 4.0, 5.00002, 6.0])
    clock = Clock(lambda: next(times))
    given_out = [clock.now() for _ in range(5)]
    assert given_out == sorted(set(given_out))


def test_a_clock_is_moved_ahead_of_what_it_is_shown():
    clock = Clock(lambda: 100.0)
    ahead = Timestamp.from_seconds(500.0)
    assert clock.after(ahead) > ahead
    assert clock.now() > ahead
