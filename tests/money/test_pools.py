"""What no single call causes: shares and idle add up to the amount exactly, whatever was used."""

import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargeback.errors import StopError
from chargeback.pipeline import Context
from chargeback.pools import add_up, allocate, cost_between, idle_shares, split_idle
from chargeback.rates.rows import Pool, PoolAmount
from chargeback.report.bill import total
from chargeback.report.focus import export
from chargeback.report.focus_check import check
from chargeback.report.query import groups
from chargeback.report.span import Span, month
from chargeback.report.statements import statements
from tests.money.books import append, books_at, ledger_at, table
from tests.support.calls import Counts
from tests.support.charges import charge_of
from tests.support.render import render
from tests.support.sample_calls import CALLERS, ROUTES, a_call

NOVEMBER = month("2026-11")
START = datetime(2026, 11, 1, tzinfo=UTC)

amounts = st.decimals("-1000000", "1000000", places=12)
weights = st.dictionaries(
    st.text(max_size=3),
    st.integers(0, 10**12) | st.decimals("0", "1000000", places=6),
    min_size=1,
    max_size=12,
).filter(lambda found: any(found.values()))


@given(amounts, weights)
def test_parts_always_add_up_to_the_whole(amount, shared):
    parts = allocate(amount, shared)

    assert add_up(parts.values()) == amount
    assert parts.keys() == shared.keys()


@given(amounts, weights)
def test_no_part_is_further_than_one_last_digit_from_its_fair_share(amount, shared):
    whole = sum(Fraction(weight) for weight in shared.values())

    for key, part in allocate(amount, shared).items():
        fair = Fraction(amount) * Fraction(shared[key]) / whole
        assert abs(Fraction(part) - fair) < Fraction(1, 10**12)


def test_the_largest_remainder_gets_the_last_digit():
    assert allocate(Decimal("0.00000000001"), {"a": 1, "b": 1, "c": 1}) == {
        "a": Decimal("0.000000000004"),
        "b": Decimal("0.000000000003"),
        "c": Decimal("0.000000000003"),
    }
    assert allocate(Decimal(100), {"a": 2, "b": 1})["b"] == Decimal("33.333333333333")


@pytest.mark.parametrize(
    ("amount", "shared", "message"),
    [
        (Decimal("0.0000000000001"), {"a": 1}, "at most 12 decimals"),
        (Decimal(1), {"a": 0}, "one of them above 0"),
        (Decimal(1), {"a": 2, "b": -1}, "weights of at least 0"),
        (Decimal(1), {}, "one of them above 0"),
    ],
)
def test_what_cannot_be_divided_is_refused(amount, shared, message):
    with pytest.raises(StopError, match=message):
        allocate(amount, shared)


def a_pool(**told):
    row = PoolAmount(start=START, hourly=Decimal("1.00"), units=50)
    return Pool(
        **{"id": "p", "kind": "ptu", "amounts": (row,), "driver": "tokens", "idle": "proportional", **told}
    )


@given(st.lists(st.integers(0, 30 * 24 * 3600), min_size=1, max_size=6))
def test_neighbouring_spans_add_up_to_the_month(seconds):
    pool = a_pool(amounts=(PoolAmount(start=START, hourly=Decimal("1.13"), units=7),))
    cuts = [START, *sorted(START + timedelta(seconds=each) for each in seconds), NOVEMBER.end]

    parts = [cost_between(pool, one, other) for one, other in itertools.pairwise(cuts)]
    assert add_up(parts) == cost_between(pool, START, NOVEMBER.end) == Decimal("5695.2")


def test_a_pool_is_prorated_by_the_minute_and_follows_resizes():
    half_past = START + timedelta(minutes=30)
    rows = (
        PoolAmount(start=START, to=half_past, hourly=Decimal("1.00"), units=50),
        PoolAmount(start=half_past, hourly=Decimal("1.00"), units=100),
        PoolAmount(start=START, to=START + timedelta(days=30), amount=Decimal(720)),
    )

    assert cost_between(a_pool(amounts=rows), START, START + timedelta(hours=1)) == Decimal(25 + 50 + 1)


