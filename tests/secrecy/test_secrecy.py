"""Canaries as prompt, answer, subscription key and token, in every format, whole, cut and mangled, through every host.

They may be in two places only, both in the customer's own storage: pending parts and dead letters.
"""

import base64
import json
import random
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chargeback import wiring
from chargeback.cli.commands import app
from chargeback.errors import ChargebackError
from tests.support import oracle
from tests.support.azure_bodies import Style
from tests.support.calls import FORMATS, Answer, Counts, Message, ToolCall
from tests.support.events import NOON
from tests.support.functions_worker import event_hub_batch, functions_worker, timer_tick
from tests.support.ingestion import IngestionEndpoint
from tests.support.render import can_render, render
from tests.support.sample_calls import CALLERS, ROUTES, a_call
from tests.support.strategies import nasty_cuts

ROOT = Path(__file__).parents[2]
PROMPT, ANSWER, TOKEN = "canary-prompt-5f0c9e", "canary-answer-77b1d2", "canary-token-e3a940"
KEY = "c0ffee5ec2e7c0ffee5ec2e7c0ffee01"
CANARIES = (PROMPT, ANSWER, TOKEN, KEY)
ALLOWED = ("pending/", "dead-letters/")


def forms(canary):
    """How a canary may look on the way: as it is, and inside base64 at each of the three alignments."""
    inner = [base64.b64encode(b"x" * shift + canary.encode())[4:-4] for shift in range(3)]
    return [canary.encode(), canary.upper().encode(), *inner]


def calls():
    """Every way a call's bodies can hold text: plain, streamed, tools, completions, refusals; counted or not."""
    text = {"messages": (Message(role="system", text=TOKEN), Message(text=f"{PROMPT} \U0001f642 {PROMPT}"))}
    answers = [
        Answer(text=f"{ANSWER}, {ANSWER}"),
        Answer(tool_calls=(ToolCall("find", json.dumps({"query": ANSWER})),), finish_reason="tool_calls"),
        Answer(refusal=ANSWER),
        Answer(text=ANSWER, finish_reason=None),
    ]
    usage = {"usage": Counts(prompt=100, completion=20)}
    number = 0
    for answer in answers:
        for told in ({}, {"stream": True}, {"usage_visible": False}, {"status": 429, "error": "rate_limit"}):
            number += 1
            yield a_call(
                CALLERS["shop"], ROUTES["mini"], NOON, number, **usage, **text, answers=(answer,), **told
            )
    plain = {"operation": "completions", "prompt": PROMPT, "answers": (Answer(text=ANSWER),)}
    yield a_call(CALLERS["shop"], ROUTES["instruct"], NOON, 90, **usage, **plain)
    yield a_call(
        CALLERS["shop"], ROUTES["embed"], NOON, 91, operation="embeddings", inputs=(PROMPT,), answers=(),
        usage=Counts(prompt=9, cached=None),
    )  # fmt: skip


def events():
    """All formats' events about these calls, then the same ones cut and mangled; the key is our own."""
    from dataclasses import replace

    whole = [
        body
        for form in FORMATS
        for call in calls()
        if can_render(call, form)
        for body in render(replace(call, subscription_key=KEY), form, Style(slice_size=300))
    ]
    dice = random.Random(5)
    cut = [body[:at] for body in dice.sample(whole, 60) for at in dice.sample(nasty_cuts(body) or [1], 1)]
    mangled = [body for each in dice.sample(whole, 120) for body in _mangled(each, dice)]
    strangers = [
        json.dumps({"v": 1, "kind": PROMPT, "request_id": TOKEN, "time": ANSWER}).encode(),
        json.dumps({"v": PROMPT, "kind": "usage", "usage": {"prompt_tokens": TOKEN}}).encode(),
        json.dumps({"Authorization": f"Bearer {TOKEN}", "messages": [PROMPT]}).encode(),
        f"{PROMPT} is no JSON".encode(),
    ]
    return [*whole, *cut, *mangled, *strangers]


_NAMES = (
    "id",
    "subscription",
    "app",
    "tenant",
    "name",
    "operation",
    "model",
    "account",
    "deployment",
    "key",
    "product",
)
_NAMES += ("region", "backend", "version", "tier", "host", "url")


