"""Pending states, dead letters, cursors and write-once copies, as the worker uses them."""

from datetime import UTC, datetime, timedelta

import pytest

from chargeback.errors import StopError
from chargeback.journal.rows import Commit, Ignored
from chargeback.ports import Entry, MovedError

NOON = datetime(2026, 5, 24, 12, tzinfo=UTC)
STREAM = "stream/contoso.servicebus.windows.net/usage/1/0"
ODD = "stream/näme space/a%2Fb/1/..\\x"


@pytest.fixture
def ledger(storage):
    return storage.ledger(writer="w1", now=lambda: NOON)


def commit(last_seq, batch_id):
    return Commit(
        writer="w1", batch_id=batch_id, first_seq=1, last_seq=last_seq, last_enqueued_time=None, rows=1
    )


class TestPending:
    def test_a_commit_finds_the_state_saved_for_it(self, ledger):
        ledger.pending.save(STREAM, 7, "batch/a b", b"\x00state")

        assert ledger.pending.load(STREAM, commit(7, "batch/a b")) == b"\x00state"

    def test_no_commit_no_state(self, ledger):
        ledger.pending.save(STREAM, 7, "a", b"1")

        assert ledger.pending.load(STREAM, None) is None

    def test_the_state_of_a_rival_that_lost_never_counts(self, ledger):
        ledger.pending.save(STREAM, 7, "winner", b"1")
        ledger.pending.save(STREAM, 7, "loser", b"2")
        ledger.pending.save(STREAM, 6, "loser", b"3")
        ledger.pending.save(STREAM, 9, "loser", b"4")

        assert ledger.pending.load(STREAM, commit(7, "winner")) == b"1"
        assert ledger.pending.load(STREAM, commit(8, "winner")) is None

    def test_forgets_older_ones_only(self, ledger):
        for through in (5, 6, 12):
            ledger.pending.save(STREAM, through, "a", b"%d" % through)
        ledger.pending.save("source/3f2a", 5, "a", b"other")
        ledger.pending.forget(STREAM, below=6)

        found = [ledger.pending.load(STREAM, commit(through, "a")) for through in (5, 6, 12)]
        assert found == [None, b"6", b"12"]
        assert ledger.pending.load("source/3f2a", commit(5, "a")) == b"other"

    def test_names_the_journals_that_have_states(self, ledger):
        assert ledger.pending.journals() == []
        ledger.pending.save(STREAM, 1, "a", b"")
        ledger.pending.save(STREAM, 2, "a", b"")
        ledger.pending.save(ODD, 1, "a", b"")

        assert ledger.pending.journals() == sorted([STREAM, ODD])


class TestDeadLetters:
    def test_keeps_the_bytes_and_what_they_are_about(self, ledger):
        about = {"reason": "not_json", "message": "expected an object, got «list»"}
        ledger.dead_letters.put("ns/hub/1/0/17", b"\xff\x00", about)
        ledger.dead_letters.put("ns/hub/1/0/17", b"\xff\x00", about)

        assert ledger.dead_letters.get("ns/hub/1/0/17") == (b"\xff\x00", about)
        assert list(ledger.dead_letters.list()) == ["ns/hub/1/0/17"]
        assert ledger.dead_letters.get("ns/hub/1/0/18") is None

    def test_lists_below_a_folder_whatever_the_names_hold(self, ledger):
        odd = "ns/a b/1/.hidden/ü%2F"
        for path in ("ns/hub/1/0/2", "ns/hub/1/0/10", odd):
            ledger.dead_letters.put(path, b"", {})

        assert list(ledger.dead_letters.list("ns/a b")) == [odd]
        assert sorted(ledger.dead_letters.list("ns/hub/")) == ["ns/hub/1/0/10", "ns/hub/1/0/2"]
        assert list(ledger.dead_letters.list("ns/h")) == []

    def test_deletes(self, ledger):
        ledger.dead_letters.put("a", b"1", {"n": "1"})
        ledger.dead_letters.delete("a")
        ledger.dead_letters.delete("a")

        assert ledger.dead_letters.get("a") is None

    def test_sweeps_what_was_kept_before_an_instant(self, ledger):
        for path in ("ns/hub/1/0/1", "ns/hub/1/0/2"):
            ledger.dead_letters.put(path, b"x", {"reason": "not_json"})
        ledger.pending.save(STREAM, 1, "a", b"")

        assert ledger.dead_letters.sweep(datetime.now(UTC) - timedelta(minutes=1)) == 0
        assert ledger.dead_letters.sweep(datetime.now(UTC) + timedelta(minutes=1)) == 2
        assert list(ledger.dead_letters.list()) == []
        assert ledger.pending.journals() == [STREAM]

    def test_ten_endless_values_are_cut_and_kept(self, ledger):
        about = {f"word_{letter}": "🙂é%" * 5000 for letter in "abcdefghij"}
        ledger.dead_letters.put("a", b"body", about)
        body, found = ledger.dead_letters.get("a")

        assert body == b"body"
        assert found.keys() == about.keys()
        assert all(len(value) > 50 and about[key].startswith(value) for key, value in found.items())


class TestCursors:
    def test_moves_only_for_who_saw_the_last_value(self, ledger):
        assert ledger.cursors.load(STREAM) is None
        tag = ledger.cursors.save(STREAM, b"1", None)

        assert ledger.cursors.load(STREAM) == (b"1", tag)
        with pytest.raises(MovedError):
            ledger.cursors.save(STREAM, b"2", None)
        fresh = ledger.cursors.save(STREAM, b"2", tag)
        with pytest.raises(MovedError):
            ledger.cursors.save(STREAM, b"3", tag)
        assert ledger.cursors.load(STREAM) == (b"2", fresh)
        assert ledger.cursors.load("source/3f2a") is None


class TestWriteOnce:
    def test_the_first_stays(self, ledger):
        assert ledger.fetch("rates/3f2a.json") is None
        assert ledger.put_once("rates/3f2a.json", b"1") is True
        assert ledger.put_once("rates/3f2a.json", b"2") is False
        assert ledger.fetch("rates/3f2a.json") == b"1"


def append(ledger, name, position):
    entry = Entry(position=position, enqueued_at=None, rows=(Ignored(row_id="r", reason="metric"),))
    journal = ledger.journal(name)
    journal.append([entry], after=journal.watermark(), batch_id=f"b{position}")


class TestJournals:
    def test_names_every_journal_that_was_written(self, ledger):
        names = sorted([STREAM, "source/" + "3f2a" * 16, "expiry/ns/hub/1/0", "run/a/b", ODD])
        for name in names:
            entry = Entry(position=1, enqueued_at=None, rows=(Ignored(row_id="r", reason="metric"),))
            ledger.journal(name).append([entry], after=None, batch_id="b")
        ledger.journal("source/never").watermark()

        assert ledger.journals() == names
        assert ledger.journal(STREAM) is ledger.journal(STREAM)

    def test_a_journal_that_grew_has_another_mark_and_the_others_have_not(self, ledger):
        for name in ("source/a", "source/b"):
            append(ledger, name, 1)
        before = ledger.ends()
        append(ledger, "source/a", 2)
        after = ledger.ends()

        assert set(before) == set(after) == {"source/a", "source/b"}
        assert before["source/a"] != after["source/a"]
        assert before["source/b"] == after["source/b"]

    @pytest.mark.parametrize("name", ["", "stream/", "/a", "a//b"])
    def test_refuses_an_empty_part(self, ledger, name):
        with pytest.raises(StopError, match="journal name"):
            ledger.journal(name)
