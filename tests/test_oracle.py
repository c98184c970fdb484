"""The oracle itself, against numbers worked out by hand; the arithmetic stands beside each."""

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import pytest

from tests.support import oracle
from tests.support.calls import Answer, Call, Counts, Message, ToolCall
from tests.support.render import as_captured
from tests.support.sample_calls import CALLERS, KEY_ROTATION, PRICE_CHANGE, ROUTES, a_call

RATES = oracle.sample_rates()
TUESDAY = datetime(2026, 11, 3, 10, tzinfo=UTC)
O200K, CL100K = "o200k_base", "cl100k_base"


def a_chat(
    route: str = "chat", caller: str = "claims", at: datetime = TUESDAY, number: int = 1, **told
) -> Call:
    return a_call(CALLERS[caller], ROUTES[route], at, number, **told)


@pytest.mark.parametrize(
    ("call", "cost"),
    [
        # 1,000 uncached x 2.50/M + 500 x 10.00/M = 0.0025 + 0.005
        (a_chat(usage=Counts(prompt=1_000, completion=500)), "0.0075"),
        # (10,000 - 8,192) x 2.50/M + 8,192 x 1.25/M + 100 x 10.00/M = 0.00452 + 0.01024 + 0.001
        (a_chat(usage=Counts(prompt=10_000, completion=100, cached=8_192)), "0.01576"),
        # 4,000 x 0.25/M + 3,000 x 2.00/M: the 2,560 reasoning tokens lie inside the 3,000
        (a_chat("thinker", usage=Counts(prompt=4_000, completion=3_000, reasoning=2_560)), "0.007"),
        # 40,000 x 0.00275/K + 1,000 x 0.011/K = 0.11 + 0.011
        (a_chat("chat-swc", usage=Counts(prompt=40_000, completion=1_000)), "0.121"),
        # 9 x 0.0015/K + 4 x 0.002/K = 0.0000135 + 0.000008
        (a_chat("instruct", operation="completions", usage=Counts(prompt=9, completion=4)), "0.0000215"),
        # 1,500,000 x 0.02/M
        (a_chat("embed", operation="embeddings", usage=Counts(prompt=1_500_000)), "0.03"),
    ],
    ids=["chat", "cached prompt", "reasoning", "data zone per thousand", "legacy completion", "embedding"],
)
def test_a_reported_usage_times_its_prices(call, cost):
    assert oracle.expected_cost(call, RATES) == Fraction(cost)


def test_a_million_small_calls_cost_what_their_tokens_cost():
    call = a_chat("mini", usage=Counts(prompt=37))
    each = oracle.expected_cost(call, RATES)

    assert each == Fraction("0.00000555")
    # 1,000,000 x 37 x 0.15 / 1,000,000 = 5.55; rounded call by call to 6 decimals it would be 6.00.
    assert 1_000_000 * each == Fraction("5.55")


def test_a_call_is_billed_once_and_a_bill_adds_up():
    one, two = (a_chat(number=number, usage=Counts(prompt=1_000, completion=500)) for number in (1, 2))

    assert oracle.bill([one, two, one], RATES) == {("sub-claims", one.app_id, "chat"): Fraction("0.015")}


def test_a_price_holds_from_its_instant_on():
    usage = Counts(prompt=100_000, completion=10_000)
    before, after = (
        oracle.expected_cost(a_chat("mini", at=PRICE_CHANGE - early, usage=usage), RATES)
        for early in (timedelta(microseconds=1), timedelta(0))
    )

    # 100,000 x 0.15/M + 10,000 x 0.60/M = 0.021; from noon on 100,000 x 0.12/M + 10,000 x 0.48/M = 0.0168
    assert (before, after) == (Fraction("0.021"), Fraction("0.0168"))


# ---- counting


@pytest.mark.parametrize(
    ("text", "o200k", "cl100k"),
    [
        ("", 0, 0),
        ("hello world", 2, 2),
        ("What is the capital of France?", 7, 7),
        ("Привет, 世界! 👋", 7, 11),
    ],
)
def test_tokens_of_known_texts(text, o200k, cl100k):
    assert (oracle.tokens(text, O200K), oracle.tokens(text, CL100K)) == (o200k, cl100k)


def test_special_tokens_are_what_somebody_typed():
    assert oracle.tokens("hi <|endoftext|> there <|im_start|>", O200K) == 15


@pytest.mark.parametrize(
    ("model", "encoding"),
    [
        ("gpt-4o-2024-11-20", O200K),
        ("gpt-4.1-mini", O200K),
        ("gpt-5-mini-2025-08-07", O200K),
        ("gpt-4-0613", CL100K),
        ("gpt-35-turbo-instruct", CL100K),
        ("text-embedding-3-small", CL100K),
    ],
)
def test_each_model_has_its_vocabulary(model, encoding):
    assert oracle.encoding_of(model) == encoding


