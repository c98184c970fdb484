"""How old a table is, and what it must not rewrite; the table we ship; what editors get."""

import json
from datetime import UTC, date, datetime
from pathlib import Path

import jsonschema
import pytest
import yaml

from chargeback.facts import Facts
from chargeback.rates.json_schema import json_schema
from chargeback.rates.load import faults, faults_against, parse
from tests.rates.tables import BASE, TABLE, changed

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "rates" / "azure-openai.yaml"
JUNE = datetime(2026, 6, 1, tzinfo=UTC)


# ---- age


@pytest.mark.parametrize(
    ("today", "told"),
    [
        (date(2026, 12, 9), []),
        (
            date(2026, 12, 10),
            [
                (
                    "t.yaml:4: source.fetched_at: found prices read 121 days ago, expected prices read at most 120 days ago; "
                    "run `chargeback rates import`"
                )
            ],
        ),
    ],
)
def test_old_prices_bring_a_warning(today, told):
    found = faults(BASE, source="t.yaml", today=today)

    assert [fault.told("t.yaml") for fault in found] == told
    assert {fault.severity for fault in found} <= {"warning"}


def test_the_policy_says_what_old_is():
    text = BASE + "policy: {stale_after_days: 10}\n"

    assert len(faults(text, source="t.yaml", today=date(2026, 8, 22))) == 1
    assert faults(text, source="t.yaml", today=date(2026, 8, 21)) == ()


# ---- history


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            'input_text: {price: "0.15"',
            'input_text: {price: "0.16"',
            (
                "t.yaml:16: rates[0].meters: found other prices for gpt-4o-mini@2024-07-18 GlobalStandard * from 2026-01-01, "
                "expected history as it billed a closed month (before 2026-06-01)"
            ),
        ),
        (
            "  region: [eastus]\n  effective_from: 2026-01-01",
            "  region: [eastus2]\n  effective_from: 2026-01-01",
            (
                "t.yaml:10: rates: found no rate gpt-4o@2024-11-20 DataZoneStandard eastus from 2026-01-01 any more, "
                "expected history as it billed a closed month (before 2026-06-01)"
            ),
        ),
    ],
)
def test_a_price_that_billed_a_closed_month_cannot_be_rewritten(old, new, told):
    found = faults_against(changed(old, new), TABLE.rows, JUNE)

    assert [fault.told("t.yaml") for fault in found] == [told]


def test_history_may_be_appended():
    ended = changed(
        "  effective_from: 2026-03-01T12:00:00Z\n  effective_to: null",
        "  effective_from: 2026-03-01T12:00:00Z\n  effective_to: 2026-06-01",
    )

    assert faults_against(ended, TABLE.rows, JUNE) == ()
    early = ended.replace("effective_to: 2026-06-01", "effective_to: 2026-05-31")
    assert [fault.path for fault in faults_against(early, TABLE.rows, JUNE)] == ["rates[1].effective_to"]


# ---- what we ship


def test_the_shipped_table_loads_without_a_word():
    assert faults(SHIPPED.read_text(), source=SHIPPED.name, today=date(2026, 11, 21)) == ()


# Prices typed in a second time, from the record of 2026-08-11: (model, type, tier, meter) -> price and meter.
RECORDED = {
    ("gpt-4o@2024-05-13", "GlobalStandard", "input_text"): ("0.005", "gpt 4o 0513 Input global Tokens"),
    ("gpt-4o@2024-08-06", "GlobalStandard", "input_text"): ("0.0025", "gpt-4o-0806-Inp-glbl Tokens"),
    ("gpt-4o@2024-08-06", "GlobalStandard", "input_cached_text"): (
        "0.00125",
        "gpt 4o 0806 cached Inp glbl Tokens",
    ),
    ("gpt-4o@2024-11-20", "GlobalBatch", "input_text"): ("0.00125", "gpt 4o 1120 Batch Inp glbl Tokens"),
    ("text-embedding-3-large@1", "GlobalStandard", "input_text"): (
        "0.00013",
        "text-embedding-3-large-glbl Tokens",
    ),
    ("whisper@001", "GlobalBatch", "audio_hour"): ("0.36", "Speech-to-Text-Batch-Whisper-glbl Unit"),
}


def test_the_shipped_prices_are_the_recorded_ones_and_name_their_meters():
    """A price in this file is a fact of its day: a new one is a new row, with its own date."""
    table = parse(SHIPPED.read_text(), source=SHIPPED.name)

    told = {
        (rate.model, rate.deployment_type, name): (format(meter.price, "f"), meter.azure_meter)
        for rate in table.rows.rates
        if rate.service_tier == "default"
        for name, meter in rate.meters.items()
        if meter.price is not None
    }
    assert {key: told.get(key) for key in RECORDED} == RECORDED
    assert all(meter for _, meter in told.values())
    assert table.rows.source.fetched_at.date() == date(2026, 7, 31)
    assert {rate.effective_from for rate in table.rows.rates} == {datetime(2026, 7, 31, tzinfo=UTC)}


def test_the_shipped_table_grows_old():
    [fault] = faults(SHIPPED.read_text(), source="t.yaml", today=date(2026, 11, 29))

    assert (fault.severity, fault.path) == ("warning", "source.fetched_at")
    assert "prices read 121 days ago" in fault.value


def test_no_meter_of_the_list_is_priced_twice():
    rates = parse(SHIPPED.read_text(), source=SHIPPED.name).rows.rates
    meters = [meter.azure_meter for rate in rates for meter in rate.meters.values() if meter.azure_meter]

    assert len(meters) == len(set(meters)) > 300


# ---- tags and markups


def test_a_tag_is_asked_last_and_the_first_of_the_table_decides():
    text = BASE + "- {tag: project=apollo, cost_centre: CC3}\n- {tag: env=prod, cost_centre: CC1}\n"
    table = parse(text, source="t.yaml")
    may = datetime(2026, 5, 1, tzinfo=UTC)

    both = {"env": "prod", "project": "apollo"}
    assert table.assign(Facts(tags=both), may).cost_centre == "CC3"
    assert table.assign(Facts(tags={"env": "prod"}), may).cost_centre == "CC1"
    assert table.assign(Facts(tags=both, product="gold"), may).cost_centre == "CC1"
    assert table.assign(Facts(tags={"env": "test"}), may).cost_centre == "UNALLOCATED"


def test_a_markup_holds_from_its_instant():
    text = changed("{id: CC3}", '{id: CC3, markups: [{percent: "5", from: "2026-05-01T12:00:00Z"}]}')
    table = parse(text, source="t.yaml")

    assert table.markup("CC3", datetime(2026, 5, 1, 11, 59, 59, tzinfo=UTC)) == 0
    assert table.markup("CC3", datetime(2026, 5, 1, 12, tzinfo=UTC)) == 5
    assert table.markup(None, JUNE) == 0


# ---- editors


def test_the_published_schema_is_the_one_of_the_models():
    published = ROOT / "docs" / "schemas" / "rates.json"

    assert published.read_text() == json_schema(), (
        "write it anew: chargeback rates schema > docs/schemas/rates.json"
    )


@pytest.mark.parametrize("file", [SHIPPED, ROOT / "samples" / "rates.yaml"], ids=lambda file: file.name)
def test_tables_fit_the_published_schema(file):
    jsonschema.Draft202012Validator(json.loads(json_schema())).validate(as_editors_see(file.read_text()))


class CoreLoader(yaml.SafeLoader):
    """YAML 1.2 as editors read it: a date is text."""


CoreLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rules if not tag.endswith(":timestamp")]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def as_editors_see(text):
    return yaml.load(text, Loader=CoreLoader)
