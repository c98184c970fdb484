"""The sample week and the published schema: what the demo, the docs and other gateways rely on."""

import importlib.util
import json
import sys
from collections import Counter
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings

from chargeback.charge import Charge
from chargeback.facts import OPERATIONS as OPERATION_WORDS
from chargeback.formats import own
from chargeback.formats.fields import Fields
from chargeback.pipeline import Context
from chargeback.privacy import Privacy
from chargeback.replaying import without_ledger
from chargeback.salvage import Decoded
from chargeback.sources.capture_files import find
from tests.support import oracle, strategies
from tests.support.render import as_captured, render, v1_identity
from tests.support.sample_calls import (
    CALLERS,
    KEY_ROTATION,
    MONDAY,
    ROUTES,
    a_call,
    captured,
    made_up_key,
    sample_calls,
)

ROOT = Path(__file__).parents[1]
EVENTS = ROOT / "samples" / "events"
OPERATIONS = ROOT / "samples" / "operations"
SCHEMA = json.loads((ROOT / "docs" / "schemas" / "event-v1.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
V1_FILES = ("v1.jsonl", "v1-parts.jsonl")


@pytest.fixture(scope="module")
def make_samples():
    spec = importlib.util.spec_from_file_location("make_samples", ROOT / "scripts" / "make_samples.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def lines(name):
    return [json.loads(line) for line in (EVENTS / name).read_text(encoding="utf-8").splitlines()]


def events(name):
    """The events of a file as objects; None for the one that is no JSON, and for the one that was cut."""
    for line in lines(name):
        body = line.get("body", line)
        try:
            yield json.loads(body) if isinstance(body, str) else body
        except json.JSONDecodeError:
            yield None


# ---- the files


def test_the_files_are_what_the_script_writes(make_samples):
    written = make_samples.sample_files()

    assert {path.name for path in EVENTS.iterdir()} == written.keys()
    for name, text in written.items():
        assert (EVENTS / name).read_text(encoding="utf-8") == text, (
            "run scripts/make_samples.py --force, look at the diff"
        )


def test_the_files_of_operations_are_what_the_script_writes(make_samples):
    written = make_samples.operation_files()

    assert {path.name: path.read_text("utf-8") for path in OPERATIONS.iterdir()} == written


def test_the_samples_have_every_format_and_every_operation():
    files = find([path for folder in (EVENTS, OPERATIONS) for path in sorted(folder.iterdir())])
    rows, _ = without_ledger(files, Context(), lambda _: None)
    charges = [row for row in rows if isinstance(row, Charge)]

    assert {charge.source_format for charge in charges} == {"v1", *(f"F{number}" for number in range(1, 18))}
    assert {charge.operation for charge in charges} == set(OPERATION_WORDS)


def test_the_script_replaces_nothing_unless_forced(make_samples, monkeypatch, capsys):
    before = {path: path.stat().st_mtime_ns for path in EVENTS.iterdir()}
    monkeypatch.setattr(sys, "argv", ["make_samples.py"])

    assert make_samples.main() == 1
    assert "--force" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in EVENTS.iterdir()} == before


def test_the_readme_tells_of_every_file():
    readme = (ROOT / "samples" / "README.md").read_text(encoding="utf-8")

    told = [f"`{path.parent.name}/{path.name}`" for path in (ROOT / "samples").glob("*/*.jsonl")]
    assert [name for name in told if name not in readme] == []


def test_one_event_is_unreadable_and_one_is_cut():
    broken = Counter(
        name
        for name in ("v1.jsonl", "v1-parts.jsonl", "f1.jsonl", "f2.jsonl", "f4.jsonl", "f5.jsonl")
        for event in events(name)
        if event is None
    )

    assert broken == {"f1.jsonl": 2}


def test_the_week_has_what_its_readme_promises():
    everything = [each for calls in captured().values() for each in calls]
    calls = [each.call for each in everything]
    usages = [call.usage for call in calls if call.usage]

    assert 60 <= len(calls) <= 150
    assert {call.subscription_id for call in calls} == {caller.subscription_id for caller in CALLERS.values()}
    assert len({call.app_id for call in calls if call.app_id}) == 3
    assert {call.model for call in calls} == {route.model for route in ROUTES.values()}
    assert {call.operation for call in calls} == {"chat", "completions", "embeddings"}
    assert {(call.stream, call.usage_visible) for call in calls} >= {(True, True), (True, False)}
    assert {(call.status, call.error) for call in calls} == {
        (200, None),
        (400, "content_filter"),
        (429, "429"),
    }
    assert {each.repeat for each in everything} == {None, "delivery", "event"}
    assert any(call.n == 2 for call in calls)
    assert any(answer.tool_calls for call in calls for answer in call.answers)
    assert any(usage.cached for usage in usages)
    assert any(usage.reasoning for usage in usages)
    assert {call.subscription_key for call in calls} >= {
        made_up_key("sub-shop primary"),
        made_up_key("sub-shop secondary"),
    }


def test_no_key_stands_beside_an_id_that_makes_it_needless():
    keys = {caller.key(at) for caller in CALLERS.values() for at in (MONDAY, KEY_ROTATION)}

    assert [
        name for name in V1_FILES for key in keys if key in (EVENTS / name).read_text(encoding="utf-8")
    ] == []


# ---- the bill


@pytest.mark.parametrize("at", [MONDAY, KEY_ROTATION], ids=["before", "after the rotation"])
@pytest.mark.parametrize("caller", CALLERS.values(), ids=CALLERS)
def test_every_key_belongs_to_its_caller_in_the_rate_table(caller, at):
    call = as_captured(a_call(caller, ROUTES["mini"], at, 1), "F1")

    assert call.subscription_id is None
    assert oracle.sample_rates().subscription(call) == caller.subscription_id


def test_only_refused_calls_have_no_price():
    unpriced = [
        call.status for call in sample_calls() if oracle.expected_cost(call, oracle.sample_rates()) is None
    ]

    assert sorted(unpriced) == [200, 400, 429, 429], "the 200 is F8's: it tells a total only"


def test_the_bill_is_worth_looking_at():
    bill = oracle.bill(sample_calls(), oracle.sample_rates())

    assert len(bill) >= 12
    assert 5 < sum(bill.values()) < 50


# ---- the schema


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", V1_FILES)
def test_the_samples_obey_the_schema(name):
    for number, event in enumerate(events(name), 1):
        assert [error.message for error in VALIDATOR.iter_errors(event)] == [], f"{name} line {number}"


@settings(max_examples=20, deadline=None)
@given(call=strategies.calls("v1"), style=strategies.styles())
def test_whatever_we_render_obeys_the_schema(call, style):
    for body in (*render(call, "v1", style), *render(call, "v1-parts", style), v1_identity(call, style)):
        VALIDATOR.validate(json.loads(body))


def without(event, *names):
    return {name: value for name, value in event.items() if name not in names}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda usage, _: without(usage, "request_id"),
        lambda usage, _: without(usage, "usage"),
        lambda usage, _: without(usage, "subscription_id"),
        lambda usage, _: usage | {"usage": {}},
        lambda usage, _: usage | {"subscripton_id": "sub-shop"},
        lambda usage, _: usage | {"subscription_key": "0a1b"},
        lambda usage, _: usage | {"v": 2},
        lambda usage, _: usage | {"kind": "identity"},
        lambda usage, _: usage | {"time": "11/18/2026 9:18:11 AM"},
        lambda usage, _: usage | {"data": "AA=="},
        lambda usage, _: usage | {"status": "200"},
        lambda _, part: without(part, "bodies"),
        lambda _, part: part | {"data": "not base64"},
        lambda _, part: part | {"part": -1},
        lambda _, part: part | {"body": "answer"},
    ],
    ids=[
        "no request id",
        "usage without counts",
        "nobody named",
        "empty usage",
        "a misspelt member",
        "a key",
        "another version",
        "identity with counts",
        "a time without zone",
        "usage with a slice",
        "a number as text",
        "part of unknown bodies",
        "no base64",
        "a negative number",
        "an unknown body",
    ],
)
def test_the_schema_refuses(spoil):
    usage, part = (next(event for event in events(name)) for name in V1_FILES)
    VALIDATOR.validate(usage)
    VALIDATOR.validate(part)

    assert not VALIDATOR.is_valid(spoil(usage, part))


class _Asked(Fields):
    """Remembers which members the reader looks at."""

    names_asked: frozenset[str] = frozenset()

    def whole(self, name):
        self.names_asked |= {name}
        return super().whole(name)

    def raw(self, name):
        self.names_asked |= {name}
        return super().raw(name)

    def text(self, *names):
        self.names_asked |= set(names)
        return super().text(*names)


def test_schema_and_reader_know_the_same_members():
    asked = set()
    for event in (*events("v1.jsonl"), *events("v1-parts.jsonl")):
        fields = _Asked(Decoded(event))
        own.read(fields, Privacy())
        asked |= fields.names_asked

    assert asked == SCHEMA["properties"].keys()
