"""Build the workbook, the alert rules and their tables in docs/ from queries and code, so that they cannot drift apart.

    python scripts/workbook.py            writes infra/workbook/workbook.json, infra/alerts/rules.json and
                                          the marked parts of docs/queries.md and docs/telemetry.md
    python scripts/workbook.py --check    says what is out of date; 1 if anything is

What to show and when to alert is said here, in PAGES and RULES; what is computed stands in infra/queries only.
Both run in the Log Analytics workspace and need nothing saved there.
"""

import argparse
import json
import logging
import re
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from chargeback.observe import LOG_EVENTS, METRICS, REJECT_REASONS
from scripts import kql

WORKBOOK = ROOT / "infra" / "workbook" / "workbook.json"
ALERTS = ROOT / "infra" / "alerts" / "rules.json"
PAGES_OF_DOCS = (ROOT / "docs" / "queries.md", ROOT / "docs" / "telemetry.md")
WORKSPACES = "microsoft.operationalinsights/workspaces"

# What stands in a workbook for the right side of a query's `let` lines. The portal puts the texts in.
PERIOD = {"since": "datetime({Period:startISO})", "until": "datetime({Period:endISO})"}
FILTERS = {
    "centre": '"{Centre}"',
    "client": '"{Consumer}"',
    "budgets": "parse_json('{Budgets}')",
}


@dataclass(frozen=True)
class Show:
    """One query on a page. ``period`` False: it keeps the span it was written with."""

    query: str
    visual: str = "table"
    period: bool = True


@dataclass(frozen=True)
class Page:
    name: str
    label: str
    about: str
    shows: tuple[Show, ...]
    filters: tuple[str, ...] = ()


PAGES = (
    Page(
        "overview",
        "Overview",
        "Calls, tokens and rated cost by the time of the call. Every call once: repeats and copies are removed.",
        (
            Show("cost-by-cost-centre"),
            Show("tokens-by-hour", "timechart"),
            Show("top-consumers"),
            Show("not-certain"),
        ),
    ),
    Page(
        "cost-centre",
        "Cost centre",
        "Choose a cost centre, or all. Budgets are a JSON list: CostCentre, Currency, Amount.",
        (
            Show("cost-centre-by-day", "barchart"),
            Show("budget-burn-down", period=False),
            Show("budget-reached"),
        ),
        ("Centre", "Budgets"),
    ),
    Page(
        "consumer",
        "Consumer",
        "Choose a consumer by its subscription or the digits of its key, or all.",
        (Show("cost-by-client"), Show("consumer-by-day"), Show("cost-by-app")),
        ("Consumer",),
    ),
    Page(
        "deployment",
        "Deployment and model",
        "Where the calls went.",
        (Show("cost-by-deployment-and-model"), Show("cost-by-subscription-and-deployment")),
    ),
    Page(
        "pools",
        "Pools",
        "Provisioned throughput. These calls have no price of their own; the pool is shared when the month is closed.",
        (Show("pools"),),
    ),
    Page(
        "quality",
        "Data quality",
        "What must be explained before a period can be closed.",
        (Show("not-certain"), Show("unpriced"), Show("duplicates")),
    ),
    Page(
        "health",
        "Pipeline health",
        "Whether everything arrives. What each figure and each line of the worker's log means: docs/telemetry.md.",
        (
            Show("pipeline-health"),
            Show("rejects"),
            Show("silence"),
            Show("reconciliation-gap"),
            Show("token-gap"),
            Show("lag"),
            Show("backlog"),
            Show("gaps"),
            Show("worker-log"),
        ),
    ),
)


@dataclass(frozen=True)
class Rule:
    """Alerts when its query, with ``where`` behind it, finds a row. A rule sees two days at most."""

    name: str
    title: str
    remedy: str
    severity: int
    query: str
    where: str = ""
    values: Mapping[str, str] = field(default_factory=dict[str, str])
    every: str = "PT1H"


