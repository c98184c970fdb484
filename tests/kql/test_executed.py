"""Every query of infra/queries, run: the worker's own report on the same rows says the same, to the last digit.

DuckDB stands in for Kusto (``duck.py``), in the environment that ``make kql`` makes; without it all of this is skipped.
"""

import json
import os
import re
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from chargeback.custom_events import CHARGE_PROPERTIES, custom_event, text
from chargeback.journal.rows import BudgetReached
from chargeback.journal.winner import calls
from chargeback.report.bill import bill
from scripts import kql
from tests.kql import traffic
from tests.kql.traffic import NOW

SKIPPED = kql.missing() or (None if os.environ.get("CHARGEBACK_KQL") else "takes minutes: run `make kql`")
if SKIPPED is not None:
    pytest.skip(SKIPPED, allow_module_level=True)  # before anything is worked out
pytestmark = pytest.mark.timeout(600)

WHOLE = {"since": "datetime(2026-11-01)", "until": "now()"}
ROWS = [*traffic.sample_week(), *traffic.of_several_rows(300, seed=7)]
RUNS = traffic.rerated(calls(ROWS), seed=11)
CALLS = [traffic.newest_rating(call, RUNS) for call in calls(ROWS)]
BILLED = {call.charge.request_id for call in CALLS if call.charge.request_id}
# The gateway served what was billed from it, and 5 calls on the 12th that nobody billed; it refused one.
LOST = [(datetime(2026, 11, 12, 9, minute, tzinfo=UTC), f"LOST-{minute}", 200, 50) for minute in range(5)]
REFUSED = (datetime(2026, 11, 12, 9, tzinfo=UTC), "REFUSED", 429, None)
GATEWAY = [
    (at, name.upper(), 200, tokens)
    for name, (at, tokens) in {
        call.charge.request_id: (call.charge.occurred_at, call.charge.total_tokens)
        for call in CALLS
        if call.charge.request_id and call.charge.occurred_at
    }.items()
]
# An hour of a Sunday night in which the gateway worked and the worker did not.
ASLEEP = [
    (datetime(2026, 11, 1, 3, minute, tzinfo=UTC), f"ASLEEP-{minute}", 200, None) for minute in range(4)
]
# The lines of two batches, as the worker itself writes them: a calm one, and a late one with three events nobody can read.
CALM = traffic.line_of_batch(traffic.good_bodies(4), lag=timedelta(seconds=3))
LATE = traffic.line_of_batch(
    [*traffic.good_bodies(1), b"poison", b"not json either", b""], lag=timedelta(seconds=90)
)
LOG = [
    (
        NOW - timedelta(hours=2),
        "outbox.backlog",
        {"journal": "stream/a", "oldest_age_s": 90.0, "alarm": None},
    ),
    (NOW - timedelta(hours=1, minutes=50), "outbox.backlog", {"journal": "stream/a", "oldest_age_s": 600.0}),
    (NOW - timedelta(hours=3), "batch.gap", {"journal": "stream/a", "first": 12, "last": 14}),
    (NOW - timedelta(hours=1), "batch.gap", {"journal": "stream/a", "first": 12, "last": 14}),
    (NOW - timedelta(minutes=50), "settle.done", {"expired": 0, "backlog": 0, "oldest_age_s": None}),
    (NOW - timedelta(hours=2, minutes=50), "batch.committed", CALM),
    (NOW - timedelta(hours=1, minutes=50), "batch.committed", LATE),
]


REACHED = BudgetReached(
    row_id="budget/1",
    cost_centre="CC-100",
    period="2026-11",
    percent=80,
    spent=Decimal("400.25"),
    amount=Decimal(500),
    currency="USD",
    made_at=NOW - timedelta(hours=5),
)
TABLES = (
    traffic.event_tables(traffic.events_of_rows([*ROWS, *RUNS, REACHED]), again=6)
    | traffic.log_tables(LOG)
    | traffic.gateway_tables([*GATEWAY, *LOST, REFUSED, *ASLEEP])
)
# Between the scopes only the tables differ: in the workspace it is enough to run what looks at more than the events.
LOOKS_FURTHER = re.compile(r"GatewayCalls|WorkerLog")
ASKED = {
    "component": [query for query in kql.queries().values() if "component" in query.scopes],
    "workspace": [
        query
        for query in kql.queries().values()
        if "component" not in query.scopes or LOOKS_FURTHER.search(query.text)
    ],
}


CALLED = "ChargebackCalls(datetime(2026-11-01), now())"


