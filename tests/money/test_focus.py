"""The checker of the FOCUS export: every rule is broken once, and told with line, column and expectation."""

import csv

import pytest

from chargeback.report.focus import export
from chargeback.report.focus_check import check
from chargeback.report.span import EVER
from tests.money.books import a_charge, append, books_at, ledger_at, table


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("focus")
    ledger = ledger_at(folder)
    append(ledger, [a_charge(1), a_charge(2, caller="legal", route="chat")])
    with books_at(ledger, folder, rates=table()) as books:
        export(folder / "focus.csv", books, EVER)
    return folder / "focus.csv"


def test_the_export_is_right(exported):
    assert check(exported) == []


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("BilledCost", "", "BilledCost: found nothing, expected a value"),
        ("BilledCost", "1,5", "BilledCost: found '1,5', expected a plain decimal number"),
        ("BilledCost", "1E-7", "BilledCost: found '1E-7', expected a plain decimal number"),
        ("BillingCurrency", "EURO", "BillingCurrency: found 'EURO', expected an ISO 4217 code"),
        ("ChargeCategory", "Use", "ChargeCategory: found 'Use', expected one of Usage, Purchase"),
        ("ChargeClass", "Refund", "ChargeClass: found 'Refund', expected one of nothing, Correction"),
        (
            "PricingUnit",
            "1M Tokens",
            "PricingUnit: found '1M Tokens', expected a unit such as 1000000 Tokens",
        ),
        ("PricingQuantity", "", "PricingQuantity: found nothing, expected a value for usage"),
        ("ListCost", "9", "ListCost: found 9, expected ListUnitPrice x PricingQuantity ="),
        ("ChargePeriodEnd", "2026-11-18T00:00:00Z", "periods: expected ends after starts"),
        ("ChargePeriodStart", "2026-10-31T00:00:00Z", "expected within the billing period"),
        ("ChargePeriodStart", "2026-11-18", "ChargePeriodStart: found '2026-11-18', expected an instant"),
        ("Tags", "[]", "Tags: found no JSON object"),
        ("SkuPriceId", "", "SkuPriceId: found nothing, expected the price's id beside a ListUnitPrice"),
        ("ConsumedUnit", "", "ConsumedUnit: expected exactly beside a ConsumedQuantity"),
    ],
)
def test_a_broken_rule_is_told(exported, tmp_path, column, value, told):
    with exported.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    rows[0][column] = value
    file = tmp_path / "broken.csv"
    with file.open("w", newline="") as out:
        writer = csv.DictWriter(out, rows[0])
        writer.writeheader()
        writer.writerows(rows)

    assert any(fault.startswith(f"{file}:2: ") and told in fault for fault in check(file)), check(file)


def test_a_column_that_is_missing_is_told(tmp_path):
    file = tmp_path / "short.csv"
    file.write_text("BilledCost\n1\n")

    [fault] = check(file)
    assert "missing BillingAccountId" in fault
