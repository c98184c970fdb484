"""Budgets: thresholds at the very amount, told once, and as an event that old queries do not add up."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from chargeback.budgets import Month, Standing, standings
from chargeback.custom_events import custom_event
from chargeback.journal.rows import BudgetReached, decode, encode
from chargeback.rates.load import parse
from tests.money.test_pools import TABLE

NOVEMBER = Month("2026-11", datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("spent", "reached", "exceeded"),
    [
        ("79.999999999999", (), False),
        ("80", (80,), False),
        ("99.999999999999", (80,), False),
        ("100", (80, 100), False),
        ("100.000000000001", (80, 100), True),
        ("0", (), False),
    ],
)
def test_a_threshold_is_reached_at_its_very_amount(spent, reached, exceeded):
    found = Standing(cost_centre="CC", month="2026-11", amount=Decimal(100), spent=Decimal(spent))

    assert (found.reached, found.exceeded) == (reached, exceeded)


def test_the_budget_of_a_month_is_the_one_at_its_end():
    text = TABLE + (
        'budgets:\n- {cost_centre: CC-1, amount: "10", to: 2026-11-15}\n- {cost_centre: CC-1, amount: "20", from: 2026-11-15}\n'
    )
    rows = parse(text, source="t.yaml").rows

    [found] = standings(rows, [NOVEMBER], {("CC-1", "2026-11"): Decimal(5)})
    assert (found.amount, found.spent, found.percent) == (20, 5, 25.0)


def test_the_event_names_centre_period_and_share():
    row = BudgetReached(
        row_id="budget/2026-11/CC-1/80", cost_centre="CC-1", period="2026-11", percent=80,
        spent=Decimal("0.00000082"), amount=Decimal("0.000001"), currency="EUR", made_at=NOVEMBER.end,
    )  # fmt: skip

    assert b"E-" not in encode(row)
    assert decode(encode(row)) == row
    event = custom_event(row)
    assert (event.name, event.event_id) == ("Chargeback Budget", row.row_id)
    assert event.properties["CostCentre"] == "CC-1"
    assert (event.properties["Percent"], event.properties["Spent"]) == ("80", "0.00000082")
