"""The ledger against the gateway's log, the platform's metrics and the invoice."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest

from chargeback.errors import UsageError
from chargeback.reconcile import ours
from chargeback.reconcile.compare import compare
from chargeback.reconcile.sources import SOURCES, rows_of
from chargeback.report.span import EVER
from tests.money.books import a_charge, append, books_at, ledger_at, table

NOON = datetime(2026, 11, 5, 12, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path):
    made = ledger_at(tmp_path)
    unmetered = msgspec.structs.replace(
        a_charge(3, at=NOON, route="chat"), rating="unmetered", rating_reason="content_filter", prompt_tokens=None,
        completion_tokens=None, total_tokens=None, total_cost=None, lines=(), usage_source="missing",
    )  # fmt: skip
    append(made, [a_charge(1, at=NOON), a_charge(2, at=NOON, prompt=2000, completion=50), unmetered])
    return made


def against(ledger, folder, source, text, suffix="json", **told):
    file = folder / f"export.{suffix}"
    file.write_text(text)
    theirs = list(SOURCES[source](rows_of(file)))
    with books_at(ledger, folder, rates=table()) as books:
        mine = ours.meters(books, EVER) if source == "invoice" else ours.tokens(books, EVER)
        found = compare(list(mine), theirs, ours.known(books, EVER), **told)
    return {(each.cell.deployment, each.cell.meter): each for each in found}


LOG = [
    {"TimeGenerated": "2026-11-05T12:00:01Z", "DeploymentName": "Chat-Mini", "PromptTokens": 1000, "CompletionTokens": 100, "SequenceNumber": 0},
    {"TimeGenerated": "2026-11-05T12:00:01Z", "DeploymentName": "chat-mini", "PromptTokens": 7, "SequenceNumber": 1},
    {"TimeGenerated": "2026-11-05T12:00:02Z", "DeploymentName": "chat-mini", "PromptTokens": 2000, "CompletionTokens": 50, "SequenceNumber": 0},
]  # fmt: skip


def test_the_gateways_log_agrees_and_its_rows_of_text_are_not_counted(ledger, tmp_path):
    found = against(ledger, tmp_path, "gateway-log", json.dumps(LOG))

    assert found["chat-mini", "prompt"].agrees
    assert found["chat-mini", "completion"].agrees
    assert found["chat-mini", "requests"].agrees


def test_log_analytics_answers_are_read_as_they_come(ledger, tmp_path):
    names = list(LOG[0])
    answer = {
        "tables": [
            {
                "columns": [{"name": name} for name in names],
                "rows": [[row.get(name) for name in names] for row in LOG],
            }
        ]
    }

    assert against(ledger, tmp_path, "gateway-log", json.dumps(answer))["chat-mini", "prompt"].agrees


def metric(name, total, deployment="chat-mini"):
    about = [{"name": {"value": "ModelDeploymentName"}, "value": deployment}]
    series = [
        {
            "metadatavalues": about,
            "data": [
                {"timeStamp": "2026-11-05T12:00:00Z", "total": total},
                {"timeStamp": "2026-11-05T12:01:00Z"},
            ],
        }
    ]
    return {"name": {"value": name}, "timeseries": series}


def test_the_platforms_metrics_show_what_went_past_the_gateway(ledger, tmp_path):
    answer = {
        "value": [
            metric("ProcessedPromptTokens", 3600),
            metric("GeneratedTokens", 150),
            metric("AzureOpenAIRequests", 3),
        ]
    }

    found = against(ledger, tmp_path, "monitor", json.dumps(answer))
    assert (found["chat-mini", "prompt"].tokens, found["chat-mini", "prompt"].agrees) == (-600, False)
    assert "past the gateway" in found["chat-mini", "prompt"].causes[0]
    assert found["chat-mini", "completion"].agrees


def test_known_gaps_are_named_before_anything_else(ledger, tmp_path):
    found = against(
        ledger, tmp_path, "monitor", json.dumps({"value": [metric("ProcessedPromptTokens", 77, "chat")]})
    )

    assert found["chat", "prompt"].causes == (
        "1 calls are charged without usage (400, 408, or an answer that had none)",
    )


def test_more_of_ours_than_of_theirs_is_something_twice_or_too_high(ledger, tmp_path):
    found = against(
        ledger, tmp_path, "monitor", json.dumps({"value": [metric("ProcessedPromptTokens", 1500)]})
    )

    assert found["chat-mini", "prompt"].tokens == 1500
    assert "counted twice" in found["chat-mini", "prompt"].causes[0]


def test_the_newest_day_may_be_late_on_either_side(ledger, tmp_path):
    text = json.dumps({"value": [metric("ProcessedPromptTokens", 1)]})

    found = against(ledger, tmp_path, "monitor", text, last_day=NOON.date())
    assert found["chat-mini", "prompt"].causes[0].startswith("late data")


def test_metrics_without_deployments_are_compared_as_a_whole(ledger, tmp_path):
    found = against(
        ledger, tmp_path, "monitor", "timestamp,ProcessedPromptTokens\n2026-11-05T00:00:00Z,3000\n", "csv"
    )

    assert found["*", "prompt"].agrees


INVOICE = """Date,MeterName,MeterCategory,Quantity,UnitOfMeasure,CostInBillingCurrency,Tags
11/05/2026,gpt 4o mini 0718 Inp glbl Tokens,Foundry Models,3,1K,0.00036,"""
INVOICE += '"""deployment"": ""chat-mini"""\n'


def test_the_invoice_is_compared_by_deployment_and_meter_tokens_then_money(ledger, tmp_path):
    found = against(ledger, tmp_path, "invoice", INVOICE, "csv")

    each = found["chat-mini", "input_text"]
    assert (each.theirs.quantity, each.agrees) == (3000, True)
    assert each.money == Decimal("0.00036") - Decimal("0.00036")


def test_a_focus_export_is_an_invoice_too(ledger, tmp_path):
    text = "ChargePeriodStart,SkuMeter,ServiceName,PricingQuantity,PricingUnit,BilledCost\n2026-11-05T00:00:00Z,gpt 4o mini 0718 Inp glbl,Azure OpenAI,0.003,1000000 Tokens,0.00036\n"

    assert against(ledger, tmp_path, "invoice", text, "csv")["*", "input_text"].agrees


@pytest.mark.parametrize(("text", "message"), [("", "no rows"), ("[]", "no rows"), ("{", "neither JSON")])
def test_a_file_without_rows_is_refused(tmp_path, text, message):
    file = tmp_path / "empty.json"
    file.write_text(text)

    with pytest.raises(UsageError, match=message):
        rows_of(file)