def _mangled(body, dice):
    """One member of the event holds another kind of value: an object, an array or the text of a body."""
    try:
        event = json.loads(body)
    except ValueError:
        return
    # What names a caller or a resource is not a place for text: whoever writes a prompt there has named it.
    names = [
        name for name in event if isinstance(event, dict) and not any(word in name.lower() for word in _NAMES)
    ]
    if names:
        wrong = dice.choice(
            [{PROMPT: ANSWER}, [PROMPT], f"{PROMPT}\x00{ANSWER}", {"error": {"message": TOKEN}}]
        )
        yield json.dumps({**event, dice.choice(names): wrong}).encode()


@pytest.fixture
def endpoint():
    with IngestionEndpoint() as running:
        yield running


@pytest.fixture
def environment(tmp_path, endpoint, monkeypatch):
    told = {
        "CHARGEBACK_LEDGER": str(tmp_path / "ledger"),
        "CHARGEBACK_RATES": str(oracle.SAMPLE_RATES),
        "CHARGEBACK_PSEUDONYM_KEY": TOKEN,
        "CHARGEBACK_LOG_LEVEL": "DEBUG",
        "APPLICATIONINSIGHTS_CONNECTION_STRING": endpoint.connection_string,
    }
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    wiring.settings.cache_clear()
    yield told
    wiring.settings.cache_clear()


def leaks(found):
    """Name the places that hold a canary."""
    return sorted(
        {
            f"{place}: {canary}"
            for place, data in found
            for canary in CANARIES
            for form in forms(canary)
            if form in data
        }
    )


def stored(folder):
    """The whole ledger but the two places that may hold text, and the names of all its files."""
    files = [file for file in Path(folder).rglob("*") if file.is_file()]
    for file in files:
        place = file.relative_to(folder).as_posix()
        yield place, place.encode()
        if not place.startswith(ALLOWED):
            yield place, file.read_bytes()


def sent(endpoint):
    return [("telemetry", json.dumps(endpoint.items).encode())]


def ran(*words):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exception is None or isinstance(result.exception, SystemExit | ChargebackError), (
        result.exception
    )
    error = str(result.exception or "")
    return f"chargeback {words[0]}", (result.output + error).encode()


def test_the_canaries_are_really_in_what_goes_in():
    bodies = b"\n".join(events())

    assert {canary for canary in CANARIES if canary.encode() in bodies} == set(CANARIES)
    assert any(form in bodies for form in forms(PROMPT)[2:]), "also inside base64"


def test_no_canary_leaves_through_replay_reports_and_the_command_line(tmp_path, environment, endpoint):
    file = tmp_path / "events.jsonl"
    lines = [{"body": body.decode("utf-8", "surrogateescape")} for body in events()]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    ledger = environment["CHARGEBACK_LEDGER"]
    out = tmp_path / "out"
    out.mkdir()

    outputs = [
        ran("replay", file, "--ledger", ledger, "--telemetry"),
        ran("replay", file, "--format", "json"),
        ran("replay", file, "--format", "csv"),
        ran("dead-letters", "list"),
        ran("dead-letters", "requeue", "--all"),
        ran("report"),
        ran("report", "--format", "json"),
        ran("report", "--format", "csv"),
        ran("report", "--html", out / "report.html"),
        ran("report", "--focus", out / "focus.csv"),
        ran("statements", "2026-11", "--out", out / "statements"),
        ran("repair"),
        ran("doctor"),
    ]

    assert {file.name for file in out.iterdir()} >= {"report.html", "focus.csv"}
    assert leaks([*outputs, *stored(ledger), *stored(out), *sent(endpoint)]) == []
    letters = b"".join(
        file.read_bytes() for file in (Path(ledger) / "dead-letters").rglob("*") if file.is_file()
    )
    assert PROMPT.encode() in letters, "dead letters are where the text of rejected events is kept"


@pytest.mark.worker
def test_no_canary_leaves_through_the_functions_worker(tmp_path, environment, endpoint):
    bodies = events()
    env = {**environment, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "PYTHON_ENABLE_DEBUG_LOGGING": "1"}

    with functions_worker(ROOT, env) as worker:
        results = [
            worker.invoke("bill_usage", event_hub_batch(bodies[at : at + 300], first_sequence_number=at))
            for at in range(0, len(bodies), 300)
        ]
        results.append(worker.invoke("settle", timer_tick()))
        told = worker.printed() + json.dumps(
            [(line.message, line.fields) for line in worker.logs], default=str
        )
    assert all(result.ok for result in results), [result.error for result in results]
    errors = "".join(result.error + result.stack for result in results)

    found = [("log", told.encode()), ("errors", errors.encode()), *stored(environment["CHARGEBACK_LEDGER"])]
    assert leaks([*found, *sent(endpoint)]) == []