RULES = (
    Rule(
        "unpriced",
        "Calls without a price",
        "Add the missing rate or deployment to the rate table, then `chargeback rates apply`.",
        2,
        "unpriced",
        values={"since": "ago(2d)"},
    ),
    Rule(
        "backlog",
        "Charges have waited for Application Insights for an hour",
        "Billing is complete. See `outbox.alarm` in the worker's log: daily cap, missing role, wrong endpoint.",
        2,
        "backlog",
        "| where WorstMinutes > 60",
        {"since": "ago(2h)"},
        "PT30M",
    ),
    Rule(
        "rejects",
        "Events were rejected and nobody is billed for them",
        "See the reason, mend the policy, then `chargeback dead-letters requeue`.",
        2,
        "rejects",
        values={"since": "ago(2h)"},
    ),
    Rule(
        "gap",
        "Events were skipped by the platform",
        "Run `chargeback repair` for the range; the period cannot be closed before.",
        1,
        "gaps",
        values={"since": "ago(1d)"},
    ),
    Rule(
        "silence",
        "The gateway serves and nothing is billed",
        "Look whether the function app starts and whether the gateway's logger reaches the hub.",
        1,
        "silence",
        values={"since": "bin(ago(6h), 1h)", "until": "bin(ago(30m), 1h)"},
    ),
    Rule(
        "reconciliation-gap",
        "More than one percent of a day's calls was not billed",
        "Save the gateway's log of the day and run `chargeback reconcile --gateway-log FILE`.",
        2,
        "reconciliation-gap",
        "| where GapPercent > 1",
        {"since": "startofday(ago(1d))"},
    ),
    Rule(
        "budget",
        "A cost centre reached a share of its budget",
        "Tell the owner of the cost centre; the shares are those of the rate table.",
        3,
        "budget-reached",
        values={"since": "ago(2d)"},
    ),
)


# ---- the workbook


def workbook() -> dict[str, Any]:
    return {
        "version": "Notebook/1.0",
        "items": [
            _parameters("period", [_period()]),
            {
                "type": 11,
                "content": {
                    "version": "LinkItem/1.0",
                    "style": "tabs",
                    "links": [_tab(page) for page in PAGES],
                },
                "name": "tabs",
            },
            *(item for page in PAGES for item in _page(page)),
        ],
        "fallbackResourceIds": ["{workspace-id}"],
        "$schema": "https://github.com/Microsoft/Application-Insights-Workbooks/blob/master/schema/workbook.json",
    }


def _page(page: Page) -> list[dict[str, Any]]:
    head = {"type": 1, "content": {"json": f"## {page.label}\n\n{page.about}"}, "name": f"{page.name} text"}
    asked = (
        [_parameters(f"{page.name} filters", [_filter(name) for name in page.filters])]
        if page.filters
        else []
    )
    items = [head, *asked, *(_shown(page, show) for show in page.shows)]
    visible = {"parameterName": "Tab", "comparison": "isEqualTo", "value": page.name}
    return [{**item, "conditionalVisibility": visible} for item in items]


def _shown(page: Page, show: Show) -> dict[str, Any]:
    query = kql.queries()[show.query]
    return {
        "type": 3,
        "content": {
            "version": "KqlItem/1.0",
            "query": _for_workbook(query, period=show.period),
            "size": 0,
            "title": query.title,
            "noDataMessage": "Nothing in this period.",
            "showExportToExcel": True,
            # The query says its time itself: late events carry the time of sending.
            "timeContext": {"durationMs": 0},
            "queryType": 0,
            "resourceType": WORKSPACES,
            "visualization": show.visual,
        },
        "name": f"{page.name} {query.name}",
    }


def _for_workbook(query: kql.Query, *, period: bool = True) -> str:
    """Return the whole text with the portal's parameters; a `render` is the visual's business there."""
    asked = {name for name in (*PERIOD, *FILTERS) if f"\nlet {name} = " in f"\n{query.text}"}
    values = {**(PERIOD if period else {}), **FILTERS}
    text = kql.bundle(query, "workspace", {name: values[name] for name in values if name in asked})
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("| render "))