@pytest.mark.parametrize(
    ("weight", "capacity", "used"),
    [(0, None, 0), (1, None, 10), (5, 10, 5), (20, 10, 10), (1, 3, Decimal("3.333333333333"))],
)
def test_idle_is_what_the_capacity_leaves(weight, capacity, used):
    slot = split_idle(Decimal(10), Fraction(weight), None if capacity is None else Fraction(capacity))

    assert (slot.used, slot.used + slot.idle) == (used, 10)


def test_who_carries_idle_is_the_pools_policy():
    used = {"CC-1": Decimal(3), "CC-2": Decimal(1)}
    fixed = {"CC-1": Decimal(10), "CC-2": Decimal(90)}
    idle = Decimal(8)

    assert idle_shares(a_pool(idle="platform", idle_cost_centre="IT"), idle, used, "U") == {"IT": idle}
    assert idle_shares(a_pool(), idle, used, "U") == {"CC-1": 6, "CC-2": 2}
    assert idle_shares(a_pool(idle="fixed_share", shares=fixed), idle, used, "U") == {
        "CC-1": Decimal("0.8"),
        "CC-2": Decimal("7.2"),
    }
    assert idle_shares(a_pool(), idle, {}, "U") == {"U": idle}


# ---- in the books

TABLE = """
schema_version: 1
table_id: pools
currency: EUR
source: {kind: agreement, fetched_at: "2026-10-01"}
models:
  gpt-4o@2024-11-20: {kind: chat, ptu_output_weight: "4"}
rates:
- model: gpt-4o@2024-11-20
  deployment_type: GlobalStandard
  region: "*"
  effective_from: 2026-01-01
  meters:
    input_text: {price: "2.50", per: 1M tokens}
    input_cached_text: {price: "1.25", per: 1M tokens}
    output_text: {price: "10.00", per: 1M tokens}
deployments:
- {account: aoai-weu-1, deployment: chat, model: gpt-4o@2024-11-20, deployment_type: GlobalProvisionedManaged, region: westeurope, from: 2026-01-01}
- {account: aoai-weu-1, deployment: chat-mini, model: gpt-4o@2024-11-20, deployment_type: GlobalStandard, region: westeurope, from: 2026-01-01}
cost_centres: [{id: CC-1}, {id: CC-2}, {id: IT}]
assignments:
- {subscription: sub-shop, cost_centre: CC-1}
- {subscription: sub-legal, cost_centre: CC-2}
pools:
- id: chat-ptu
  kind: ptu
  amounts: [{from: 2026-01-01, hourly: "1.00", units: 50}]
  driver: weighted_tokens
  deployments: [{account: aoai-weu-1, deployment: chat}]
  idle: platform
  idle_cost_centre: IT
  capacity: 1000
- id: gateway
  kind: shared
  amounts: [{from: 2026-11-01, to: 2026-12-01, amount: "1000"}]
  driver: calls
  idle: proportional
- id: true-up
  kind: true_up
  amounts: [{from: 2026-11-01, to: 2026-12-01, amount: "0.01"}]
  driver: fixed
  shares: {CC-1: "33.33", CC-2: "66.67"}
  idle: fixed_share
"""
WHOLE = Decimal(50 * 24 * 30 + 1000) + Decimal("0.01")


def pooled(number, caller, at, prompt, completion, route="chat"):
    call = a_call(
        CALLERS[caller], ROUTES[route], at, number, usage=Counts(prompt=prompt, completion=completion)
    )
    context = Context(table=table(TABLE))
    return charge_of(render(call, "v1")[0], first=number, context=context, start=at)


