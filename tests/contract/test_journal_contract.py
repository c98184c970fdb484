"""The journal over every adapter: each event once, in order, whoever writes."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from chargeback.errors import StopError
from chargeback.journal import paths
from chargeback.journal.ledger import JOURNALS
from chargeback.journal.rows import Commit, Gap, Ignored
from chargeback.ports import Entry, OversizedError, OvertakenError, Position

NOON = datetime(2026, 5, 24, 12, tzinfo=UTC)
STREAM = "stream/contoso/usage/1/0"


class Clock:
    def __init__(self):
        self.now = NOON

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def opened(storage, clock):
    """Open the stream's journal as another writer of the same storage."""

    def journal(writer="w1", **options):
        return storage.ledger(writer=writer, now=clock, **options).journal(STREAM)

    return journal


@pytest.fixture
def raw(storage):
    return storage.segments(JOURNALS + paths.folder(STREAM))


def entry(position, *, rows=1, size=0):
    made = (Ignored(row_id=f"{position}/{index}", reason="x" * size) for index in range(rows))
    return Entry(position=position, enqueued_at=NOON + timedelta(seconds=position), rows=tuple(made))


def entries(*positions):
    return [entry(position) for position in positions]


def row_ids(journal, after=None, until=None):
    return [row.row_id for _, row in journal.read(after, until) if isinstance(row, Ignored)]


