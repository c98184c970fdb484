"""Every verdict of a comparison: one case, the cause in its words; tokens first, then money."""

from datetime import date
from decimal import Decimal

import pytest

from chargeback.reconcile.compare import compare
from chargeback.reconcile.counts import Cell, Count
from chargeback.reconcile.ours import Known
from chargeback.reconcile.sources import SOURCES

DAY = date(2026, 11, 5)
CELL = Cell(DAY, "chat", "prompt")


def judged(ours, theirs, known=None, **told):
    sides = [[] if side is None else [(CELL, side)] for side in (ours, theirs)]
    if theirs is None:  # the other side tells of the meter, but not of this deployment
        sides[1] = [(Cell(DAY, "other", "prompt"), Count(Decimal(1)))]
    found = compare(*sides, {(DAY, "chat"): known or Known()}, **told)
    return next(each for each in found if each.cell == CELL)


def tokens(number, money=None):
    return Count(Decimal(number), None if money is None else Decimal(money))


GAPS = [
    ("unmetered", "3 calls are charged without usage"),
    ("aborted", "3 answers were cut or aborted"),
    ("batch", "3 batch calls: their usage is in output files"),
    ("estimated", "3 calls are estimated"),
]


@pytest.mark.parametrize(("gap", "cause"), GAPS)
def test_what_our_ledger_knows_to_lack_is_named_before_a_bypass(gap, cause):
    found = judged(tokens(900), tokens(1000), Known(**{gap: 3}))

    assert (found.agrees, found.tokens) == (False, -100)
    assert len(found.causes) == 1
    assert found.causes[0].startswith(cause)


def test_several_gaps_are_all_named():
    found = judged(tokens(900), tokens(1000), Known(unmetered=1, aborted=2, batch=3, estimated=4))

    assert [cause[0] for cause in found.causes] == ["1", "2", "3", "4"]


@pytest.mark.parametrize("ours", [None, tokens(900)])
def test_what_nothing_explains_went_past_the_gateway(ours):
    [cause] = judged(ours, tokens(1000)).causes

    assert cause.startswith("calls past the gateway")


def test_calls_we_never_saw_are_a_bypass_even_beside_known_gaps():
    causes = judged(None, tokens(1000), Known(unmetered=1)).causes

    assert causes[-1].startswith("calls past the gateway")
    assert len(causes) == 2


@pytest.mark.parametrize(
    ("known", "theirs", "cause"),
    [
        (Known(conflicts=2), tokens(900), "2 calls have contradicting counts"),
        (Known(estimated=2), tokens(900), "2 calls are estimated, perhaps too high"),
        (Known(), None, "the other side has nothing: another deployment name"),
        (Known(), tokens(900), "a call counted twice under two identities"),
    ],
)
def test_more_of_ours_has_its_causes_too(known, theirs, cause):
    found = judged(tokens(1000), theirs, known)

    assert found.tokens > 0
    assert len(found.causes) == 1
    assert found.causes[0].startswith(cause)


@pytest.mark.parametrize(("last_day", "late"), [(DAY, True), (date(2026, 11, 6), False), (None, False)])
def test_the_newest_day_may_be_late(last_day, late):
    causes = judged(tokens(900), tokens(1000), last_day=last_day).causes

    assert causes[0].startswith("late data") is late


@pytest.mark.parametrize(("theirs", "agrees"), [(1001, True), (1002, False)])
def test_a_tenth_of_a_percent_is_midnight_and_more_is_not(theirs, agrees):
    assert judged(tokens(1000), tokens(theirs)).agrees is agrees


def test_tokens_come_first_and_then_money():
    same = judged(tokens(1000, "0.15"), tokens(1000, "0.15"))
    cheaper = judged(tokens(1000, "0.15"), tokens(1000, "0.12"))

    assert (same.agrees, same.causes) == (True, ())
    assert (cheaper.agrees, cheaper.money) == (True, Decimal("0.03"))
    assert cheaper.causes == (
        "same tokens, another price: negotiated against list, a price of another date, or a credit",
    )


def test_the_invoice_reads_the_meters_of_azures_list():
    """Names as they stand on an export, in the list's units, with the tag that names the deployment."""
    row = {
        "Date": "11/05/2026",
        "MeterCategory": "Azure OpenAI",
        "Tags": '"deployment": "chat"',
        "CostInBillingCurrency": "1",
    }
    names = {
        "5.4 mini cd Inp Dz 1M Tokens": ("1M", "input_cached_text", 2_000_000),
        "gpt 4.1 Outp glbl Tokens": ("1K", "output_text", 2_000),
        "text embedding 3 large DZ Tokens": ("1K", "input_text", 2_000),
        "gpt rt aud 0828 Inp glbl Tokens": ("1K", "input_audio", 2_000),
        "Provisioned Managed Global Unit": ("1/Hour", "Provisioned Managed Global Unit", 2),
    }  # fmt: skip
    rows = [
        row | {"MeterName": name, "Quantity": "2", "UnitOfMeasure": unit}
        for name, (unit, _, _) in names.items()
    ]

    read = list(SOURCES["invoice"](rows))
    assert [(cell.deployment, cell.meter, int(count.quantity)) for cell, count in read] == [
        ("chat", meter, quantity) for _, meter, quantity in names.values()
    ]
