"""A crash in the middle of a write: whatever is left of it, exactly the committed rows are read."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargeback.journal import local
from chargeback.journal.journal import SegmentedJournal
from chargeback.journal.rows import Ignored
from chargeback.ports import Entry
from tests.contract.memory import MemorySegments

NOON = datetime(2026, 5, 24, 12, tzinfo=UTC)
SEGMENT = "date=2026-05-24/000001.ndjson"


def opened(segments):
    return SegmentedJournal("source/a", segments, writer="w", now=lambda: NOON)


def write(segments, upto, batch=2):
    """Go on from wherever the journal is, as a worker does after a restart."""
    journal = opened(segments)
    watermark = journal.watermark()
    last = watermark.last_seq if watermark else 0
    while last < upto:
        positions = range(last + 1, min(last + batch, upto) + 1)
        made = [
            Entry(position=n, enqueued_at=None, rows=(Ignored(row_id=f"{n}ü", reason='"row":"commit",'),))
            for n in positions
        ]
        watermark = journal.append(made, after=watermark, batch_id=f"b{last}")
        last = watermark.last_seq


def events(segments):
    return [int(row.row_id[:-1]) for _, row in opened(segments).read()]


def cut(segments, at, more=b""):
    data, appends = segments.blobs[SEGMENT]
    left = MemorySegments()
    left.blobs = {**segments.blobs, SEGMENT: (data[:at] + more, appends)}
    return left


@pytest.fixture(scope="module")
def whole():
    segments = MemorySegments()
    write(segments, 6)
    return segments


@pytest.mark.parametrize("more", [b"", b"\0" * 40, b"\n", b"\n\n"], ids=["", "zeros", "newline", "newlines"])
def test_a_cut_at_any_byte_loses_and_doubles_nothing(whole, more):
    for at in range(len(whole.blobs[SEGMENT][0]) + 1):
        left = cut(whole, at, more)
        before = events(left)
        write(left, 8)

        assert events(left) == [1, 2, 3, 4, 5, 6, 7, 8], at
        assert before == list(range(1, len(before) + 1)), at


def test_a_commit_counts_with_and_without_its_newline(whole):
    size = len(whole.blobs[SEGMENT][0])

    assert events(cut(whole, size)) == events(cut(whole, size - 1)) == [1, 2, 3, 4, 5, 6]
    assert events(cut(whole, size - 2)) == [1, 2, 3, 4]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(1, 4)), max_size=6))
def test_crash_after_crash(crashes):
    segments = MemorySegments()
    reached = 0
    for where, batch in crashes:
        write(segments, reached + 4, batch)
        data, appends = segments.blobs[SEGMENT]
        segments.blobs[SEGMENT] = (data[: int(len(data) * where)], appends)
        found = events(segments)
        assert found == list(range(1, len(found) + 1))
        reached = len(found)
    write(segments, reached + 1)

    assert events(segments) == list(range(1, reached + 2))


@settings(max_examples=25, deadline=None)
@given(where=st.floats(0, 1))
def test_a_file_cut_anywhere(tmp_path_factory, where):
    folder = tmp_path_factory.mktemp("journal")
    write(local.LocalSegments(folder), 6)
    file = folder / SEGMENT
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * where)])
    write(local.LocalSegments(folder), 8)

    assert events(local.LocalSegments(folder)) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_the_end_of_a_segment_counts_without_its_newline(whole):
    end = len(whole.blobs[SEGMENT][0])
    rolled = cut(whole, end)
    journal = SegmentedJournal("source/a", rolled, writer="w", now=lambda: NOON.replace(day=25))
    watermark = journal.watermark()
    journal.append([Entry(position=7, enqueued_at=None, rows=())], after=watermark, batch_id="b")
    for at in range(end, len(rolled.blobs[SEGMENT][0])):
        left = cut(rolled, at)
        del left.blobs["date=2026-05-25/000002.ndjson"]
        write(left, 8)

        assert events(left) == [1, 2, 3, 4, 5, 6, 7, 8], at


def test_garbage_of_many_crashes_is_not_kept_in_memory(whole):
    """Only what one append can hold may be waiting for its commit."""
    from chargeback.journal import framing

    left = cut(whole, 10**6, b'{"row":"ignored"}\n' * 50_000)
    left.max_append = 10_000
    write(left, 7)
    size = left.extent(SEGMENT).size
    found = list(framing.rows(left, SEGMENT, 0, size))

    assert [row.row_id for _, row in found] == [f"{n}ü" for n in range(1, 8)]
    assert framing.tail(left, SEGMENT, size).commit.last_seq == 7


def test_the_last_commit_is_found_behind_any_amount_of_garbage(whole):
    left = cut(whole, 10**6, b"x" * 1_000_000)

    assert opened(left).watermark().last_seq == 6
