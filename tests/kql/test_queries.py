"""What can be said of the queries without Kusto: they name what exists, and what is built from them is fresh."""

import json
import re
from pathlib import Path

import pytest

from chargeback.custom_events import CHARGE_PROPERTIES, FACT_PROPERTIES
from chargeback.journal.winner import OWN_FORMAT, PAYERS
from chargeback.observe import LOG_EVENTS
from chargeback.report.focus import COLUMNS
from chargeback.usage import COUNTS
from scripts import kql, workbook

ROOT = Path(__file__).parents[2]
CALLS = (kql.QUERIES / "functions" / "ChargebackCalls.kql").read_text("utf-8")
ROWS = (kql.QUERIES / "functions" / "ChargebackRows.kql").read_text("utf-8")
TEXTS = {str(path.relative_to(kql.QUERIES)): path.read_text("utf-8") for path in kql.QUERIES.rglob("*.kql")}
WANTED = (
    "cost-by-client",
    "cost-by-subscription-and-deployment",
    "cost-by-app",
    "cost-by-cost-centre",
    "tokens-by-hour",
    "top-consumers",
    "not-certain",
    "duplicates",
    "lag",
    "silence",
    "reconciliation-gap",
    "budget-burn-down",
)


def without_comments(text):
    return re.sub(r"//.*", "", text)


def names(of):
    """Fields as the events name them."""
    return {CHARGE_PROPERTIES[field] for field in of}


# ---- properties


@pytest.mark.parametrize("file", TEXTS)
def test_every_property_a_query_reads_is_sent(file):
    sent = {name for properties in kql.properties().values() for name in properties}
    read = set(re.findall(r"\b(?:Properties|Rated|Money)\.(\w+)", without_comments(TEXTS[file])))
    read |= set(re.findall(r"\b(?:Properties|Rated|Money)\[\"(\w+)\"\]", without_comments(TEXTS[file])))

    assert read <= sent


@pytest.mark.parametrize("file", TEXTS)
def test_every_event_a_query_names_is_sent(file):
    told = re.findall(r"\bName (?:==|in) (\(?(?:\"[^\"]+\"(?:, )?)+)", without_comments(TEXTS[file]))
    named = {name for each in told for name in re.findall(r'"([^"]+)"', each)}

    assert named <= set(kql.properties())


@pytest.mark.parametrize("file", TEXTS)
def test_every_log_line_a_query_looks_for_is_written_with_the_fields_it_reads(file):
    text = without_comments(TEXTS[file])
    for event in re.findall(r'Event == "([a-z_.]+)"', text):
        assert event in LOG_EVENTS
        assert set(re.findall(r'Fields\["(\w+)"\]', text)) <= kql.log_fields()[event]


# ---- the rule


def test_the_function_merges_every_fact_there_is():
    facts = set(FACT_PROPERTIES.values())
    merged = set(re.findall(r"(\w+) = iff\(isempty\(\1\), After\(Told\1\), \1\)", CALLS))

    assert merged == facts == set(re.findall(r"Told(\w+) = min\(", CALLS)) - {"CostCentre"}
    assert facts <= set(re.findall(r"(\w+) = (?:iff\()?tostring\(Properties\.", ROWS))


def test_the_function_compares_every_count_there_is():
    compared = set(re.findall(r"Differ\((\w+), Won\1\)", CALLS))

    assert compared == names(COUNTS) | {"Quantities"}


def test_the_function_knows_what_names_a_caller_and_whose_identity_comes_first():
    [condition] = re.findall(r"NamesCaller = (.+)", CALLS)

    assert set(re.findall(r"isnotempty\((\w+)\)", condition)) == names(PAYERS)
    assert f'SourceFormat == "{OWN_FORMAT}", "1", "2"' in CALLS


def test_the_function_returns_every_field_a_reader_of_the_bill_needs():
    whole = kql.functions("workspace")["ChargebackCalls"].body
    columns = whole[whole.rindex("| project") :]
    hidden = {
        "namespace",
        "event_hub",
        "partition",
        "sequence_number",
        "index",
        "rank",
        "duplicate_of",
        "occurred_at",
    }

    for name in names(set(CHARGE_PROPERTIES) - hidden):
        assert re.search(rf"\b{name}\b", columns), name


# ---- queries


def test_all_that_was_asked_for_is_there():
    assert set(WANTED) <= set(kql.queries())


@pytest.mark.parametrize("query", kql.queries().values(), ids=lambda query: query.name)
def test_a_query_says_what_it_tells_and_when_it_looks(query):
    assert query.title
    assert not query.title.endswith(".")
    assert re.match(r"let since = .+;\nlet until = .+;\n", query.text)


def test_no_query_holds_a_price():
    for file, text in TEXTS.items():
        assert not re.search(r"\d+\.\d{3,}|per_?1[km]|case\(.*gpt", without_comments(text), re.IGNORECASE), (
            file
        )


