"""The bill does not depend on how events arrive: cut into batches, repeated, split into parts, shuffled."""

from collections import defaultdict
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargeback import pipeline
from chargeback.charge import Charge
from chargeback.event import Stream
from chargeback.exchange import JoinState, decode, encode
from chargeback.journal.rows import Reject
from chargeback.journal.winner import calls as winners
from chargeback.pipeline import Context, expire, process
from chargeback.privacy import Privacy
from chargeback.rates.load import parse
from tests.support import oracle
from tests.support.calls import FORMATS, Answer, Message
from tests.support.events import NOON, events_of
from tests.support.render import PLAIN, as_captured, render
from tests.support.sample_calls import CALLERS, ROUTES, a_call
from tests.support.strategies import calls, cuts, formats, styles, traffic

PRICED = [form for form in FORMATS if form != "F8"]  # a total alone has no price
TABLE = parse(oracle.SAMPLE_RATES.read_text(), source="samples/rates.yaml")
CONTEXT = Context(privacy=Privacy(), table=TABLE)
WANTING = {"usage_event_missing", "body_missing"}
"""Notes of a call of which one event is here and another is not, or was cut before the id that joins them."""


def rows_of(bodies, *, sizes=(1000,)):
    """Bill bodies, each an event of its own."""
    return rows_of_events(events_of(bodies), sizes=sizes)


def rows_of_events(events, *, sizes=(1000,)):
    """Process events in batches of these sizes, the state written down and read back in between."""
    rows, state, at, turn = [], JoinState(), 0, 0
    while at < len(events):
        batch = events[at : at + sizes[turn % len(sizes)]]
        outcome = process(batch, decode(encode(state)), CONTEXT)
        rows += [row for entry in outcome.entries for row in entry.rows]
        state, at, turn = outcome.state, at + len(batch), turn + 1
    charges, _ = expire(state, events[-1], None, CONTEXT, "end_of_input") if events else ((), state)
    return [*rows, *charges]


def bill_of(rows):
    """Add up the priced calls by subscription, app and deployment, in fractions."""
    totals = defaultdict(Fraction)
    for call in winners(rows):
        charge = call.charge
        if charge.rating == "priced":
            totals[charge.subscription_id, charge.app_id, charge.deployment] += Fraction(charge.total_cost)
    return dict(totals)


def delivered(deliveries, **told):
    """Process deliveries under the numbers the hub gave them."""
    events = events_of((each.body for each in deliveries), **told)
    return rows_of_events(
        [
            msgspec.structs.replace(event, sequence_number=delivery.sequence_number)
            for delivery, event in zip(deliveries, events, strict=True)
        ]
    )


@pytest.mark.parametrize("form", PRICED)
def test_every_call_costs_what_the_oracle_says_once(form):
    @settings(max_examples=max(8, settings().max_examples // 5))
    @given(traffic(form))
    def holds(made):
        assert bill_of(delivered(made.deliveries)) == oracle.bill(made.calls, oracle.sample_rates())

    holds()


@given(st.sampled_from(("v1", "F1", "F9", "F10", "F11", "F15", "F16")), st.data())
def test_what_tells_its_counts_may_come_on_any_partition(form, data):
    """In any order, each partition a worker of its own: what belongs together needs no shared state."""
    made = data.draw(traffic(form, most=3, usage_visible=True))
    partitions = [[] for _ in range(3)]
    for delivery in made.deliveries:  # the same event is always on the same partition
        partitions[delivery.sequence_number % 3].append(delivery)

    rows = []
    for name, deliveries in enumerate(partitions):
        stream = Stream("contoso.servicebus.windows.net", "usage", 1, str(name))
        rows += delivered(deliveries, stream=stream)

    assert bill_of(rows) == oracle.bill(made.calls, oracle.sample_rates())


@given(traffic(shuffled=False), st.lists(st.integers(1, 4), min_size=1, max_size=3))
def test_where_a_batch_ends_changes_no_row(made, sizes):
    bodies = [delivery.body for delivery in made.deliveries]

    def seen(rows):
        return [
            row if not isinstance(row, Charge) else (row.row_id, row.total_cost, row.rating, row.usage_notes)
            for row in rows
        ]

    assert seen(rows_of(bodies, sizes=sizes)) == seen(rows_of(bodies))


@given(traffic(), st.integers(1, 3), st.sampled_from([0, 4000, 10**9]))
def test_how_a_batch_is_portioned_changes_no_row(made, events, size):
    bodies = [delivery.body for delivery in made.deliveries]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "PORTION_EVENTS", events)
        patch.setattr(pipeline, "PORTION_BYTES", size)
        portioned = rows_of(bodies)

    assert portioned == rows_of(bodies)


@given(st.data())
def test_an_event_cut_at_any_byte_gives_the_same_bill_or_says_that_it_is_not_whole(data):
    form = data.draw(formats())
    call = data.draw(calls(form))
    bodies = render(call, form, data.draw(styles()))
    place = data.draw(st.integers(0, len(bodies) - 1))
    bodies[place] = bodies[place][: data.draw(cuts(bodies[place]))]

    rows = rows_of(bodies)

    whole = bill_of(rows_of(render(call, form)))
    charges = [row for row in rows if isinstance(row, Charge)]
    rejects = [row for row in rows if isinstance(row, Reject)]
    assert (
        bill_of(rows) == whole
        or rejects
        or all(charge.truncated or not WANTING.isdisjoint(charge.usage_notes) for charge in charges)
    )


@given(calls("F1", usage_visible=True), st.data())
def test_who_called_is_kept_whenever_its_bytes_are_there(call, data):
    [body] = render(call, "F1")
    key_ends = body.index(b'"request"')
    cut = body[: data.draw(st.integers(key_ends, len(body) - 1))]

    [row] = rows_of([cut])

    assert row.subscription_id == oracle.sample_rates().subscription(as_captured(call, "F1", PLAIN))
    assert row.occurred_at is not None
    assert row.truncated


@given(calls("v1-parts"), st.data())
def test_parts_join_in_any_order_across_batches_and_restarts(call, data):
    style = data.draw(styles())
    bodies = data.draw(st.permutations(render(call, "v1-parts", style)))

    rows = rows_of(bodies, sizes=(1,))

    assert bill_of(rows) == oracle.bill([as_captured(call, "v1-parts", style)], oracle.sample_rates())
    assert sum(isinstance(row, Charge) for row in rows) == 1


@given(st.lists(st.binary(max_size=60), max_size=6), calls("v1"))
def test_bad_events_never_touch_their_neighbours(bad, call):
    [good] = render(call, "v1")

    rows = rows_of([*bad, good, *bad])

    assert bill_of(rows) == oracle.bill([as_captured(call, "v1", PLAIN)], oracle.sample_rates())
    assert sum(isinstance(row, Reject) for row in rows) == 2 * len(bad)


@pytest.mark.parametrize("form", ["F1", "v1-parts"])
def test_a_stream_that_was_aborted_is_billed_as_far_as_it_came_and_says_so(form):
    call = a_call(
        CALLERS["claims"],
        ROUTES["mini"],
        NOON,
        1,
        stream=True,
        usage_visible=False,
        messages=(Message(text="Tell a story."),),
        answers=(Answer(text="Once upon a", finish_reason=None),),
    )

    [charge] = [row for row in rows_of(render(call, form)) if isinstance(row, Charge)]

    assert (charge.usage_source, charge.truncated, charge.rating) == ("estimated", True, "priced")
