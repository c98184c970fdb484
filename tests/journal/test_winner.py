"""One rule for every reader: who wins, what is merged, what is a conflict."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargeback.facts import Facts
from chargeback.journal.rows import Identity
from chargeback.journal.winner import calls, facts_of
from tests.support.calls import Counts
from tests.support.charges import charge_of
from tests.support.events import NOON
from tests.support.render import render
from tests.support.sample_calls import CALLERS, ROUTES, a_call

CALL = a_call(CALLERS["shop"], ROUTES["chat"], NOON, 1, usage=Counts(prompt=100, completion=20))
REPORTED = charge_of(render(CALL, "v1")[0])


def row(number, **told):
    """Another row of the same call, later in the stream unless its rank is told."""
    rank = told.pop("rank", None) or f"{told.pop('trust', 0)}{1:04d}{0:05d}{number:018d}{0:04d}"
    return msgspec.structs.replace(REPORTED, row_id=f"ns/hub/1/0/{number}/0", rank=rank, **told)


@given(st.permutations(range(4)))
def test_the_winner_is_the_same_in_any_order_of_rows(order):
    rows = [
        row(3, trust=0, prompt_tokens=1, source_format="F1"),
        row(2, trust=2, usage_source="estimated", prompt_tokens=2),
        row(1, trust=4, truncated=True, prompt_tokens=3),
        row(4, trust=0, prompt_tokens=4, source_format="F15"),
    ]

    [found] = calls(rows[place] for place in order)

    assert found.charge.prompt_tokens == 1
    assert (found.rows, found.conflict) == (4, False)


def test_of_equal_trust_the_earliest_wins():
    assert next(calls([row(9), row(2), row(5)])).charge.row_id.endswith("/2/0")


def test_a_row_seen_twice_is_one_row():
    assert next(calls([REPORTED, REPORTED])).rows == 1


def test_who_and_where_come_from_the_other_rows_and_our_own_identity_first():
    bare = row(1, app_id=None, region=None, product=None)
    gateway = row(
        2, trust=1, usage_source="gateway", app_id="from-gateway", region="from-gateway", source_format="F15"
    )
    own = Identity(
        charge_id=REPORTED.charge_id,
        row_id="ns/hub/1/1/0/0",
        source_format="v1",
        rank="3" + "0" * 31,
        facts=Facts(app_id="from-identity"),
    )

    [found] = calls([bare, gateway, own])

    assert (found.charge.app_id, found.charge.region, found.charge.product) == (
        "from-identity",
        "from-gateway",
        gateway.product,
    )
    assert found.charge.prompt_tokens == bare.prompt_tokens


def test_an_identity_alone_bills_nothing():
    own = Identity(charge_id="c", row_id="r", source_format="v1", rank="3", facts=Facts(app_id="a"))

    assert list(calls([own])) == []


def test_two_reported_counts_of_one_format_are_a_conflict_and_both_stay_visible():
    found = list(calls([row(1), row(2, prompt_tokens=101), row(3)]))

    assert [(call.charge.prompt_tokens, call.conflict) for call in found] == [(100, True), (101, True)]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"source_format": "F1", "prompt_tokens": 101}, id="another format"),
        pytest.param({"trust": 2, "usage_source": "estimated", "prompt_tokens": 101}, id="an estimate"),
        pytest.param({}, id="the same counts"),
    ],
)
def test_what_is_no_conflict(other):
    [found] = calls([row(1), row(2, **other)])

    assert not found.conflict


def test_who_pays_comes_with_who_called():
    nobody = row(1, subscription_id=None, app_id=None, product=None, cost_centre="UNALLOCATED")
    who = Identity(
        charge_id=REPORTED.charge_id,
        row_id="r",
        source_format="F15",
        rank="3" + "0" * 31,
        facts=Facts(subscription_id="sub-shop"),
        cost_centre="CC-100",
    )

    assert next(calls([nobody, who])).charge.cost_centre == "CC-100"
    assert next(calls([row(1), who])).charge.cost_centre == REPORTED.cost_centre


def test_two_counts_of_the_gateway_are_a_conflict_too():
    told = {"usage_source": "gateway", "source_format": "F15", "trust": 1}
    found = list(calls([row(1, **told), row(2, **told, prompt_tokens=101)]))

    assert [(call.charge.prompt_tokens, call.conflict) for call in found] == [(100, True), (101, True)]


@pytest.mark.parametrize("name", ["cached_tokens", "reasoning_tokens", "total_tokens", "quantities"])
def test_what_only_one_row_knows_contradicts_nothing(name):
    [found] = calls(
        [row(1, **{name: None}), row(2, **{name: {"characters": 3} if name == "quantities" else 7})]
    )

    assert not found.conflict


def test_an_unknown_operation_is_filled_in():
    [found] = calls([row(1, operation="unknown"), row(2, trust=1, source_format="F15")])

    assert found.charge.operation == "chat"
    assert facts_of(row(1, operation="unknown")).operation is None