class TestJournal:
    def test_an_empty_one_has_nothing(self, opened, raw):
        journal = opened()

        assert journal.watermark() is None
        assert journal.committed() is None
        assert list(journal.read()) == []
        assert journal.append([], after=None, batch_id="b") is None
        assert raw.names() == []

    def test_what_was_appended_is_read_by_another_process(self, opened):
        watermark = opened("w1").append([entry(5, rows=2), entry(6)], after=None, batch_id="b1")
        other = opened("w2")

        assert watermark == Commit(
            writer="w1",
            batch_id="b1",
            first_seq=5,
            last_seq=6,
            last_enqueued_time=NOON + timedelta(seconds=6),
            rows=3,
        )
        assert other.watermark() == watermark
        assert row_ids(other) == ["5/0", "5/1", "6/0"]

    def test_an_event_without_rows_moves_the_watermark(self, opened):
        journal = opened()
        journal.append([Entry(position=3, enqueued_at=None, rows=())], after=None, batch_id="b")

        assert opened().watermark().last_seq == 3
        assert list(journal.read()) == []

    def test_the_latest_time_survives_events_without_one(self, opened):
        journal = opened()
        watermark = journal.append(entries(1), after=None, batch_id="b1")
        untimed = Entry(position=2, enqueued_at=None, rows=())
        earlier = Entry(position=3, enqueued_at=NOON - timedelta(hours=1), rows=())

        assert journal.append([untimed, earlier], after=watermark, batch_id="b2").last_enqueued_time == (
            NOON + timedelta(seconds=1)
        )

    def test_a_gap_stands_before_the_event_that_showed_it(self, opened):
        journal = opened()
        gaps = [Gap(first=7, last=8), Gap(first=3, last=4)]
        watermark = journal.append(entries(2, 5, 6, 9), after=None, batch_id="b", gaps=gaps)

        found = [
            row.row_id if isinstance(row, Ignored) else (row.first, row.last) for _, row in journal.read()
        ]
        assert found == ["2/0", (3, 4), "5/0", "6/0", (7, 8), "9/0"]
        assert watermark.rows == 6

    def test_reading_goes_on_behind_any_row(self, opened):
        journal = opened()
        watermark = journal.append([entry(1, rows=3), entry(2)], after=None, batch_id="b1")
        journal.append(entries(3, 4), after=watermark, batch_id="b2")
        whole = list(journal.read())

        assert [row.row_id for _, row in whole] == ["1/0", "1/1", "1/2", "2/0", "3/0", "4/0"]
        for index, (position, _) in enumerate(whole):
            assert list(journal.read(after=position)) == whole[index + 1 :]
            assert list(journal.read(until=position)) == whole[: index + 1]
        assert list(journal.read(after=journal.committed())) == []
        assert list(journal.read(until=journal.committed())) == whole

    def test_a_day_begins_a_segment(self, opened, clock, raw):
        journal = opened()
        watermark = journal.append(entries(1), after=None, batch_id="b1")
        clock.now += timedelta(days=1)
        stale = opened("w2")
        stale.watermark()
        watermark = journal.append(entries(2), after=watermark, batch_id="b2")
        clock.now -= timedelta(days=1)  # a machine whose clock is behind does not go back
        watermark = opened("w3").append(entries(3), after=watermark, batch_id="b3")

        assert [name[5:] for name in raw.names()] == [
            "1970-01-01/000000.ndjson",
            "2026-05-24/000001.ndjson",
            "2026-05-25/000002.ndjson",
        ]
        assert row_ids(stale) == ["1/0", "2/0", "3/0"]
        assert stale.refresh() == watermark

    def test_a_full_segment_is_followed_by_another(self, opened, raw):
        journal = opened(segment_bytes=400)
        watermark = None
        for position in range(1, 8):
            watermark = journal.append(entries(position), after=watermark, batch_id=f"b{position}")
        positions = [position for position, _ in journal.read()]

        assert len(raw.names()) == 5  # the root, and two appends in each of the others
        assert positions == sorted(positions)
        assert row_ids(opened()) == [f"{position}/0" for position in range(1, 8)]
        assert row_ids(journal, after=positions[2], until=positions[4]) == ["4/0", "5/0"]

    def test_rows_beyond_one_append_are_split_between_events(self, opened, raw):
        journal = opened()
        many = [entry(position, rows=2, size=700_000) for position in range(1, 7)]
        saved = []
        journal.append(many, after=None, batch_id="b", prepare=saved.append)

        assert saved == [2, 4, 6]
        assert row_ids(opened()) == [f"{position}/{index}" for position in range(1, 7) for index in (0, 1)]
        assert opened().watermark().first_seq == 5

    def test_an_event_beyond_one_append_is_named_and_nothing_written(self, opened, raw):
        with pytest.raises(OversizedError, match="the 6 rows of the event take") as raised:
            opened().append([entry(1), entry(2, rows=6, size=700_000)], after=None, batch_id="b")

        assert (raised.value.position, raised.value.reason) == (2, "too_large")
        assert raw.names() == []

    @pytest.mark.parametrize("positions", [(4,), (5,), (7, 6), (6, 6)])
    def test_refuses_entries_that_do_not_ascend(self, opened, positions):
        journal = opened()
        watermark = journal.append(entries(5), after=None, batch_id="b1")

        with pytest.raises(StopError, match="does not ascend"):
            journal.append(entries(*positions), after=watermark, batch_id="b2")

    def test_refuses_a_gap_at_the_end(self, opened):
        with pytest.raises(StopError, match="gap 6 to 7"):
            opened().append(entries(5), after=None, batch_id="b", gaps=[Gap(first=6, last=7)])


