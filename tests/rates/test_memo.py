"""What the table remembers of earlier questions is what it would answer anew."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from chargeback.facts import Facts
from chargeback.rates.routes import _route, route
from chargeback.rates.table import Memo
from tests.rates.tables import TABLE

ROWS = TABLE.rows
JUNE = datetime(2026, 6, 1, tzinfo=UTC)
NAMES = [None, "nobody", *{row.deployment for row in ROWS.deployments}]
KEYS = [None, "0" * 32, *{key.id for each in ROWS.subscriptions for key in each.key_ids}]
MOMENTS = st.sampled_from(TABLE._changes[1:]).flatmap(
    lambda change: st.sampled_from([change + timedelta(microseconds=off) for off in (-1, 0, 1)])
) | st.integers(-400, 400).map(lambda days: JUNE + timedelta(days=days))
HUBS = st.sampled_from(["usage", "hub-any", "hub-mini", "HUB-ANY"])
FACTS = st.builds(
    Facts,
    subscription_id=st.sampled_from([None, "nobody", *{each.id for each in ROWS.subscriptions}]),
    subscription_key_id=st.sampled_from(KEYS),
    app_id=st.sampled_from([None, *{row.app for row in ROWS.assignments}]),
    product=st.sampled_from([None, *{row.product for row in ROWS.assignments}]),
    tags=st.sampled_from([None, {"project": "x"}]),
    account=st.sampled_from([None, "nobody", *{row.account for row in ROWS.deployments}]),
    deployment=st.sampled_from(NAMES),
    model=st.sampled_from([None, *ROWS.models]),
    spillover_from=st.sampled_from(NAMES),
)


@given(st.lists(st.tuples(FACTS, MOMENTS, HUBS), min_size=1, max_size=20))
def test_a_remembered_answer_is_the_one_of_that_moment(questions):
    for facts, at, hub in questions:
        assert route(TABLE, facts, at, hub) == _route(TABLE, facts, at, hub)
        assert TABLE.assign(facts, at) == TABLE._assign(facts, at)


@given(st.lists(MOMENTS, min_size=2, max_size=2).map(sorted))
def test_nothing_changes_within_an_epoch(moments):
    one, other = moments
    changes = [change for change in TABLE._changes if one < change <= other]

    assert (TABLE.epoch(one) == TABLE.epoch(other)) == (not changes)


def test_what_is_remembered_is_bounded():
    memo: Memo[int] = Memo(entries=3)
    for number in range(10):
        memo.put(number, number)

    assert sum(memo.get(number) is not None for number in range(10)) <= 3
    assert memo.get(9) == 9
