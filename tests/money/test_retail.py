"""Azure's price list beside a rate table: what changed, what cannot be mapped, and nothing guessed."""

import json
from decimal import Decimal

import pytest

from chargeback.errors import UsageError
from chargeback.rates.comparison import compare, proposal
from chargeback.rates.load import parse
from chargeback.rates.meter_names import read_name
from chargeback.rates.retail import items, next_page
from tests.rates.tables import BASE

# Spellings as the list has them.
NAMES = [
    ("gpt-4o-0806-Inp-glbl", "input_text", "GlobalStandard", "default", "*", "gpt 4o 0806"),
    ("gpt 4o 0806 cached Inp glbl", "input_cached_text", "GlobalStandard", "default", "*", "gpt 4o 0806"),
    ("gpt 4o 0513 Output regional", "output_text", "Standard", "default", "*", "gpt 4o 0513"),
    ("gpt 4o 1120 Inp Data Zone", "input_text", "DataZoneStandard", "default", "*", "gpt 4o 1120"),
    ("gpt 4o 1120 Batch Inp glbl", "input_text", "GlobalBatch", "default", "*", "gpt 4o 1120"),
    ("gpt 4.1 Inp regnl", "input_text", "Standard", "default", "*", "gpt 4.1"),
    ("5.4 opt Dz", "output_text", "DataZoneStandard", "default", "*", "5.4"),
    ("5.4 pro opt Dz", "output_text", "DataZoneStandard", "default", "*", "5.4 pro"),
    ("5.4 Cd Wr glbl", "cache_write_text", "GlobalStandard", "default", "*", "5.4"),
    ("5.4 cd inp LongCo glbl", "input_cached_text", "GlobalStandard", "default", "long", "5.4"),
    ("5.4 inp pp ShortCo DZone", "input_text", "DataZoneStandard", "priority", "short", "5.4"),
    ("gpt 4o aud outp glbl", "output_audio", "GlobalStandard", "default", "*", "gpt 4o"),
]


@pytest.mark.parametrize(
    ("name", "meter", "kind", "tier", "context", "model"), NAMES, ids=[row[0] for row in NAMES]
)
def test_a_meters_name_is_taken_apart(name, meter, kind, tier, context, model):
    read = read_name(name)

    assert (read.meter, read.deployment_type, read.service_tier, read.context_tier) == (
        meter,
        kind,
        tier,
        context,
    )
    assert (read.model_words, read.unread) == (model, None)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("gpt-4o-0806-FT-Hstng-glbl Unit", "enter by hand"),
        ("gpt-4o-0806-glbl", "input, cached, cache write or output"),
        ("gpt 4o Inp", "global, data zone or regional"),
        ("Inp glbl", "no word is left for the model"),
        ("gpt 4o inp outp glbl", "input, cached, cache write or output"),
    ],
)
def test_what_a_name_does_not_say_is_told_and_not_guessed(name, why):
    assert why in read_name(name).unread


def row(meter, price, *, unit="1K", region="", meter_id="id", **more):
    return {
        "currencyCode": "USD", "retailPrice": price, "armRegionName": region, "meterId": meter_id, "meterName": meter,
        "productName": "Azure OpenAI", "unitOfMeasure": unit, "type": "Consumption",
        "effectiveStartDate": "2026-08-01T00:00:00Z", **more,
    }  # fmt: skip


def page(*rows, following=None):
    return json.dumps(
        {"BillingCurrency": "USD", "Items": rows, "NextPageLink": following, "Count": len(rows)}
    ).encode()


def named(meter):
    """The base table with Azure's name at one price: 0.12 per 1M, written as 0.00012 per 1K."""
    old = 'input_text: {price: "0.00012", per: 1K tokens}'
    assert BASE.count(old) == 1
    return parse(BASE.replace(old, old[:-1] + f', azure_meter: "{meter}"}}'), source="t.yaml")


def test_prices_are_compared_by_the_unit_and_exactly():
    table = named("4o mini Inp glbl")

    same = compare(table, items([page(row("4o mini inp GLBL", 0.12, unit="1M"))], "page"))
    assert (same.same, same.changes, same.missing) == (1, (), ())
    [change] = compare(table, items([page(row("4o mini Inp glbl", 0.13, unit="1M"))], "page")).changes
    assert (change.ours, change.theirs) == (Decimal("0.00000012"), Decimal("0.00000013"))
    assert "rates[1].meters.input_text" in change.told


def test_a_list_a_thousand_times_off_is_a_change_and_never_hidden():
    [change] = compare(
        named("4o mini Inp glbl"), items([page(row("4o mini Inp glbl", 0.12, unit="1K"))], "page")
    ).changes

    assert change.theirs == change.ours * 1000


def test_what_no_rate_refers_to_is_listed_with_what_it_may_be():
    found = compare(named("not on the list"), items([page(row("5.4 opt Dz", 16.5, unit="1M"))], "page"))

    assert found.missing == ("rates[1].meters.input_text: not on the list",)
    [(item, meaning)] = found.unmapped
    assert meaning == proposal(item) == "may be output_text of Azure OpenAI '5.4', DataZoneStandard"


def test_a_unit_that_does_not_fit_is_not_compared():
    found = compare(
        named("4o mini Inp glbl"), items([page(row("4o mini Inp glbl", 0.12, unit="1 Hour"))], "page")
    )

    assert (found.changes, found.unmapped[0][1]) == ((), "unit '1 Hour' does not fit input_text")


def test_pages_follow_each_other():
    first = page(row("a", 1), following="https://prices.azure.com/api/retail/prices?$skip=1000")

    assert next_page(first) == "https://prices.azure.com/api/retail/prices?$skip=1000"
    assert next_page(page(row("b", 1))) is None
    assert [item.meter for item in items([first, page(row("b", 1))], "pages")] == ["a", "b"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (page(), "0 prices; the filter found nothing"),
        (b"<html>", "not a page of the Retail Prices API"),
        (b'{"error": 1}', "with Items"),
        (page(row("a", None)), "'a' .*expected a number as retailPrice, got None"),
        (page(row("a", "free")), "got 'free'"),
    ],
)
def test_no_prices_is_an_error(body, message):
    with pytest.raises(UsageError, match=message):
        list(items([body], "page.json"))