@pytest.mark.parametrize(
    ("end", "completion"), [("stop", 3), ("length", 2), (None, 2)], ids=["ended", "ran out", "aborted"]
)
def test_an_uncounted_chat_is_counted_by_azures_rules(end, completion):
    asked = (Message(role="system", text="hello world"), Message(text="What is the capital of France?"))
    call = a_chat(
        messages=asked, answers=(Answer(text="hello world", finish_reason=end),), usage_visible=False
    )

    # 3 + (3 + 1 + 2) + (3 + 1 + 7) = 20 asked; 2 answered, and one for an end of its own
    assert oracle.counted(call) == Counts(prompt=20, completion=completion, cached=None)
    # 20 x 2.50/M + 3 x 10.00/M = 0.00005 + 0.00003
    assert end != "stop" or oracle.expected_cost(call, RATES) == Fraction("0.00008")


def test_every_choice_is_counted_and_the_prompt_once():
    answers = (Answer(text="hello world"), Answer(text="hello"))
    call = a_chat(messages=(Message(text="hello world"),), answers=answers, usage_visible=False)

    # 3 + (3 + 1 + 2) = 9; (2 + 1) + (1 + 1) = 5
    assert oracle.counted(call) == Counts(prompt=9, completion=5, cached=None)


def test_older_operations_have_no_frame():
    completion = a_chat(
        "instruct", operation="completions", prompt="hello world", answers=(Answer(text=" Bonjour"),)
    )
    embedding = a_chat("embed", operation="embeddings", inputs=("hello world", "hello world"))

    assert oracle.counted(completion) == Counts(prompt=2, completion=2, cached=None)
    assert oracle.counted(embedding) == Counts(prompt=4, cached=None)


@pytest.mark.parametrize(
    "call",
    [
        a_chat("thinker"),
        a_chat(answers=(Answer(tool_calls=(ToolCall("find", "{}"),), finish_reason="tool_calls"),)),
        a_chat(answers=(Answer(refusal="No."),)),
        a_chat(answers=(Answer(text="So", finish_reason="content_filter"),)),
    ],
    ids=["a model that reasons", "a tool call", "a refusal", "a filtered answer"],
)
def test_what_plain_rules_cannot_count_is_refused_not_guessed(call):
    with pytest.raises(oracle.NotCountable):
        oracle.expected_cost(replace(call, usage_visible=False), RATES)


# ---- who and where


@pytest.mark.parametrize("early", [timedelta(microseconds=1), timedelta(0)], ids=["before", "after"])
def test_both_keys_of_a_rotation_are_one_subscription(early):
    call = as_captured(a_chat("mini", "shop", KEY_ROTATION - early), "F1")

    assert call.subscription_id is None
    assert RATES.subscription(call) == "sub-shop"


def test_an_unknown_key_is_a_subscription_of_its_own():
    # echo -n 0a1b2c3d4e5f60718293a4b5c6d7e8f9 | sha256sum | cut -c1-32
    call = replace(as_captured(a_chat(), "F1"), subscription_key="0a1b2c3d4e5f60718293a4b5c6d7e8f9")

    assert RATES.subscription(call) == "key-435cdbd557a00db74aad01efa3c83ef7"


def test_a_format_without_deployment_is_priced_by_the_defaults():
    usage = Counts(prompt=1_000, completion=500)
    by_model = as_captured(a_chat("mini", "shop", usage=usage), "F1")
    by_subscription = as_captured(a_chat("chat", "lab", usage=usage), "F4")

    # 1,000 x 0.15/M + 500 x 0.60/M; 1,000 x 2.50/M + 500 x 10.00/M
    assert oracle.expected_cost(by_model, RATES) == Fraction("0.00045")
    assert oracle.expected_cost(by_subscription, RATES) == Fraction("0.0075")
    assert [RATES.deployment(call) for call in (by_model, by_subscription)] == [None, "chat"]


def test_a_count_without_its_cached_share_is_priced_uncached():
    call = as_captured(a_chat(usage=Counts(prompt=2_000, completion=0, cached=1_024)), "F5")

    assert oracle.expected_cost(call, RATES) == Fraction("0.005")  # 2,000 x 2.50/M


@pytest.mark.parametrize(
    "call",
    [
        a_chat(status=429, error="429"),
        a_chat(status=400, error="content_filter"),
        replace(a_chat(usage=Counts(prompt=1)), deployment="gone"),
        a_chat(usage=Counts(prompt=1), at=datetime(2025, 12, 31, tzinfo=UTC)),
        as_captured(a_chat("chat", "shop", usage=Counts(prompt=1)), "F4"),
        as_captured(a_chat("mini", "lab", usage=Counts(prompt=1)), "F1"),
    ],
    ids=[
        "throttled",
        "filtered",
        "unknown deployment",
        "before the table",
        "no model",
        "another model than assumed",
    ],
)
def test_unknown_is_none_and_never_zero(call):
    assert oracle.expected_cost(call, RATES) is None
    assert oracle.bill([call], RATES) == {}


def test_the_oracle_knows_nothing_of_the_worker():
    """A mistake that both share would go unseen."""
    told = (
        "import sys, tests.support.strategies; print([m for m in sys.modules if m.startswith('chargeback')])"
    )
    here = Path(__file__).parents[1]
    seen = subprocess.run([sys.executable, "-c", told], cwd=here, capture_output=True, text=True, check=True)

    assert seen.stdout.strip() == "[]"