def _id(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"chargeback-workbook/{name}"))


def _tab(page: Page) -> dict[str, str]:
    return {
        "id": _id(page.name),
        "cellValue": "Tab",
        "linkTarget": "parameter",
        "linkLabel": page.label,
        "subTarget": page.name,
        "style": "link",
    }


def _parameters(name: str, parameters: list[dict[str, Any]]) -> dict[str, Any]:
    content = {
        "version": "KqlParameterItem/1.0",
        "parameters": parameters,
        "style": "pills",
        "queryType": 0,
        "resourceType": WORKSPACES,
    }
    return {"type": 9, "content": content, "name": name}


def _period() -> dict[str, Any]:
    days = [1, 2, 7, 14, 30, 60, 90]
    return {
        "id": _id("Period"),
        "version": "KqlParameterItem/1.0",
        "name": "Period",
        "type": 4,
        "isRequired": True,
        "value": {"durationMs": 30 * 86_400_000},
        "typeSettings": {
            "selectableValues": [{"durationMs": day * 86_400_000} for day in days],
            "allowCustom": True,
        },
    }


def _filter(name: str) -> dict[str, Any]:
    parameter: dict[str, Any] = {
        "id": _id(name),
        "version": "KqlParameterItem/1.0",
        "name": name,
        "isRequired": False,
    }
    if name == "Budgets":
        return {**parameter, "type": 1, "value": '[{"CostCentre":"CC-100","Currency":"USD","Amount":"500"}]'}
    query, value, label = {
        "Centre": ("cost-by-cost-centre", "CostCentre", "CostCentre"),
        "Consumer": (
            "cost-by-client",
            "AppKey",
            "strcat(AppKey, iff(isempty(SubscriptionName), '', strcat(' - ', SubscriptionName)))",
        ),
    }[name]
    choice = (
        f"| where isnotempty({value})\n| summarize by value = {value}, label = {label}\n"
        '| union (print value = "*", label = " All")\n| sort by label asc\n'
    )
    return {
        **parameter,
        "type": 2,
        "value": "*",
        "query": _for_workbook(kql.queries()[query]) + choice,
        "timeContext": {"durationMs": 0},
        "queryType": 0,
        "resourceType": WORKSPACES,
        "typeSettings": {"additionalResourceOptions": [], "showDefault": False},
    }


# ---- the alerts


def rules() -> list[dict[str, Any]]:
    return [
        {
            "name": rule.name,
            "title": rule.title,
            "description": f"{rule.title}. {rule.remedy}",
            "severity": rule.severity,
            "every": rule.every,
            "query": alert_query(rule),
        }
        for rule in RULES
    ]


def alert_query(rule: Rule) -> str:
    text = kql.bundle(kql.queries()[rule.query], "workspace", rule.values)
    return text + (f"{rule.where}\n" if rule.where else "")


# ---- the tables of the documents


def query_table() -> str:
    rows = [
        f"| [{query.name}](../infra/queries/{query.name}.kql) | {query.title} | {', '.join(query.scopes)} |"
        for query in kql.queries().values()
    ]
    return "\n".join(["| query | tells | scope |", "|---|---|---|", *rows])


def alert_table() -> str:
    rows = [
        f"| `{rule.name}` | {rule.severity} | {rule.title} | {_when(rule)} | {rule.remedy} |"
        for rule in RULES
    ]
    return "\n".join(["| alert | severity | says | query | remedy |", "|---|---|---|---|---|", *rows])


def _when(rule: Rule) -> str:
    return f"{rule.query} `{rule.where.removeprefix('| ')}`" if rule.where else rule.query


def event_table() -> str:
    rows = [
        f"| `{name}` | {EVENTS[name]} | {' '.join(f'`{each}`' for each in names)} |"
        for name, names in kql.properties().items()
    ]
    return "\n".join(["| event | sent for | properties |", "|---|---|---|", *rows])