def test_a_bundle_holds_what_the_query_needs_and_nothing_else():
    gaps = kql.bundle(kql.queries()["gaps"], "workspace")
    costs = kql.bundle(kql.queries()["cost-by-app"], "component")

    assert re.findall(r"^let (\w+) = \(", gaps, re.MULTILINE) == ["WorkerLog"]
    assert re.findall(r"^let (\w+) = \(", costs, re.MULTILINE) == [
        "ChargebackEvents",
        "ChargebackRows",
        "ChargebackCalls",
    ]


def test_a_value_for_a_line_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r"gaps.kql has no line `let client"):
        kql.bundle(kql.queries()["gaps"], "workspace", {"client": '"x"'})


# ---- what is built from them


@pytest.mark.parametrize("path", workbook.files(), ids=lambda path: path.name)
def test_what_is_built_from_the_queries_is_fresh(path):
    assert path.read_text("utf-8") == workbook.files()[path], "run: python scripts/workbook.py"


def test_every_query_is_on_a_page_or_in_an_alert():
    shown = {show.query for page in workbook.PAGES for show in page.shows} | {
        rule.query for rule in workbook.RULES
    }

    assert shown == set(kql.queries())


def test_the_workbook_names_each_item_once_and_leaves_only_the_portals_placeholders():
    told = workbook.WORKBOOK.read_text("utf-8")
    items = json.loads(told)["items"]
    item_names = [item["name"] for item in items]
    tabs = next(item for item in items if item["type"] == 11)["content"]["links"]
    parameters = {
        parameter["name"]
        for item in items
        if item["type"] == 9
        for parameter in item["content"]["parameters"]
    }
    placeholders = re.findall(r"\{(\w+)(?::\w+)?\}", told)

    assert len(item_names) == len(set(item_names))
    assert {tab["subTarget"] for tab in tabs} == {
        item["conditionalVisibility"]["value"] for item in items if "conditionalVisibility" in item
    }
    assert set(placeholders) == parameters, "the portal takes anything else in braces for a parameter, too"
    assert told.count("{workspace-id}") == 1


def test_once_the_portal_has_filled_them_in_no_query_has_a_placeholder_left():
    for name, text in workbook.embedded().items():
        assert not re.search(r"\{[A-Z]\w+(:\w+)?\}", text), name


def test_the_modules_read_the_files_that_are_built():
    alerts = (ROOT / "infra" / "alerts" / "alerts.bicep").read_text("utf-8")
    shown = (ROOT / "infra" / "workbook" / "workbook.bicep").read_text("utf-8")
    keys = set(json.loads(workbook.ALERTS.read_text("utf-8"))[0])

    assert set(re.findall(r"\brule\.(\w+)", alerts)) == keys
    assert "loadJsonContent('rules.json')" in alerts
    assert "replace(loadTextContent('workbook.json'), '{workspace-id}', workspaceId)" in shown


def test_the_saved_function_is_made_of_the_files_the_queries_use():
    text = (kql.QUERIES / "functions.bicep").read_text("utf-8")
    read = set(re.findall(r"loadTextContent\('([^']+)'\)", text))
    wanted = {"tables/workspace.kql"} | {
        f"functions/{path.name}" for path in (kql.QUERIES / "functions").glob("*.kql")
    }

    assert read == wanted
    assert "functionParameters: 'since:datetime, until:datetime'" in text


# ---- documents


def test_power_bi_reads_columns_the_export_has():
    text = (kql.QUERIES / "power-bi" / "focus.pq").read_text("utf-8")
    selected = text[text.index("Table.SelectColumns") : text.index("Typed =")]
    typed = text[text.index("Table.TransformColumnTypes") :]
    columns = set(re.findall(r'"(\w+)"', selected))
    page = (ROOT / "docs" / "power-bi.md").read_text("utf-8")

    assert columns <= set(COLUMNS)
    assert set(re.findall(r'\{"(\w+)", ', typed)) <= columns
    assert set(re.findall(r"Focus\[(\w+)\]", page)) <= columns
    assert set(re.findall(r"`((?:x_)?[A-Z]\w+)`", page)) - {"Folder"} <= columns


def test_the_catalogue_of_the_log_tells_every_name_with_its_fields():
    page = (ROOT / "docs" / "telemetry.md").read_text("utf-8")

    for name, event in LOG_EVENTS.items():
        [row] = re.findall(rf"^\| `{re.escape(name)}` \|.*$", page, re.MULTILINE)
        assert event.meaning in row
        assert event.remedy in row
        assert all(f"`{field}`" in row for field in kql.log_fields()[name])


def test_every_event_the_worker_sends_is_explained():
    assert set(workbook.EVENTS) == set(kql.properties())
