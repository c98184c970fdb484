"""Queries written for the published samples, rewritten from their description, find what they need in our events.

Here they are worked out by hand, in a line of Python each; where ``make kql`` has run, DuckDB runs them too.
"""

import os
from collections import defaultdict
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from chargeback.charge import Charge
from chargeback.custom_events import ALIAS_EVENT, CHARGE_EVENT, IDENTITY_EVENT, custom_event
from chargeback.journal.winner import calls
from scripts import kql
from tests.kql import traffic
from tests.support.sample_calls import CALLERS, KEY_ROTATION, MONDAY

PUBLISHED = {
    file.stem: file.read_text("utf-8") for file in (Path(__file__).parent / "published").glob("*.kql")
}
WEEK = [row for row in traffic.sample_week() if not (isinstance(row, Charge) and row.duplicate_of)]
ENGINE = kql.missing() or (None if os.environ.get("CHARGEBACK_KQL") else "run `make kql`")
COUNTS = ("PromptTokens", "CompletionTokens", "TotalTokens")


def number(value):
    """``toint``: the empty text is null, which ``sum`` skips."""
    return int(value) if value else 0


def by_hand(name, events):
    older = [each for each in events if "azure openai tokens" in each.name.lower()]
    second = [each for each in events if each.name == "Function called with Chargeback Data"]
    theirs = [
        (each.properties, each.occurred_at.replace(minute=0, second=0, microsecond=0)) for each in second
    ]
    if name == "usage-of-a-key":
        mine = [each.properties for each in older if "sub-shop" in each.properties["AppKey"].lower()]
        return [tuple(sum(number(each[count]) for each in mine) for count in COUNTS)]
    if name == "usage-by-key":
        sums = defaultdict(lambda: [0, 0, 0])
        for each in older:
            for place, count in enumerate(COUNTS):
                sums[each.properties["AppKey"]][place] += number(each.properties[count])
        return sorted((key, *found, f"{key[:8]}XXXX") for key, found in sums.items())
    if name == "usage-by-subscription-and-hour":
        sums = defaultdict(lambda: [0, 0, 0])
        for told, hour in theirs:
            for place, count in enumerate(("promptTokens", "completionTokens", "totalTokens")):
                sums[told["appSubscriptionKey"], hour][place] += number(told[count])
        return sorted((key, hour.isoformat()[:19], *found) for (key, hour), found in sums.items())
    names = (
        "timestamp",
        "appSubscriptionKey",
        "promptTokens",
        "completionTokens",
        "totalTokens",
        "deploymentId",
    )
    return sorted(tuple(told.get(each) for each in names) for told, _ in theirs)


def by_engine(name, events):
    answer = kql.execute("component", traffic.event_tables(events), {name: PUBLISHED[name]}, traffic.NOW)[
        name
    ]
    assert "error" not in answer, answer["error"]
    order = {"usage-by-key": ("Key", "Prompt", "Completion", "Total", "Label")}.get(name, answer["columns"])
    rows = [[row[answer["columns"].index(column)] for column in order] for row in answer["rows"]]
    return sorted(
        tuple(value if isinstance(value, str) and not value.isdigit() else _plain(value) for value in row)
        for row in rows
    )


def _plain(value):
    return value if value is None else int(value)


ANSWERS = {"by hand": by_hand, **({} if ENGINE else {"by DuckDB": by_engine})}


@pytest.fixture(params=ANSWERS.values(), ids=ANSWERS)
def answer(request):
    return request.param


def sums_of(charges):
    return tuple(
        sum(getattr(each, name) or 0 for each in charges)
        for name in ("prompt_tokens", "completion_tokens", "total_tokens")
    )


def once():
    """The sample week's charges, each call once: what telemetry holds while nothing is delivered twice."""
    seen = {row.charge_id: row for row in reversed(WEEK) if isinstance(row, Charge)}
    return [*seen.values()]