def run(scope):
    texts = {query.name: kql.asked(query, WHOLE) for query in ASKED[scope]}
    texts["calls"] = CALLED
    answers = kql.execute(scope, TABLES, texts, NOW, kept="ChargebackCalls(datetime(2026-10-01), now())")
    assert {name: each["error"] for name, each in answers.items() if "error" in each} == {}
    return {name: _dicts(each) for name, each in answers.items()}


@pytest.fixture(scope="module")
def ran():
    """Every query over the whole time, and the calls themselves: name -> rows as dicts."""
    return run("component")


@pytest.fixture(scope="module")
def ran_there():
    return run("workspace")


@pytest.fixture(params=kql.SCOPES)
def either(request):
    return request.getfixturevalue({"component": "ran", "workspace": "ran_there"}[request.param])


def _dicts(answer):
    return [dict(zip(answer["columns"], row, strict=True)) for row in answer["rows"]]


def test_no_query_is_left_out():
    assert {query.name for each in ASKED.values() for query in each} == set(kql.queries())


def test_a_query_whole_says_what_it_says_over_kept_calls(ran):
    text = kql.asked(kql.queries()["cost-by-app"], WHOLE)
    whole = kql.execute("component", TABLES, {"whole": text}, NOW)["whole"]

    assert _dicts(whole) == ran["cost-by-app"]


# ---- the rule


def _expected(call):
    charge = call.charge
    told = {CHARGE_PROPERTIES[field]: text(field, getattr(charge, field)) for field in CHARGE_PROPERTIES}
    told["AppKey"] = custom_event(charge).properties["AppKey"]
    # No column of the function: the place of a row, and what needs no merge.
    for name in (
        "Namespace",
        "EventHub",
        "Partition",
        "SequenceNumber",
        "Index",
        "Rank",
        "DuplicateOf",
        "Timestamp",
    ):
        del told[name]
    told["Quantities"] = told["Quantities"].replace("{}", "")
    told["EnqueuedAt"] = charge.enqueued_at
    told["At"] = charge.occurred_at or charge.enqueued_at
    return told | {"Conflict": call.conflict}


def _found(row):
    told = {
        name: "" if value is None else value
        for name, value in row.items()
        if name not in ("Arrived", "Rows", "Run")
    }
    for name in ("At", "EnqueuedAt"):
        told[name] = datetime.fromisoformat(told[name]).replace(tzinfo=UTC)
    for name in ("PromptCost", "CompletionCost", "TotalCost"):
        told[name] = told[name] and f"{Decimal(told[name]).normalize():f}"
    return {
        name: str(value) if isinstance(value, int) and name != "Conflict" else value
        for name, value in told.items()
    }


def _plain(told):
    for name in ("PromptCost", "CompletionCost", "TotalCost"):
        told[name] = told[name] and f"{Decimal(told[name]).normalize():f}"
    return {name: json.loads(value) if name == "Lines" else value for name, value in told.items()}


def test_winner_merge_and_conflict_are_the_workers_own(either):
    expected = sorted(
        (_plain(_expected(call)) for call in CALLS), key=lambda told: (told["TokenInfoId"], told["RowId"])
    )
    found = sorted(
        (_plain(_found(row)) for row in either["calls"]),
        key=lambda told: (told["TokenInfoId"], told["RowId"]),
    )

    assert len(found) == len(expected) > 300
    assert any(told["Conflict"] for told in found)
    for mine, theirs in zip(expected, found, strict=True):
        assert theirs == mine


def test_rows_counts_the_rows_that_arrived(ran):
    sent = Counter(row.charge_id for row in ROWS if hasattr(row, "total_cost") and row.duplicate_of is None)

    assert {row["TokenInfoId"]: row["Rows"] for row in ran["calls"]} == dict(sent)


# ---- what the report says


def _totals(rows, *names):
    """KQL rows added up by some of their columns, an empty text as None."""
    whole = defaultdict(lambda: [0, 0, 0, Decimal(0)])
    for row in rows:
        sums = whole[tuple(row[name] or None for name in names)]
        for place, name in enumerate(("Calls", "PromptTokens", "CompletionTokens")):
            sums[place] += int(row[name])
        sums[3] += Decimal(row["Cost"])
    return {keys: tuple(sums) for keys, sums in whole.items()}


def _report(*keys, rows=CALLS):
    return {
        group.keys: (group.calls, group.prompt_tokens, group.completion_tokens, group.cost)
        for group in bill(rows, keys)
    }


