"""A batch is all there or not there at all, wherever it was interrupted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargeback.charge import Charge
from chargeback.errors import RetryError, StopError
from chargeback.journal.local import ledger as local_ledger
from chargeback.journal.rows import Gap, Reject
from chargeback.journal.winner import calls
from chargeback.stream_worker import StreamWorker
from tests.support.azure_bodies import Style
from tests.support.calls import Counts
from tests.support.charges import CONTEXT
from tests.support.events import NOON, events_of
from tests.support.render import render
from tests.support.sample_calls import CALLERS, ROUTES, a_call

JOURNAL = "stream/ns/hub/1/0"
POINTS = ("dead_letters.put", "pending.save", "append", "after_append")


class Crash(Exception):  # noqa: N818  a process that ended, not an error anybody handles
    """The process ended here."""


class Fragile:
    """A ledger whose process dies at the n-th visit of a point, before or after the real thing."""

    def __init__(self, ledger, point=None, visit=0):
        self._ledger, self._point, self._visit = ledger, point, visit
        self.dead_letters, self.cursors = (
            _Before(ledger.dead_letters, "put", self._at("dead_letters.put")),
            ledger.cursors,
        )
        self.pending = _Before(ledger.pending, "save", self._at("pending.save"))

    def _at(self, point):
        def visited():
            if point == self._point:
                self._visit -= 1
                if self._visit < 0:
                    raise Crash

        return visited

    def journal(self, name):
        journal = self._ledger.journal(name)
        return _Before(journal, "append", self._at("append"), self._at("after_append"))

    def __getattr__(self, name):
        return getattr(self._ledger, name)


class _Before:
    def __init__(self, inner, method, before, after=lambda: None):
        self._inner, self._method, self._before, self._after = inner, method, before, after

    def __getattr__(self, name):
        found = getattr(self._inner, name)
        if name != self._method:
            return found

        def guarded(*args, **named):
            self._before()
            answer = found(*args, **named)
            self._after()
            return answer

        return guarded


def made_bodies():
    """Whole events, parts of two interleaved calls, and a poison one."""
    usage = Counts(prompt=100, completion=20)
    whole = [render(a_call(CALLERS["shop"], ROUTES["chat"], NOON, n, usage=usage), "v1")[0] for n in (1, 2)]
    parted = [
        render(
            a_call(CALLERS["claims"], ROUTES["mini"], NOON, n, usage=usage), "v1-parts", Style(slice_size=150)
        )
        for n in (3, 4)
    ]
    return [whole[0], *parted[0][:2], b"poison", *parted[1], *parted[0][2:], whole[1]]


def rows_of(ledger):
    return [row for _, row in ledger.journal(JOURNAL).read()]


@given(st.sampled_from(POINTS), st.integers(0, 4), st.lists(st.integers(1, 6), min_size=1, max_size=4))
def test_a_crash_anywhere_and_redelivery_change_nothing(tmp_path_factory, point, visit, sizes):
    bodies = made_bodies()
    root = tmp_path_factory.mktemp("ledger")
    ledger = Fragile(local_ledger(root, writer="one", now=lambda: NOON), point, visit)
    worker = StreamWorker(ledger.journal(JOURNAL), ledger, lambda: CONTEXT)
    events, at, turn = events_of(bodies), 0, 0
    while at < len(events):
        batch = events[at : at + sizes[turn % len(sizes)]]
        try:
            worker.handle(batch)
        except Crash:
            # A new process, and the host delivers from an older checkpoint.
            ledger = Fragile(local_ledger(root, writer="two", now=lambda: NOON))
            worker = StreamWorker(ledger.journal(JOURNAL), ledger, lambda: CONTEXT)
            at = max(0, at - 2)
            continue
        at, turn = at + len(batch), turn + 1

    rows = rows_of(ledger)
    assert len(list(calls(rows))) == 4
    assert sum(isinstance(row, Charge) for row in rows) == 4
    assert [row.reason for row in rows if isinstance(row, Reject)] == ["not_json"]
    assert not [row for row in rows if isinstance(row, Gap)]
    assert len(list(ledger.dead_letters.list())) == 1


def test_numbers_the_platform_skipped_are_a_gap(tmp_path):
    ledger = local_ledger(tmp_path, writer="one", now=lambda: NOON)
    worker = StreamWorker(ledger.journal(JOURNAL), ledger, lambda: CONTEXT)
    bodies = made_bodies()
    worker.handle(events_of(bodies[:1]))

    handled = worker.handle(events_of(bodies[-1:], first=9))

    assert handled.gaps == 1
    assert [(row.first, row.last) for row in rows_of(ledger) if isinstance(row, Gap)] == [(1, 8)]


def test_a_hub_that_counts_anew_stops_with_its_remedy(tmp_path):
    ledger = local_ledger(tmp_path, writer="one", now=lambda: NOON)
    worker = StreamWorker(ledger.journal(JOURNAL), ledger, lambda: CONTEXT)
    worker.handle(events_of(made_bodies()))
    later = events_of(made_bodies()[:1], start=NOON.replace(hour=23))

    with pytest.raises(StopError, match="CHARGEBACK_GENERATION"):
        worker.handle(later)


def test_two_workers_on_one_stream_bill_every_call_once(tmp_path):
    """A stale owner goes on with what it had in memory; the journal tells it."""
    bodies = made_bodies()
    events = events_of(bodies)
    workers = []
    for name in ("one", "two"):
        ledger = local_ledger(tmp_path, writer=name, now=lambda: NOON)
        workers.append(StreamWorker(ledger.journal(JOURNAL), ledger, lambda: CONTEXT))
    for number in range(0, len(events), 2):
        workers[(number // 2) % 2].handle(events[: number + 2])

    rows = rows_of(local_ledger(tmp_path, writer="three", now=lambda: NOON))
    assert sum(isinstance(row, Charge) for row in rows) == 4
    assert len(list(calls(rows))) == 4


def test_no_rate_table_at_all_is_a_retry_not_a_free_ride(tmp_path):
    ledger = local_ledger(tmp_path, writer="one", now=lambda: NOON)

    def nothing():
        raise RetryError("rate table: none could be loaded yet")

    worker = StreamWorker(ledger.journal(JOURNAL), ledger, nothing)

    with pytest.raises(RetryError):
        worker.handle(events_of(made_bodies()))
    assert rows_of(ledger) == []


def test_parts_that_wait_too_long_are_billed_as_truncated_when_the_stream_goes_on(tmp_path):
    call = a_call(
        CALLERS["claims"], ROUTES["mini"], NOON, 1, usage=Counts(prompt=9, completion=9), usage_visible=False
    )
    parts = render(call, "v1-parts", Style(slice_size=60))
    other = render(
        a_call(CALLERS["shop"], ROUTES["chat"], NOON, 2, usage=Counts(prompt=9, completion=9)), "v1"
    )
    ledger = local_ledger(tmp_path, writer="one", now=lambda: NOON)
    worker = StreamWorker(ledger.journal(JOURNAL), ledger, lambda: CONTEXT)
    worker.handle(events_of(parts[:-1]))
    worker.handle(events_of(other, first=len(parts), start=NOON.replace(hour=13)))

    [late] = [row for row in rows_of(ledger) if isinstance(row, Charge) and "join_timeout" in row.usage_notes]

    assert late.truncated
    assert late.subscription_id == "sub-claims"