EVENTS = {
    "Azure OpenAI Tokens": "every charge",
    "Azure OpenAI Call Identity": "who made a call and where it went, when its usage comes from elsewhere",
    "Chargeback Adjustment": "a call that a rating run changed",
    "Chargeback Budget": "a share of a budget that was reached",
    "Function called with Chargeback Data": "every charge again, with the alias",
}


def log_table() -> str:
    fields = kql.log_fields()
    rows = [
        f"| `{name}` | {logging.getLevelName(event.level).lower()} | "
        f"{', '.join(f'`{each}`' for each in sorted(fields.get(name, ())))} | {event.meaning} | {event.remedy} |"
        for name, event in sorted(LOG_EVENTS.items())
    ]
    return "\n".join(["| name | level | fields | means | remedy |", "|---|---|---|---|---|", *rows])


def metric_table() -> str:
    rows = [
        f"| `{name}` | {metric.unit} | {metric.meaning} | {metric.healthy} | {metric.remedy} | "
        f"{_field(metric.log, metric.field or name)} | {_code(metric.status)} |"
        for name, metric in METRICS.items()
    ]
    head = "| metric | unit | means | healthy | remedy | line: field | status |"
    return "\n".join([head, "|---|---|---|---|---|---|---|", *rows])


def _field(log: str | None, name: str) -> str:
    return f"`{log}`: `{name}`" if log else ""


def _code(name: str | None) -> str:
    return f"`{name}`" if name else ""


def reason_table() -> str:
    rows = [f"| `{reason}` | {told} |" for reason, told in sorted(REJECT_REASONS.items())]
    return "\n".join(["| reason | says |", "|---|---|", *rows])


TABLES = {
    "queries": query_table,
    "alerts": alert_table,
    "events": event_table,
    "log": log_table,
    "metrics": metric_table,
    "reasons": reason_table,
}
_MARKED = re.compile(r"(<!-- (\w+): python scripts/workbook\.py -->\n).*?(<!-- end -->)", re.DOTALL)


def document(path: Path) -> str:
    """Return a page with its marked parts made anew."""
    return _MARKED.sub(lambda part: f"{part[1]}{TABLES[part[2]]()}\n{part[3]}", path.read_text("utf-8"))


# ---- the command


def embedded() -> dict[str, str]:
    """Return every query the files hold, as the service would see it once the portal filled in the parameters."""
    shown = {item["name"]: item["content"]["query"] for item in workbook()["items"] if item["type"] == 3}
    asked = {
        f"parameter {parameter['name']}": parameter["query"]
        for item in workbook()["items"]
        if item["type"] == 9
        for parameter in item["content"]["parameters"]
        if "query" in parameter
    }
    filled = {
        "{Period:startISO}": "2026-11-01T00:00:00Z",
        "{Period:endISO}": "2026-12-01T00:00:00Z",
        "{Centre}": "CC-100",
        "{Consumer}": "sub-shop",
        "{Budgets}": '[{"CostCentre":"CC-100","Currency":"USD","Amount":"500"}]',
    }
    texts = {f"workbook: {name}": text for name, text in {**shown, **asked}.items()}
    texts |= {f"alert: {rule.name}": alert_query(rule) for rule in RULES}
    for name, value in filled.items():
        texts = {key: text.replace(name, value) for key, text in texts.items()}
    return texts


@cache
def files() -> dict[Path, str]:
    built = {
        path: json.dumps(value, indent=2) + "\n"
        for path, value in ((WORKBOOK, workbook()), (ALERTS, rules()))
    }
    return built | {page: document(page) for page in PAGES_OF_DOCS}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args()
    wanted = files()
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text("utf-8") != text]
    for path in stale:
        if not options.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[path], "utf-8", newline="\n")
        print(f"{path.relative_to(ROOT)}: {'out of date' if options.check else 'written'}")
    return 1 if options.check and stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
