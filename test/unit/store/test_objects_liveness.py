from hypothesis import given
from hypothesis import strategies as st

from objstore.core.timestamps import Timestamp
from objstore.store.change import DATA, METADATA, TOMBSTONE, Change
from objstore.store.objects.liveness import Liveness, decide, not_newer

times = st.integers(1, 5).map(Timestamp)
names = st.one_of(
    st.builds(Change, times, st.sampled_from([DATA, TOMBSTONE, METADATA]), st.none()),
    st.tuples(times, times).map(lambda pair: Change(max(pair), METADATA, min(pair))),
)
sets = st.lists(names, max_size=8, unique=True)


def data(when: int) -> Change:
    return Change(Timestamp(when), DATA)


def gone(when: int) -> Change:
    return Change(Timestamp(when), TOMBSTONE)


def meta(when: int, typed: int | None = None) -> Change:
    return Change(Timestamp(when), METADATA, None if typed is None else Timestamp(typed))


def test_nothing_is_nothing() -> None:
    assert decide([]) == Liveness(None, None, None, None, ())


def test_the_newest_data_wins() -> None:
    assert decide([data(1), data(3), data(2)]) == Liveness(data(3), None, None, None, (data(1), data(2)))


def test_at_equal_timestamps_the_tombstone_wins() -> None:
    assert decide([data(1), gone(1)]) == Liveness(None, gone(1), None, None, (data(1),))


def test_metadata_counts_only_while_newer_than_the_data() -> None:
    assert decide([data(2), meta(3)]) == Liveness(data(2), None, meta(3), None, ())
    assert decide([data(2), meta(2)]) == Liveness(data(2), None, None, None, (meta(2),))


def test_metadata_newer_than_a_tombstone_waits_for_data() -> None:
    assert decide([gone(2), meta(3)]) == Liveness(None, gone(2), None, None, ())
    assert decide([meta(3)]) == Liveness(None, None, None, None, ())


def test_a_content_type_may_stand_in_an_older_file() -> None:
    live = decide([data(1), meta(2, 2), meta(4)])
    assert (live.meta, live.content_type, live.obsolete) == (meta(4), meta(2, 2), ())


def test_a_content_type_older_than_the_data_does_not_count() -> None:
    live = decide([data(3), meta(4, 2)])
    assert (live.meta, live.content_type, live.obsolete) == (meta(4, 2), None, ())


def test_one_file_with_both_hides_the_two_that_it_was_made_of() -> None:
    live = decide([data(1), meta(2, 2), meta(4), meta(4, 2)])
    assert (live.meta, live.content_type) == (meta(4, 2), meta(4, 2))
    assert set(live.obsolete) == {meta(2, 2), meta(4)}


@given(sets, st.randoms())
def test_the_order_of_names_does_not_matter(files: list[Change], random: object) -> None:
    shuffled = list(files)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    first, second = decide(files), decide(shuffled)
    assert first[:4] == second[:4]
    assert set(first.obsolete) == set(second.obsolete)


@given(sets, sets)
def test_obsolete_files_may_go_before_the_others_arrive(early: list[Change], late: list[Change]) -> None:
    kept = set(early) - set(decide(early).obsolete)
    at_once, in_turn = decide(set(early) | set(late)), decide(kept | set(late))
    assert at_once[:4] == in_turn[:4]
    left = (set(early) | set(late)) - set(at_once.obsolete)
    assert left == (kept | set(late)) - set(in_turn.obsolete)


@given(sets)
def test_what_counts_is_never_obsolete(files: list[Change]) -> None:
    live = decide(files)
    assert not set(live[:4]) & set(live.obsolete)
    assert live.data is None or live.tombstone is None


@given(sets)
def test_quarantine_brings_nothing_to_light(files: list[Change]) -> None:
    live = decide(files)
    for bad in {live.data, live.meta} - {None}:
        assert bad is not None
        after = decide(set(files) - set(not_newer(files, bad)))
        assert after.data is None