class TestTwoWriters:
    def test_a_stale_owner_whose_events_are_covered_writes_nothing(self, opened):
        stale, owner = opened("stale"), opened("owner")
        assert stale.watermark() is None
        watermark = owner.append(entries(1, 2, 3), after=None, batch_id="b1")

        assert stale.append(entries(1, 2), after=None, batch_id="b2") == watermark
        assert row_ids(stale) == ["1/0", "2/0", "3/0"]

    @pytest.mark.parametrize("positions", [(1, 2, 3, 4), (4, 5)])
    def test_a_stale_owner_with_more_events_must_compute_them_anew(self, opened, positions):
        stale, owner = opened("stale"), opened("owner")
        stale.watermark()
        owner.append(entries(1, 2, 3), after=None, batch_id="b1")
        saved = []

        with pytest.raises(OvertakenError, match="committed through 3, by writer 'owner'"):
            stale.append(entries(*positions), after=None, batch_id="b2", prepare=saved.append)
        rest = [each for each in entries(*positions) if each.position > 3]
        stale.append(rest, after=stale.watermark(), batch_id="b3", prepare=saved.append)
        assert row_ids(owner) == [f"{n}/0" for n in range(1, positions[-1] + 1)]
        assert saved[-1] == positions[-1]

    def test_a_stale_owner_finds_its_way_over_a_roll_over(self, opened, clock):
        stale, owner = opened("stale"), opened("owner")
        watermark = stale.append(entries(1), after=None, batch_id="b1")
        owner.watermark()
        for position in (2, 3):
            clock.now += timedelta(days=1)
            watermark = owner.append(entries(position), after=watermark, batch_id=f"b{position}")

        assert stale.append(entries(2), after=stale.watermark(), batch_id="b4") == watermark
        stale.append(entries(4), after=watermark, batch_id="b5")
        assert row_ids(owner) == ["1/0", "2/0", "3/0", "4/0"]

    def test_first_writers_on_both_sides_of_midnight_meet(self, storage):
        before = storage.ledger(writer="w1", now=lambda: NOON).journal(STREAM)
        behind = storage.ledger(writer="w2", now=lambda: NOON + timedelta(days=1)).journal(STREAM)
        assert before.watermark() is behind.watermark() is None
        watermark = behind.append(entries(1), after=None, batch_id="b1")

        assert before.append(entries(1), after=None, batch_id="b2") == watermark
        before.append(entries(2), after=watermark, batch_id="b3")
        assert row_ids(behind) == ["1/0", "2/0"]

    def test_many_at_once_write_each_event_once(self, opened):
        """Every writer tries every event; one of them succeeds for each."""

        def work(number):
            journal = opened(f"w{number}", segment_bytes=1500)
            for position in range(1, 16):
                while (watermark := journal.watermark()) is None or watermark.last_seq < position:
                    with suppress(OvertakenError):
                        journal.append(entries(position), after=watermark, batch_id=f"{number}/{position}")

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(4)))

        assert row_ids(opened()) == [f"{position}/0" for position in range(1, 16)]


class TestDamage:
    def test_a_journal_that_lost_commits_stops_its_writer(self, opened, raw, storage):
        journal = opened()
        watermark = journal.append(entries(1, 2), after=None, batch_id="b1")
        elsewhere = storage.ledger(writer="w1", now=lambda: NOON).journal("source/other")

        with pytest.raises(StopError, match="restored from an old copy"):
            elsewhere.append(entries(3), after=watermark, batch_id="b2")

    def test_a_commit_without_its_rows_stops_the_reader(self, opened, raw):
        opened().append(entries(1), after=None, batch_id="b1")
        name = raw.names()[-1]
        commit = b'{"row":"commit","writer":"w","batch_id":"b","first_seq":2,"last_seq":2,"last_enqueued_time":null,"rows":1}\n'
        raw.append(name, commit, raw.extent(name).size)

        with pytest.raises(StopError, match="a commit of 1 rows follows 0"):
            list(opened().read())

    def test_a_row_that_cannot_be_read_stops_the_reader(self, opened, raw):
        opened().append(entries(1), after=None, batch_id="b1")
        name = raw.names()[-1]
        rows = b'{"row":"of a later version"}\n{"row":"commit","writer":"w","batch_id":"b","first_seq":2,"last_seq":2,"last_enqueued_time":null,"rows":1}\n'
        raw.append(name, rows, raw.extent(name).size)

        with pytest.raises(StopError, match=f"segment {name}, before byte"):
            list(opened().read())

    def test_a_cursor_into_a_segment_that_is_gone_stops_the_reader(self, opened):
        opened().append(entries(1), after=None, batch_id="b1")

        with pytest.raises(StopError, match="is missing"):
            list(opened().read(after=Position("date=2020-01-01/000000.ndjson", 17)))
