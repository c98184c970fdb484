"""The worker's own health: what is told is what is in the journal, in a line a batch and a line a round."""

import ast
import logging
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargeback.charge import Charge
from chargeback.exchange import JoinState
from chargeback.handled import Handled, handled, timed
from chargeback.journal.admission import admit
from chargeback.journal.rows import Reject
from chargeback.observe import METRICS, REJECT_REASONS
from chargeback.pipeline import process
from chargeback.status import SUMS, Status, Vitals, together
from chargeback.telemetry import Delivery
from chargeback.worker import Worker
from scripts import kql
from tests.contract.memory import MemoryStorage
from tests.support.azure_bodies import Style
from tests.support.calls import Counts
from tests.support.charges import CONTEXT
from tests.support.events import NOON, events_of
from tests.support.render import render
from tests.support.sample_calls import CALLERS, ROUTES, a_call

CODE = Path(__file__).parents[2] / "chargeback"


def bodies():
    """Two whole calls, a poison event, a call to estimate, most of the parts of one more, two other bad events."""
    usage = Counts(prompt=100, completion=20)
    whole = [render(a_call(CALLERS["shop"], ROUTES["chat"], NOON, n, usage=usage), "v1")[0] for n in (1, 2)]
    guessed = render(
        a_call(CALLERS["shop"], ROUTES["chat"], NOON, 3, usage=usage, usage_visible=False), "v1-parts"
    )
    parts = render(
        a_call(CALLERS["claims"], ROUTES["mini"], NOON, 4, usage=usage), "v1-parts", Style(slice_size=150)
    )
    return [*whole, b"poison", *guessed, *parts[:3], b"", b"{}"]


NOTHING_WAITS = JoinState()


def brought(events, state=NOTHING_WAITS):
    outcome = process(events, state, CONTEXT)
    return handled(admit(None, events), outcome.entries, outcome.state), outcome


class Sender:
    down = True

    def send(self, events):
        return Delivery(sent=len(events), unconfirmed=tuple(range(len(events))) if self.down else ())


@pytest.fixture
def lines(caplog):
    """Return the fields of every line of a name, in order."""
    caplog.set_level(logging.INFO, logger="chargeback")
    return lambda name: [each.fields for each in caplog.records if getattr(each, "event", None) == name]


def a_worker(now=NOON, sender=None):
    ticks = iter(range(0, 10_000, 2))
    ledger = MemoryStorage().ledger(writer="w", now=lambda: NOON)
    return ledger, Worker(
        ledger,
        lambda: CONTEXT,
        sender,
        now=lambda: now,
        monotonic=lambda: float(next(ticks)),
        budget_s=5,
        pause_s=0,
    )


# ---- the numbers


def test_a_batch_is_counted_from_its_rows():
    done, outcome = brought(events_of(bodies()))
    rows = [row for entry in outcome.entries for row in entry.rows]

    assert done.rows == len(rows)
    assert (done.committed, done.charges, done.estimated) == (10, 3, 1)
    assert done.charges == sum(isinstance(row, Charge) for row in rows)
    assert done.rejects == sum(isinstance(row, Reject) for row in rows) == 3
    assert done.reasons == {"not_json": 1, "empty": 1, "unknown_format": 1}
    assert (done.pending, done.pending_since) == (1, NOON + timedelta(seconds=7))
    assert done.oldest_at == NOON


def test_a_charge_without_a_price_is_counted():
    unknown = msgspec.structs.replace(CONTEXT, table=None)
    events = events_of(bodies()[:2])
    outcome = process(events, JoinState(), unknown)

    assert {row.rating for entry in outcome.entries for row in entry.rows} == {"unpriced"}
    assert handled(admit(None, events), outcome.entries, outcome.state).unpriced == 2


def test_gaps_are_counted_in_events():
    events = [*events_of(bodies()[:1]), *events_of(bodies()[1:2], first=8)]
    done, _ = brought(events)

    assert (done.gaps, done.missing) == (1, 7)


@pytest.mark.parametrize(("again", "conflicts"), [(20, 0), (21, 1)], ids=["the same counts", "other counts"])
def test_a_conflict_is_two_different_counts_of_one_call(again, conflicts):
    told = [
        render(
            a_call(CALLERS["shop"], ROUTES["chat"], NOON, 1, usage=Counts(prompt=9, completion=each)), "v1"
        )[0]
        for each in (20, again)
    ]

    assert brought(events_of(told))[0].conflicts == conflicts


@given(st.lists(st.integers(1, 10), min_size=1, max_size=9))
def test_where_batches_begin_and_end_does_not_change_the_sums(sizes):
    whole, _ = brought(events_of(bodies()))
    vitals, state, at = Vitals(), JoinState(), 0
    for size in [*sizes, 10]:
        events = events_of(bodies())[at : at + size]
        if events:
            done, outcome = brought(events, state)
            vitals.took("0", done)
            state, at = outcome.state, at + size

    told = vitals.fields()
    assert {name: told[name] for name in (*SUMS, "pending")} == {
        name: getattr(whole, name) for name in (*SUMS, "pending")
    }