def test_the_older_sample_finds_every_call_of_a_key(answer):
    charges = once()
    shop = [each for each in charges if each.subscription_id == "sub-shop"]

    assert answer("usage-of-a-key", traffic.events_of_rows(charges)) == [sums_of(shop)]


def test_the_older_sample_tells_clients_apart_by_eight_characters(answer):
    charges = once()
    found = {row[0]: row[1:] for row in answer("usage-by-key", traffic.events_of_rows(charges))}

    for key, (*sums, label) in found.items():
        assert tuple(sums) == sums_of(
            [each for each in charges if custom_event(each).properties["AppKey"] == key]
        )
        assert label == f"{key[:8]}XXXX"
    assert len({row[-1] for row in found.values()}) == len(found)


def test_without_the_alias_the_second_sample_finds_nothing(answer):
    assert answer("usage-by-subscription-and-hour", traffic.events_of_rows(once())) == []


def test_the_second_samples_chart_shows_every_token_at_its_hour(answer):
    charges = once()
    rows = answer("usage-by-subscription-and-hour", traffic.with_aliases(traffic.events_of_rows(charges)))

    assert tuple(sum(row[place] for row in rows) for place in (2, 3, 4)) == sums_of(charges)
    told = {(row[0], row[1]) for row in rows}
    assert told == {
        (
            custom_event(each).properties["AppKey"],
            at.replace(minute=0, second=0, microsecond=0).isoformat()[:19],
        )
        for each in charges
        if (at := each.occurred_at or each.enqueued_at)
    }


def test_the_second_samples_columns_are_all_there(answer):
    known = (
        "subscription_id",
        "deployment",
        "occurred_at",
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
    )
    charges = [each for each in once() if all(getattr(each, name) is not None for name in known)]
    rows = answer("columns-of-the-second-sample", traffic.with_aliases(traffic.events_of_rows(charges)))

    assert len(rows) == len(charges)
    assert all(value not in (None, "") for row in rows for value in row)


def test_the_alias_does_not_disturb_the_older_sample(answer):
    plain = traffic.events_of_rows(once())

    assert answer("usage-by-key", traffic.with_aliases(plain)) == answer("usage-by-key", plain)


def test_an_event_of_unknown_usage_changes_no_old_sum(answer):
    charges = once()
    unknown = msgspec.structs.replace(
        charges[0], row_id="unknown", prompt_tokens=None, completion_tokens=None, total_tokens=None
    )
    events = traffic.events_of_rows(charges)

    assert answer("usage-by-key", [*events, custom_event(unknown)]) == answer("usage-by-key", events)


def test_the_published_queries_bill_a_repeated_call_twice_and_the_report_does_not(answer):
    """What docs/queries.md says they over-count: every further row of a call, and every event that arrived again."""
    [call, *_] = [
        each for each in once() if each.subscription_id == "sub-shop" and each.usage_source == "reported"
    ]
    again = msgspec.structs.replace(call, row_id=f"{call.row_id}-again", rank=f"9{call.rank[1:]}")
    events = traffic.events_of_rows([call, again])
    resent = [
        *events,
        msgspec.structs.replace(events[0], occurred_at=events[0].occurred_at + timedelta(seconds=1)),
    ]

    assert answer("usage-of-a-key", resent) == [tuple(3 * count for count in sums_of([call]))]
    assert [each.charge.total_tokens for each in calls([call, again])] == [call.total_tokens]


def test_no_property_of_any_event_holds_a_clear_key():
    keys = {caller.key(at) for caller in CALLERS.values() for at in (MONDAY, KEY_ROTATION)}
    told = "".join(str(each) for each in traffic.with_aliases(traffic.events_of_rows(WEEK)))

    assert not any(key in told for key in keys)


def test_only_charges_carry_a_name_that_the_older_queries_match():
    assert "Azure OpenAI Tokens" in CHARGE_EVENT
    assert not any("azure openai tokens" in name.lower() for name in (IDENTITY_EVENT, ALIAS_EVENT))
