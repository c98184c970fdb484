"""Which events are new, what is missing, and whether the hub is still the same."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargeback.errors import StopError
from chargeback.event import Event, Stream
from chargeback.journal.admission import admit
from chargeback.journal.rows import Commit, Gap

NOON = datetime(2026, 5, 24, 12, tzinfo=UTC)
STREAM = Stream("contoso", "usage", 1, "0")


def event(position, enqueued_at=NOON):
    return Event(
        stream=STREAM, sequence_number=position, position=position, body=b"", enqueued_at=enqueued_at
    )


def watermark(last_seq, time=NOON):
    return Commit(writer="w", batch_id="b", first_seq=0, last_seq=last_seq, last_enqueued_time=time, rows=1)


def admitted(mark, *positions):
    found = admit(mark, [event(position) for position in positions])
    return (
        [each.position for each in found.events],
        found.skipped,
        [(gap.first, gap.last) for gap in found.gaps],
    )


@pytest.mark.parametrize(
    ("last", "positions", "expected"),
    [
        pytest.param(None, (), ([], 0, []), id="nothing comes"),
        pytest.param(None, (70, 71), ([70, 71], 0, []), id="an empty journal begins anywhere"),
        pytest.param(
            None, (70, 73), ([70, 73], 0, [(71, 72)]), id="an empty journal sees gaps inside a batch"
        ),
        pytest.param(9, (10, 11), ([10, 11], 0, []), id="the next ones"),
        pytest.param(9, (8, 9), ([], 2, []), id="a redelivery"),
        pytest.param(9, (8, 9, 10), ([10], 2, []), id="a redelivery with more"),
        pytest.param(9, (11,), ([11], 0, [(10, 10)]), id="one is missing"),
        pytest.param(9, (12, 13, 20), ([12, 13, 20], 0, [(10, 11), (14, 19)]), id="several gaps"),
        pytest.param(9, (8, 12), ([12], 1, [(10, 11)]), id="a gap behind a redelivery"),
        pytest.param(9, (11, 10, 11, 10), ([10, 11], 2, []), id="unordered and twice"),
        pytest.param(-1, (0,), ([0], 0, []), id="the very first number is 0"),
    ],
)
def test_takes_what_is_above_the_watermark(last, positions, expected):
    assert admitted(None if last is None else watermark(last), *positions) == expected


@given(st.integers(0, 30), st.lists(st.integers(0, 60)))
def test_events_and_gaps_together_are_everything_behind_the_watermark(last, positions):
    events, skipped, gaps = admitted(watermark(last), *positions)
    numbers = [*events, *(n for first, final in gaps for n in range(first, final + 1))]

    assert sorted(numbers) == list(range(last + 1, max([last, *positions]) + 1))
    assert set(events) == {position for position in positions if position > last}
    assert skipped == len(positions) - len(events)


def test_a_hub_that_counts_anew_stops_with_the_remedy():
    with pytest.raises(StopError, match=r"re-created.*Raise CHARGEBACK_GENERATION"):
        admit(watermark(9), [event(0, NOON + timedelta(milliseconds=1)), event(1, NOON)])


@pytest.mark.parametrize("time", [NOON, NOON - timedelta(days=1), None], ids=["same", "earlier", "unknown"])
def test_an_old_number_that_is_not_newer_is_a_redelivery(time):
    assert admit(watermark(9), [event(5, time)]).skipped == 1


def test_without_a_known_time_there_is_nothing_to_compare():
    assert admit(watermark(9, None), [event(5)]).skipped == 1


def test_new_numbers_may_have_any_time():
    found = admit(watermark(9), [event(10, NOON + timedelta(days=1)), event(11, NOON - timedelta(days=1))])

    assert (len(found.events), found.gaps) == (2, ())


def test_a_gap_names_the_first_and_the_last_missing_number():
    assert admit(watermark(9), [event(15)]).gaps == (Gap(first=10, last=14),)
