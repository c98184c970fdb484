"""The timer's round: what is idle costs nothing, what is busy is left to its owner, what fails waits."""

from datetime import timedelta

import pytest

from chargeback import exchange
from chargeback.charge import Charge
from chargeback.errors import RetryError
from chargeback.journal.rows import Commit
from chargeback.report import ledger_rows
from chargeback.telemetry import Delivery
from chargeback.worker import Worker
from tests.contract.memory import MemoryStorage
from tests.support.azure_bodies import Style
from tests.support.calls import Counts
from tests.support.charges import CONTEXT
from tests.support.events import NOON, STREAM, events_of
from tests.support.render import render
from tests.support.sample_calls import CALLERS, ROUTES, a_call


def body(number, form="v1", **told):
    call = a_call(CALLERS["shop"], ROUTES["mini"], NOON, number, usage=Counts(prompt=90, completion=9))
    return render(call, form, Style(**told))


def stream(partition):
    return STREAM.__class__(STREAM.namespace, STREAM.event_hub, 1, str(partition))


class Sender:
    """Confirms everything, unless it is down."""

    def __init__(self):
        self.down = False
        self.sent = []

    def send(self, events):
        if self.down:
            return Delivery(sent=len(events), unconfirmed=tuple(range(len(events))))
        self.sent += [event.event_id for event in events]
        return Delivery(sent=len(events))


class Counted:
    """Counts how often the cursor of a journal is asked for: once a drain."""

    def __init__(self, cursors):
        self._cursors = cursors
        self.loads = []

    def load(self, journal):
        self.loads.append(journal)
        return self._cursors.load(journal)

    def save(self, *args):
        return self._cursors.save(*args)


@pytest.fixture
def storage():
    return MemoryStorage()


@pytest.fixture
def sender():
    return Sender()


def worker_of(storage, sender, *, context=lambda: CONTEXT, now=NOON, monotonic=lambda: 0.0):
    ledger = storage.ledger(writer="w", now=lambda: NOON)
    ledger.cursors = Counted(ledger.cursors)
    return ledger, Worker(ledger, context, sender, now=lambda: now, monotonic=monotonic, budget_s=5)


def test_many_idle_journals_are_looked_at_once(storage, sender):
    ledger, worker = worker_of(storage, sender)
    for partition in range(30):
        worker.commit(events_of(body(partition + 1), stream=stream(partition)))
    worker.settle()
    first = len(ledger.cursors.loads)
    worker.settle()
    worker.settle()

    assert (first, len(ledger.cursors.loads)) == (30, 30)
    assert len(sender.sent) == 30


def test_what_grows_is_left_to_its_owner_until_it_rests(storage, sender):
    _, owner = worker_of(storage, sender)
    _, other = worker_of(storage, sender)
    owner.bill(events_of(body(1)))
    other.settle()
    owner.commit(events_of(body(2), first=1))
    other.settle()
    busy = len(sender.sent)
    other.settle()

    assert (busy, len(sender.sent)) == (1, 2)


def test_one_process_settles_at_a_time(storage, sender):
    ledger, worker = worker_of(storage, sender)
    worker.commit(events_of(body(1)))

    with ledger.leases.hold("settle", 15):
        worker.settle()
        assert sender.sent == []
    worker.settle()
    assert len(sender.sent) == 1


def test_a_replay_is_not_sent_by_the_timer_but_a_requeue_is(storage, sender):
    ledger, worker = worker_of(storage, sender)
    for name, number in (("source/3f2a", 1), ("source/requeue-x", 2)):
        worker.stream(name).handle(events_of(body(number)))
    worker.settle()

    [sent] = sender.sent
    [charge] = [row for _, row in ledger.journal("source/requeue-x").read() if isinstance(row, Charge)]
    assert sent == charge.charge_id


def test_without_a_rate_table_telemetry_is_still_worked_off(storage, sender):
    _, before = worker_of(storage, sender)
    before.commit(events_of(body(1)))

    def none():
        raise RetryError("rate table: none could be loaded yet")

    _, worker = worker_of(storage, sender, context=none)
    assert worker.settle().expired == 0
    assert len(sender.sent) == 1


def test_telemetry_that_is_down_pauses_the_batches_and_not_the_timer(storage, sender):
    clock = [0.0]
    ledger, worker = worker_of(storage, sender, monotonic=lambda: clock[0])
    sender.down = True
    worker.bill(events_of(body(1)))
    drains = len(ledger.cursors.loads)
    worker.bill(events_of(body(2), first=1))
    paused = len(ledger.cursors.loads)
    settled = worker.settle()
    sender.down = False
    clock[0] = 31.0
    done = worker.settle()

    assert paused == drains
    assert (settled.backlog, settled.oldest_age_s) == (1, 0.0)
    assert (done.backlog, len(sender.sent)) == (0, 2)


def test_parts_of_a_stream_that_fell_silent_are_billed_by_the_timer_and_once_only(storage, sender):
    parts = body(1, "v1-parts", slice_size=60)
    ledger, owner = worker_of(storage, sender)
    owner.commit(events_of(parts[:-1]))
    _, timer = worker_of(storage, sender, now=NOON + timedelta(hours=1))

    assert [timer.settle().expired for _ in range(3)] == [1, 0, 0]
    [charge] = [row for row in ledger_rows(ledger) if isinstance(row, Charge)]
    assert charge.truncated
    assert sender.sent == [charge.charge_id]
    owner.commit(events_of(parts[-1:], first=len(parts) - 1))  # it came after all
    rows = [row for row in ledger_rows(ledger) if isinstance(row, Charge)]
    assert sorted(row.truncated for row in rows) == [False, True]


def test_a_pending_state_nobody_can_read_stops_the_stream_with_a_remedy(storage, sender):
    from chargeback.errors import StopError

    ledger, worker = worker_of(storage, sender)
    worker.commit(events_of(body(1, "v1-parts", slice_size=60)[:1]))
    watermark = ledger.journal(f"stream/{STREAM}").watermark()
    assert isinstance(watermark, Commit)
    assert exchange.decode(ledger.pending.load(f"stream/{STREAM}", watermark)).calls
    ledger.pending.save(f"stream/{STREAM}", watermark.last_seq, watermark.batch_id, b"\xc1")
    _, other = worker_of(storage, sender)

    with pytest.raises(StopError, match="pending state cannot be read"):
        other.commit(events_of(body(2), first=1))