usage = st.lists(
    st.tuples(
        st.sampled_from(["shop", "legal", "lab"]),
        st.integers(0, 30 * 24 - 1),
        st.integers(0, 5000),
        st.integers(0, 5000),
        st.sampled_from(["chat", "chat", "mini"]),
    ),
    max_size=40,
)


@given(usage)
@settings(max_examples=settings().max_examples // 5)  # each opens a ledger and divides 720 hours
def test_lines_and_idle_of_every_pool_are_its_amount_for_any_usage(tmp_path_factory, calls):
    folder = tmp_path_factory.mktemp("pools")
    ledger = ledger_at(folder)
    rows = [
        pooled(number, caller, START + timedelta(hours=hour, minutes=7), prompt, completion, route)
        for number, (caller, hour, prompt, completion, route) in enumerate(calls, 1)
    ]
    append(ledger, [pooled(1000, "shop", START, 10, 1, "mini"), *rows])

    with books_at(ledger, folder, rates=table(TABLE), span=NOVEMBER) as books:
        sums = dict(
            books.db.rows("SELECT pool, sum(pool_cost) FROM entries WHERE pool IS NOT NULL GROUP BY 1")
        )
        whole = total(groups(books, ("cost-centre", "day"), NOVEMBER))
    assert {pool: Decimal(amount).normalize() for pool, amount in sums.items()} == {
        "chat-ptu": Decimal(36000).normalize(),
        "gateway": Decimal(1000).normalize(),
        "true-up": Decimal("0.01"),
    }
    assert whole.pool_cost == WHOLE


def test_an_hour_goes_to_its_callers_by_weighted_tokens_and_the_rest_to_the_platform(tmp_path):
    ledger = ledger_at(tmp_path)
    append(ledger, [pooled(1, "shop", START, 1000, 100), pooled(2, "legal", START, 3000, 400)])
    span = Span(START, START + timedelta(hours=2))

    with books_at(ledger, tmp_path, rates=table(TABLE), span=span) as books:
        found = books.db.rows(
            "SELECT kind, cost_centre, pool_cost, weight FROM entries WHERE pool = 'chat-ptu' ORDER BY ALL"
        )
        calls = groups(books, ("rating",), span)
    # 1,400 and 4,600 weighted tokens of 50,000 that 50 units serve; 50 an hour
    assert [(kind, centre, float(cost)) for kind, centre, cost, _ in found] == [
        ("idle", "IT", 94.0),
        ("pool", "CC-1", 1.4),
        ("pool", "CC-2", 4.6),
    ]
    assert [weight for _, _, _, weight in found if weight] == [1400, 4600]
    assert {group.keys[0]: (group.calls, group.cost) for group in calls if group.keys[0]} == {
        "pooled": (2, 0)
    }


def test_statements_and_focus_carry_the_shares_and_their_ratios_add_up_to_one(tmp_path):
    import csv
    import json

    ledger = ledger_at(tmp_path)
    append(
        ledger,
        [
            pooled(n, who, START + timedelta(hours=n), 1000 * n, 7)
            for n, who in enumerate(("shop", "legal", "lab"), 1)
        ],
    )

    with books_at(ledger, tmp_path, rates=table(TABLE), span=NOVEMBER) as books:
        made = statements(books, NOVEMBER)
        exported = export(tmp_path / "focus.csv", books, NOVEMBER)
    assert sum((each.billed for each in made), Decimal(0)) == WHOLE == exported.billed
    assert check(tmp_path / "focus.csv") == []
    with (tmp_path / "focus.csv").open(newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["AllocatedMethodId"]]
    ratios = {}
    for row in rows:
        [element] = json.loads(row["AllocatedMethodDetails"])["Elements"]
        key = row["AllocatedMethodId"], row["ChargePeriodStart"]
        ratios[key] = ratios.get(key, 0) + Decimal(element["AllocatedRatio"])
    assert set(ratios.values()) == {1}