def test_ages_are_measured_when_the_batch_is_committed_and_never_negative():
    done = Handled(oldest_at=NOON, pending_since=NOON + timedelta(seconds=9))

    late = timed(done, NOON + timedelta(seconds=90.5), 1.25)
    early = timed(done, NOON, 0)

    assert (late.lag_s, late.pending_age_s, late.batch_s) == (90.5, 81.5, 1.25)
    assert (early.lag_s, early.pending_age_s) == (0, 0)
    assert timed(Handled(), NOON, 0).lag_s is None


# ---- the lines


def test_every_batch_writes_one_line_with_its_numbers(lines):
    _, worker = a_worker(now=NOON + timedelta(minutes=2))
    worker.commit(events_of(bodies()))
    worker.commit(events_of(bodies()))  # delivered again: nothing is committed

    [line] = lines("batch.committed")
    assert (line["events"], line["charges"], line["rejects"], line["pending"]) == (10, 3, 3, 1)
    assert line["reasons"] == {"not_json": 1, "empty": 1, "unknown_format": 1}
    assert (line["lag_s"], line["pending_age_s"], line["batch_s"]) == (120, 113, 2)
    assert [each["events"] for each in lines("batch.skipped")] == [10]


def test_a_thousand_rejects_are_a_few_lines_and_one_number(lines):
    ledger, worker = a_worker()
    done = worker.commit(events_of([b"poison"] * 1000))

    assert done.reasons == {"not_json": 1000}
    assert len(lines("event.rejected")) == 5
    assert len(list(ledger.dead_letters.list())) == 1000


def test_every_round_tells_the_backlog_until_it_is_gone(lines):
    sender = Sender()
    _, worker = a_worker(now=NOON + timedelta(minutes=5), sender=sender)
    worker.commit(events_of(bodies()))
    worker.settle()
    worker.settle()
    sender.down = False
    worker.settle()

    told = [(line["backlog"], line["oldest_age_s"]) for line in lines("settle.done")]
    assert told[-2:] == [(1, 300), (0, None)]


# ---- several processes


def test_of_several_processes_counts_add_up_and_the_worst_age_holds():
    one = Status(events=5, events_per_s=1.5, lag=2, lag_s=3.0, rejects=1, backlog=2, partitions=2)
    two = Status(events=7, events_per_s=2.0, lag=4, lag_s=None, rejects=4, backlog=2, partitions=2, pending=3)

    whole = together([one, two], healthy=True)

    assert (whole.events, whole.events_per_s, whole.lag, whole.rejects, whole.pending) == (12, 3.5, 6, 5, 3)
    assert (whole.lag_s, whole.backlog, whole.partitions, whole.batch_s) == (3.0, 2, 4, None)
    assert together([], healthy=False) == Status(healthy=False)


def test_a_partition_that_went_takes_its_ages_along_and_leaves_its_counts():
    vitals = Vitals()
    vitals.took("0", Handled(committed=1, rejects=2, lag_s=50.0, pending=4))
    vitals.took("1", Handled(committed=1, rejects=1, lag_s=5.0, pending=1))
    vitals.left("0")
    told = vitals.fields()

    assert (told["rejects"], told["lag_s"], told["pending"]) == (3, 5.0, 1)


# ---- the catalogue


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_is_where_the_catalogue_says(name):
    metric = METRICS[name]

    assert metric.log is None or (metric.field or name) in kql.log_fields()[metric.log]
    assert metric.status is None or metric.status in Status.__struct_fields__
    assert metric.log or metric.status


def test_every_number_that_is_told_is_in_the_catalogue():
    told = {metric.field or name for name, metric in METRICS.items() if metric.log == "batch.committed"}
    shown = {metric.status for metric in METRICS.values()}

    # What a number belongs to, what others are divided by, and the rejects once more.
    assert kql.log_fields()["batch.committed"] - told == {"journal", "rows", "charges", "reasons"}
    assert set(Status.__struct_fields__) - shown == {"healthy", "partitions", "charges"}


def _reasons(tree):
    """Yield what stands for a reason wherever a reject is made; ``None`` where it is not a word."""
    for node in ast.walk(tree):
        called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
        if called == "RejectError" or (called == "super().__init__" and len(node.args) == 2):
            yield getattr(node.args[0], "value", None), ast.unparse(node.args[0])


def test_the_reasons_of_rejects_are_a_closed_list():
    found = [each for file in CODE.rglob("*.py") for each in _reasons(ast.parse(file.read_text("utf-8")))]

    words = {word for word, _ in found if isinstance(word, str)}
    assert {text for word, text in found if not isinstance(word, str)} == {"letter.reason"}, "passed on"
    # Refused by telemetry, not by the bill: such an event is a dead letter below telemetry/.
    assert words - {"telemetry_limit"} == set(REJECT_REASONS)