@pytest.mark.parametrize(
    ("query", "columns", "keys"),
    [
        (
            "cost-by-subscription-and-deployment",
            ("SubscriptionId", "DeploymentId"),
            ("subscription", "deployment"),
        ),
        ("cost-by-app", ("AppId",), ("app",)),
        ("cost-by-cost-centre", ("CostCentre",), ("cost-centre",)),
        ("cost-by-deployment-and-model", ("DeploymentId", "Model"), ("deployment", "model")),
        ("consumer-by-day", ("DeploymentId", "Model"), ("deployment", "model")),
    ],
)
def test_cost_queries_equal_the_report(ran, query, columns, keys):
    assert _totals(ran[query], *columns) == _report(*keys)


def test_cost_by_client_equals_the_report_by_its_app_key(ran):
    by_key = defaultdict(list)
    for call in CALLS:
        by_key[custom_event(call.charge).properties["AppKey"] or None].append(call)
    expected = {(key,): _sum(each) for key, each in by_key.items()}

    assert _totals(ran["cost-by-client"], "AppKey") == expected


def _sum(rows):
    groups = [*_report("subscription", rows=rows).values()]
    return tuple(sum(group[place] for group in groups) for place in range(4))


def test_tokens_by_hour_equals_the_report(ran):
    found = {
        f"{row['Hour'][:13]}:00Z": (
            row["Calls"],
            int(row["PromptTokens"]),
            int(row["CompletionTokens"]),
            Decimal(row["Cost"]),
        )
        for row in ran["tokens-by-hour"]
    }
    timed = [call for call in CALLS if call.charge.occurred_at]

    assert {hour: found[hour] for (hour,) in _report("hour", rows=timed)} == {
        hour: sums for (hour,), sums in _report("hour", rows=timed).items()
    }
    assert sum(row[3] for row in found.values()) == sum(
        _report("rating")[keys][3] for keys in _report("rating")
    )


def test_top_consumers_are_the_twenty_dearest(ran):
    by_consumer = defaultdict(list)
    for call in CALLS:
        charge = call.charge
        key = custom_event(charge).properties["AppKey"]
        by_consumer[key, charge.subscription_name, charge.cost_centre].append(call)
    costs = sorted((_sum(each)[3] for each in by_consumer.values()), reverse=True)

    assert [Decimal(row["Cost"]) for row in ran["top-consumers"]] == costs[:20]


def test_a_cost_centre_by_day_adds_up_to_the_report(ran):
    found = defaultdict(Decimal)
    for row in ran["cost-centre-by-day"]:
        found[row["CostCentre"] or None] += Decimal(row["Cost"])

    assert dict(found) == {keys[0]: sums[3] for keys, sums in _report("cost-centre").items()}


def test_what_is_not_certain_equals_the_report(ran):
    found = {row["SourceFormat"]: row for row in ran["not-certain"]}

    for group in bill(CALLS, ("format",)):
        row = found.pop(group.keys[0])
        assert row["Calls"] == group.calls
        assert (row["Estimated"], row["Truncated"], row["Disputed"]) == (
            group.estimated,
            group.truncated,
            group.conflicts,
        )
        assert (row["Unpriced"], row["Unmetered"]) == (group.unpriced, group.unmetered)
        assert (row["Pooled"], row["NotBillable"]) == (group.pooled, group.not_billable)
    assert found == {}


def test_unpriced_lists_every_call_without_a_price_with_its_reason(ran):
    found = Counter()
    for row in ran["unpriced"]:
        found[row["Rating"], row["RatingReason"] or None, row["DeploymentId"] or None] += row["Calls"]
    expected = Counter(
        (call.charge.rating, call.charge.rating_reason, call.charge.deployment)
        for call in CALLS
        if call.charge.rating in ("unpriced", "unmetered")
    )

    assert found == expected


def test_pools_add_up_the_pooled_calls(ran):
    pooled = [call.charge for call in CALLS if call.charge.rating == "pooled"]

    assert sum(row["Calls"] for row in ran["pools"]) == len(pooled) > 0
    assert sum(int(row["PromptTokens"]) for row in ran["pools"]) == sum(
        each.prompt_tokens or 0 for each in pooled
    )


# ---- whether it works


def test_duplicates_tell_copies_of_events_from_rows_of_calls(ran):
    names = [event.name for event in traffic.events_of_rows([*ROWS, *RUNS, REACHED])]
    resent = sum(name == "Azure OpenAI Tokens" for name in names[::6])
    rows = sum(name == "Azure OpenAI Tokens" for name in names)
    found = {
        name: sum(int(row[name] or 0) for row in ran["duplicates"])
        for name in ran["duplicates"][0]
        if name != "Day"
    }

    assert (found["Resent"], found["Rows"], found["Events"]) == (resent, rows, rows + resent)
    assert (found["Calls"], found["Disputed"], found["Sampled"]) == (
        len(CALLS),
        sum(call.conflict for call in CALLS),
        0,
    )


def test_lag_knows_every_call(ran):
    whole = [call.charge for call in CALLS if call.charge.occurred_at and call.charge.enqueued_at]
    worst = max(int(each.enqueued_at.timestamp()) - int(each.occurred_at.timestamp()) for each in whole)

    assert sum(row["Calls"] for row in ran["lag"]) == sum(
        call.charge.enqueued_at is not None for call in CALLS
    )
    assert max(row["ToHubWorst"] for row in ran["lag"]) == worst
    assert all(row["ToHereMedian"] <= row["ToHere95"] <= row["ToHereWorst"] for row in ran["lag"])


def test_silence_is_the_hour_the_gateway_worked_alone(either):
    found = {row["Hour"]: (row["Served"], row["Charges"]) for row in either["silence"]}

    assert found.pop("2026-11-01T03:00:00") == (4, 0)
    assert all(hour.startswith("2026-11-12") for hour in found), (
        "only the lost calls had an hour for themselves"
    )


def test_the_reconciliation_gap_is_what_nobody_billed(either):
    missing = {row["Day"][:10]: row["Missing"] for row in either["reconciliation-gap"] if row["Missing"]}
    [day] = [row for row in either["reconciliation-gap"] if row["Day"].startswith("2026-11-12")]

    assert missing == {"2026-11-01": 4, "2026-11-12": 5}
    assert float(day["GapPercent"]) == pytest.approx(100 * 5 / day["Served"], abs=0.001)


def test_the_token_gap_is_what_the_gateway_counted_and_we_did_not(ran_there):
    [row] = ran_there["token-gap"]

    assert (row["NotBilled"], row["Different"]) == (5, 0)
    assert int(row["LoggedTokens"]) - int(row["BilledTokens"]) == 250


def test_budget_burn_down_takes_what_the_report_says(ran):
    [row] = ran["budget-burn-down"]
    spent = _report("cost-centre")["CC-100",][3]

    assert Decimal(row["Spent"]) == spent
    assert float(row["SpentPercent"]) == round(100 * float(spent) / 500, 1)
    assert 60 < float(row["MonthPercent"]) < 70, "noon of the 20th"
    assert float(row["Forecast"]) == pytest.approx(float(spent) / (19.5 / 30), abs=0.01)


def test_a_reached_budget_is_told_as_it_was_sent(ran):
    [row] = ran["budget-reached"]

    assert (row["CostCentre"], row["Period"], row["Percent"], row["Currency"]) == (
        "CC-100",
        "2026-11",
        80,
        "USD",
    )
    assert (Decimal(row["Spent"]), Decimal(row["Amount"])) == (REACHED.spent, REACHED.amount)


def test_the_workers_log_tells_backlog_and_gaps(either):
    assert {row["Event"]: row["Lines"] for row in either["worker-log"]} == {
        "outbox.backlog": 2,
        "batch.gap": 2,
        "batch.committed": 2,
        "settle.done": 1,
    }
    told = [
        (row["Hour"][11:13], row["WorstMinutes"], row["Reports"], row["OfTrouble"])
        for row in either["backlog"]
    ]
    assert told == [("10", "10.0", 2, 2), ("11", None, 1, 0)]
    [gap] = either["gaps"]
    assert (gap["First"], gap["Last"], gap["Events"], gap["Seen"][11:13]) == (12, 14, 3, "09")


def test_the_workers_health_is_what_its_lines_say(either):
    calm, bad = either["pipeline-health"]

    assert [row["Hour"][11:13] for row in (calm, bad)] == ["09", "10"]
    assert (calm["Events"], calm["Charges"], calm["Rejects"], float(calm["LagWorst"])) == (4, 4, 0, 3.0)
    assert (bad["Events"], bad["Charges"], bad["Rejects"], float(bad["LagWorst"])) == (4, 1, 3, 90.0)
    assert float(bad["EstimatedPercent"]) == 0
    assert {row["Reason"]: (int(row["Rejects"]), row["Journals"]) for row in either["rejects"]} == {
        "not_json": (2, 1),
        "empty": (1, 1),
    }
