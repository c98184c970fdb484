"""What a call costs, or why nobody can say."""

import ast
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chargeback.rating
from chargeback.facts import Facts
from chargeback.notes import NOTES
from chargeback.rates.load import parse
from chargeback.rating import MOST_TOKENS, REASONS, quantities, rate
from chargeback.usage import Usage
from tests.rates.tables import BASE, TABLE, changed

MAY = datetime(2026, 5, 1, tzinfo=UTC)
JANUARY = datetime(2026, 1, 15, tzinfo=UTC)
TICK = timedelta(microseconds=1)
MISSING = Usage(source="missing")


def rated(usage=None, facts=None, *, at=MAY, hub="hub", error=None, table=TABLE, **fields):
    defaults = {"account": "weu", "deployment": "mini", "operation": "chat", "http_status": 200}
    facts = facts or Facts(**{**defaults, **fields})
    return rate(usage or counts(10, 5), facts, table, at=at, event_hub=hub, error=error)


def counts(prompt, completion, *, source="reported", **others):
    return Usage(source=source, prompt_tokens=prompt, completion_tokens=completion, **others)


def bill(result):
    return {line.meter: (int(line.quantity), line.cost) for line in result.lines}


# ---- golden cases, computed by hand


def test_uncached_cached_and_output_are_three_lines():
    usage = counts(2006, 300, cached_tokens=1920, reasoning_tokens=256, total_tokens=2306)

    result = rated(usage, at=JANUARY)

    assert (result.rating, result.reason, result.notes) == ("priced", None, ())
    assert bill(result) == {
        "input_text": (86, Decimal("0.0000129")),
        "input_cached_text": (1920, Decimal("0.000144")),
        "output_text": (300, Decimal("0.00018")),
    }
    line = result.lines[0]
    assert (line.unit, line.price, line.per) == ("tokens", Decimal("0.15"), 1_000_000)
    assert line.rate_id == "gpt-4o-mini@2024-07-18|GlobalStandard|*|default|*|2026-01-01|input_text"


def test_the_route_is_told_as_the_table_has_it():
    result = rated(account="WEU", deployment="Mini", model="gpt-4o-mini-2024-07-18", region="elsewhere")

    assert (result.account, result.deployment, result.region) == ("weu", "mini", "westeurope")
    assert (result.model, result.deployment_type) == ("gpt-4o-mini@2024-07-18", "GlobalStandard")


def test_embeddings_cost_input_only():
    usage = Usage(source="reported", prompt_tokens=8, total_tokens=8)

    result = rated(usage, deployment="embed", operation="embeddings", model="text-embedding-3-small")

    assert bill(result) == {"input_text": (8, Decimal("0.00000016"))}
    assert result.notes == ()


def test_a_million_calls_of_37_tokens_at_15_cents_a_million_cost_5_dollars_55():
    line = rated(counts(37, 0), at=JANUARY).lines[0]

    assert line.cost * 1_000_000 == Decimal("5.55")
    assert sum([line.cost] * 1000) * 1000 == Decimal("5.55")


def test_an_answer_of_no_tokens_costs_nothing_and_is_priced():
    result = rated(counts(0, 0, total_tokens=0))

    assert (result.rating, result.lines) == ("priced", ())


def test_a_free_meter_has_a_line_that_costs_nothing():
    result = rated(counts(2000, 1, cached_tokens=1500), account="eus", deployment="chat")

    assert bill(result)["input_cached_text"] == (1500, Decimal(0))
    assert bill(result)["input_text"] == (500, Decimal("0.001719"))


def test_a_meter_may_cost_the_same_as_another():
    result = rated(counts(2000, 0, cached_tokens=1500), deployment="chat")

    assert {line.meter: line.price for line in result.lines} == {
        "input_text": Decimal("2.75"),
        "input_cached_text": Decimal("2.75"),
    }
    assert [line.rate_id.rpartition("|")[2] for line in result.lines] == ["input_text", "input_cached_text"]


def test_prices_per_thousand_and_per_million_stand_side_by_side():
    assert bill(rated(counts(1000, 1000))) == {
        "input_text": (1000, Decimal("0.00012")),
        "output_text": (1000, Decimal("0.00048")),
    }


CHANGE = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(("at", "cost"), [(CHANGE - TICK, "0.15"), (CHANGE, "0.12")])
def test_a_price_changes_at_its_instant(at, cost):
    assert rated(counts(1_000_000, 0), at=at).lines[0].cost == Decimal(cost)


@pytest.mark.parametrize(("prompt", "price"), [(272_000, "2.50"), (272_001, "5.00")])
def test_the_whole_call_moves_to_the_long_context_price(prompt, price):
    assert rated(counts(prompt, 0), deployment="long").lines[0].price == Decimal(price)


# ---- routes


@pytest.mark.parametrize(
    ("fields", "at", "reason"),
    [
        ({"deployment": None, "account": None}, MAY, "no_deployment"),
        ({"deployment": "mimi"}, MAY, "unknown_deployment"),
        ({"account": "swe"}, MAY, "unknown_deployment"),
        ({"deployment": "mimi", "account": None}, MAY, "unknown_deployment"),
        ({}, datetime(2026, 1, 1, tzinfo=UTC) - TICK, "unknown_deployment"),
        ({"account": "swe", "deployment": "chat"}, datetime(2026, 6, 1, tzinfo=UTC), "unknown_deployment"),
        ({"account": None, "deployment": "chat"}, MAY, "ambiguous_account"),
        ({"account": None, "deployment": "ptu"}, MAY, "ambiguous_account"),
        ({"account": None, "deployment": "mixed"}, MAY, "ambiguous_backend"),
        ({"service_tier": "scale"}, MAY, "unknown_service_tier"),
        ({"service_tier": "priority"}, MAY, "no_rate"),
        ({"account": "eus", "deployment": "ptu", "spillover_from": "ptu"}, MAY, "no_spillover_target"),
    ],
)
def test_a_call_without_one_certain_price_is_unpriced(fields, at, reason):
    result = rated(at=at, **fields)

    assert (result.rating, result.reason, result.lines) == ("unpriced", reason, ())
    assert reason in REASONS


def test_accounts_that_share_a_rate_need_not_be_told_apart():
    result = rated(account=None, deployment="mini")

    assert (result.rating, result.account, result.region) == ("priced", None, None)
    assert result.model == "gpt-4o-mini@2024-07-18"


def test_the_candidates_are_those_of_the_moment():
    """In January only two accounts have `chat`, and both are in one row; from February a third is dearer."""
    january = rated(account=None, deployment="chat", at=JANUARY)

    assert (january.rating, january.deployment_type) == ("priced", "DataZoneStandard")
    assert (
        rated(account=None, deployment="chat", at=datetime(2026, 2, 1, tzinfo=UTC)).reason
        == "ambiguous_account"
    )


def test_a_name_of_one_account_tells_the_account():
    assert rated(account=None, deployment="embed", operation="embeddings").account == "weu"


def test_what_spilled_over_costs_what_the_standard_deployment_costs():
    result = rated(deployment="ptu", spillover_from="ptu")

    assert (result.rating, result.deployment, result.deployment_type) == (
        "priced",
        "chat",
        "DataZoneStandard",
    )
    assert rated(deployment="chat", spillover_from="ptu").lines == result.lines


@pytest.mark.parametrize(
    ("model", "notes"),
    [
        (None, ()),
        ("gpt-4o-mini-2024-07-18", ()),
        ("GPT-4o-mini@2024-07-18", ()),
        ("gpt-4o-mini", ()),
        ("gpt-4o-mini-latest", ()),
        ("mini", ()),
        ("gpt-4o-mini-2025-01-01", ("model_differs",)),
        ("gpt-4o-2024-11-20", ("model_differs",)),
    ],
)
def test_another_model_than_deployed_is_noted_and_priced_as_deployed(model, notes):
    result = rated(model=model)

    assert (result.rating, result.notes, result.model) == ("priced", notes, "gpt-4o-mini@2024-07-18")


NOWHERE = {"operation": "chat", "http_status": 200}


@pytest.mark.parametrize(
    ("hub", "fields", "model", "deployment"),
    [
        ("hub-mini", {}, "gpt-4o-mini@2024-07-18", "mini"),
        ("HUB-MINI", {"model": "gpt-4o-mini-2024-07-18"}, "gpt-4o-mini@2024-07-18", "mini"),
        ("hub-any", {"model": "gpt-4o-mini-2024-07-18"}, "gpt-4o-mini@2024-07-18", None),
        ("hub-any", {"model": "gpt-4o-mini-latest"}, "gpt-4o-mini@2024-07-18", None),
        ("hub-any", {"subscription_id": "sub-b"}, "gpt-4o@2024-11-20", "chat"),
        ("hub-any", {"subscription_key_id": "eeee0000eeee0000eeee0000eeee0000"}, "gpt-4o@2024-11-20", "chat"),
        ("hub-any", {"subscription_id": "sub-b", "app_id": "robot"}, "gpt-4o@2024-11-20", "chat"),
        ("hub-any", {"app_id": "robot"}, "gpt-4o-mini@2024-07-18", None),
    ],
)
def test_the_most_specific_default_stands_in_for_a_missing_deployment(hub, fields, model, deployment):
    result = rated(facts=Facts(**NOWHERE, **fields), hub=hub)

    assert (result.rating, result.model, result.deployment) == ("priced", model, deployment)
    assert result.notes == ("assumed_deployment",)


@pytest.mark.parametrize(
    ("hub", "fields", "reason"),
    [
        ("hub-any", {}, "no_model"),
        ("hub-any", {"model": "gpt-4o-mini"}, "unknown_model"),
        ("hub-any", {"model": "o9"}, "unknown_model"),
        ("hub-any", {"app_id": "robot", "model": "gpt-4o-2024-11-20"}, "model_contradicts_default"),
        ("hub-mini", {"model": "gpt-4o-2024-11-20"}, "model_contradicts_default"),
        ("hub-mini", {"account": "swe"}, "unknown_deployment"),
        ("hub", {"model": "gpt-4o-2024-11-20"}, "no_deployment"),
    ],
)
def test_an_assumption_is_not_stretched(hub, fields, reason):
    result = rated(facts=Facts(**NOWHERE, **fields), hub=hub)

    assert (result.rating, result.reason) == ("unpriced", reason)


def test_calls_of_a_provisioned_deployment_are_pooled():
    for usage, status in ((counts(10, 5), 200), (MISSING, 200), (counts(10, 5), 500)):
        result = rated(usage, deployment="ptu", http_status=status, service_tier="default")
        assert (result.rating, result.reason, result.lines) == ("pooled", None, ())
        assert result.deployment_type == "DataZoneProvisionedManaged"
    assert rated(MISSING, deployment="ptu", http_status=429).rating == "not_billable"
    assumed = rated(facts=Facts(**NOWHERE, app_id="pooled"))
    assert (assumed.rating, assumed.notes) == ("pooled", ("assumed_deployment",))


# ---- usage


@pytest.mark.parametrize(
    "usage",
    [
        counts(10, 5, cached_tokens=11),
        counts(10, 5, cached_tokens=6, cache_write_tokens=5),
        counts(10, 5, reasoning_tokens=6),
        counts(10, 5, audio_prompt_tokens=11),
        counts(10, 5, audio_prompt_tokens=6, cache_write_tokens=5),
        counts(10, 5, audio_completion_tokens=6),
        counts(10, 5, total_tokens=14),
        counts(10, 5, total_tokens=16),
        counts(-1, 5),
        counts(10, -5),
        counts(10, 5, cached_tokens=-1),
        counts(MOST_TOKENS + 1, 5),
    ],
)
def test_counts_that_contradict_each_other_are_unpriced(usage):
    result = rated(usage)

    assert (result.rating, result.reason, result.lines) == ("unpriced", "inconsistent_usage", ())


@pytest.mark.parametrize(
    ("usage", "missing"),
    [
        (counts(10, 5, cache_write_tokens=4), ("cache_write_text",)),
        (counts(10, 5, audio_prompt_tokens=4, audio_completion_tokens=1), ("input_audio", "output_audio")),
    ],
)
def test_a_meter_without_price_leaves_the_call_unpriced_and_is_named(usage, missing):
    result = rated(usage)

    assert (result.rating, result.reason, result.lines) == ("unpriced", "no_meter", ())
    assert result.missing_meters == missing


def test_audio_and_cache_together_leave_open_what_was_cached():
    assert rated(counts(10, 5, audio_prompt_tokens=4, cached_tokens=4)).reason == "unknown_audio_split"


@pytest.mark.parametrize(
    "usage", [Usage(source="reported", prompt_tokens=5), Usage(source="reported", completion_tokens=5)]
)
def test_half_a_usage_is_not_half_a_bill(usage):
    assert (rated(usage).rating, rated(usage).reason) == ("unmetered", "partial_usage")


@pytest.mark.parametrize(
    ("source", "cached", "notes"),
    [
        ("reported", None, ()),
        ("reported", 0, ()),
        ("gateway", None, ("upper_bound",)),
        ("gateway", 0, ()),
        ("estimated", None, ("upper_bound",)),
    ],
)
def test_an_unknown_cached_share_is_priced_as_uncached_and_said(source, cached, notes):
    result = rated(counts(2000, 5, source=source, cached_tokens=cached))

    assert (result.rating, result.notes) == ("priced", notes)
    assert bill(result)["input_text"][0] == 2000


def test_no_upper_bound_where_cached_tokens_cost_the_same():
    assert rated(counts(2000, 5, source="gateway"), deployment="chat").notes == ()
    embedding = counts(2000, 0, source="gateway")
    assert rated(embedding, deployment="embed", operation="embeddings").notes == ()


def test_the_policy_may_refuse_the_upper_bound_of_gateway_counts():
    strict = parse(
        changed("\nsubscriptions:", "\npolicy: {cache_split_unknown: unpriced}\nsubscriptions:"), source="x"
    )

    assert rated(counts(9, 5, source="gateway"), table=strict).reason == "unknown_cache_split"
    assert rated(counts(9, 5, source="estimated"), table=strict).rating == "priced"
    assert rated(counts(9, 5), table=strict).rating == "priced"


def test_notes_of_route_and_usage_are_one_sorted_list():
    result = rated(counts(2000, 5, source="gateway"), model="o9")

    assert result.notes == ("model_differs", "upper_bound")
    assert set(result.notes) <= set(NOTES)


# ---- answers without usage


@pytest.mark.parametrize(
    ("status", "error", "rating", "reason"),
    [
        (200, None, "unmetered", "no_usage"),
        (None, None, "unmetered", "no_usage"),
        (0, None, "unmetered", "no_usage"),
        (400, "content_filter", "unmetered", "content_filter"),
        (400, "ResponsibleAIPolicyViolation", "unmetered", "content_filter"),
        (400, "context_length_exceeded", "unmetered", "input_limit"),
        (400, "invalid_request_error", "not_billable", "client_error"),
        (400, None, "not_billable", "client_error"),
        (401, None, "not_billable", "unauthorized"),
        (403, None, "not_billable", "unauthorized"),
        (404, "DeploymentNotFound", "not_billable", "client_error"),
        (408, None, "unmetered", "timeout"),
        (429, "RateLimitReached", "not_billable", "throttled"),
        (500, None, "not_billable", "server_error"),
        (503, None, "not_billable", "server_error"),
        (302, None, "not_billable", "no_answer"),
        (None, "429", "not_billable", "throttled"),
        (None, "rate_limit_exceeded", "not_billable", "throttled"),
        (None, "content_filter", "unmetered", "content_filter"),
        (None, "Timeout", "unmetered", "timeout"),
        (None, "server_error", "not_billable", "server_error"),
        (None, "SomethingNew", "unmetered", "unknown_error"),
    ],
)
def test_what_an_answer_without_usage_means_for_the_bill(status, error, rating, reason):
    for table in (TABLE, None):
        result = rated(MISSING, http_status=status, error=error, table=table)
        assert (result.rating, result.reason, result.lines) == (rating, reason, ())
    assert reason in REASONS


@pytest.mark.parametrize("status", [None, 200, 400, 404, 408, 429, 500])
def test_counted_usage_is_billed_whatever_the_status(status):
    assert rated(http_status=status, error="content_filter").rating == "priced"
    assert rated(counts(3, 4, source="gateway"), http_status=status).rating == "priced"


@pytest.mark.parametrize(
    ("status", "error", "rating", "reason"),
    [
        (200, None, "priced", None),
        (None, None, "priced", None),
        (429, None, "not_billable", "throttled"),
        (500, None, "not_billable", "server_error"),
        (None, "401", "not_billable", "unauthorized"),
        (400, "content_filter", "unmetered", "content_filter"),
        (408, None, "unmetered", "timeout"),
    ],
)
@pytest.mark.parametrize(
    "usage", [counts(10, 0, source="estimated"), counts(0, 0, source="gateway"), counts(0, 0)]
)
def test_an_estimate_or_a_count_of_nothing_never_overrules_the_status(usage, status, error, rating, reason):
    """A throttled call has a prompt that can be estimated, and still costs nothing."""
    result = rated(usage, http_status=status, error=error)

    assert (result.rating, result.reason) == (rating, reason)


@pytest.mark.parametrize("operation", ["images", "audio", "realtime", "batch", "other", "unknown"])
def test_operations_that_report_no_tokens_are_unmetered(operation):
    result = rated(MISSING, operation=operation)

    assert (result.rating, result.reason) == ("unmetered", "unmetered_operation")


def test_the_policy_decides_about_server_errors():
    policy = '\npolicy: {billable_status: ["2xx", "5xx"]}\nsubscriptions:'
    strict = parse(changed("\nsubscriptions:", policy), source="x")

    assert rated(MISSING, http_status=500, table=strict).rating == "unmetered"
    assert rated(MISSING, http_status=408, table=strict).rating == "not_billable"


def test_without_a_table_usage_is_unpriced_and_the_route_is_what_the_event_said():
    result = rated(table=None, model="m", region="r")

    assert (result.rating, result.reason) == ("unpriced", "no_rate_table")
    assert (result.account, result.deployment, result.model, result.region) == ("weu", "mini", "m", "r")


# ---- properties

TOKENS = st.integers(0, MOST_TOKENS)
PRICES = st.from_regex(r"(0|[1-9][0-9]{0,8})\.[0-9]{0,11}[1-9]", fullmatch=True)


@settings(deadline=None)
@given(st.data())
def test_lines_sum_to_the_exact_fraction_whatever_the_counts(data):
    prompt, completion = data.draw(TOKENS), data.draw(TOKENS)
    cached = data.draw(st.integers(0, prompt))

    result = rated(counts(prompt, completion, cached_tokens=cached, total_tokens=prompt + completion))

    exact = Fraction("0.00012") / 1000 * (prompt - cached) + Fraction("0.06") / 10**6 * cached
    exact += Fraction("0.48") / 10**6 * completion
    assert sum((Fraction(line.cost) for line in result.lines), Fraction()) == exact
    assert sum(int(line.quantity) for line in result.lines) == prompt + completion


@settings(deadline=None)
@given(PRICES, TOKENS)
def test_no_price_the_loader_accepts_is_ever_rounded(price, prompt):
    """A price may have 9 + 12 digits, and a count 15: the product must fit without a rounding."""
    base = BASE.replace('"0.02", per: 1M', f'"{price}", per: 1M')
    table = parse(base, source="x")

    result = rated(counts(prompt, 0), deployment="embed", operation="embeddings", table=table)

    cost = sum((Fraction(line.cost) for line in result.lines), Fraction())
    assert cost == Fraction(price) * prompt / 10**6


@settings(deadline=None)
@given(prompt=TOKENS, completion=TOKENS, data=st.data())
def test_the_split_of_a_usage_loses_and_adds_nothing(prompt, completion, data):
    cached = data.draw(st.integers(0, prompt))
    write = data.draw(st.integers(0, prompt - cached))
    audio = data.draw(st.integers(0, completion))
    usage = counts(
        prompt, completion, cached_tokens=cached, cache_write_tokens=write, audio_completion_tokens=audio
    )

    split = quantities(usage)

    assert sum(split.values()) == prompt + completion
    assert all(quantity > 0 for quantity in split.values())


WORDS = st.sampled_from(
    [None, "weu", "eus", "mini", "chat", "ptu", "mixed", "gpt-4o-2024-11-20", "priority", "x"]
)
COUNTS = st.none() | st.integers(-5, 50) | st.just(10**30)


@settings(deadline=None)
@given(
    st.builds(
        Facts,
        account=WORDS,
        deployment=WORDS,
        model=WORDS,
        service_tier=WORDS,
        spillover_from=WORDS,
        subscription_id=st.sampled_from([None, "sub-a", "sub-b"]),
        app_id=st.sampled_from([None, "robot", "pooled"]),
        http_status=st.none() | st.integers(-1, 700),
        operation=st.sampled_from([None, "chat", "embeddings", "images"]),
    ),
    st.builds(
        Usage,
        source=st.sampled_from(["reported", "gateway", "estimated", "missing"]),
        prompt_tokens=COUNTS,
        cached_tokens=COUNTS,
        cache_write_tokens=COUNTS,
        completion_tokens=COUNTS,
        reasoning_tokens=COUNTS,
        audio_prompt_tokens=COUNTS,
        audio_completion_tokens=COUNTS,
        total_tokens=COUNTS,
    ),
    st.sampled_from(["hub", "hub-any", "hub-mini"]),
    st.none() | st.text(max_size=3),
    st.datetimes(timezones=st.just(UTC)),
)
def test_whatever_an_event_says_is_rated_once_and_for_all(facts, usage, hub, error, at):
    result = rate(usage, facts, TABLE, at=at, event_hub=hub, error=error)

    assert (result.reason in REASONS) is (result.rating in ("unpriced", "unmetered", "not_billable"))
    assert bool(result.lines) <= (result.rating == "priced")
    assert all(line.cost >= 0 and line.quantity > 0 for line in result.lines)
    assert result == rate(usage, facts, TABLE, at=at, event_hub=hub, error=error)


def test_every_reason_is_explained_and_every_explanation_is_of_a_reason():
    folder = Path(chargeback.rating.__file__).parent
    words = set().union(*(_words(path) for path in [*folder.glob("*.py"), *folder.glob("rates/*.py")]))
    ours = set().union(
        *(_words(folder / name) for name in ("rating.py", "rates/routes.py", "rates/billable.py"))
    )

    assert set(REASONS) <= words
    assert {word for word in ours if word.startswith(("no_", "unknown_", "ambiguous_"))} <= set(REASONS)


def _words(path):
    """Return the string constants of a module, without the table of reasons itself."""
    body = [
        node
        for node in ast.parse(path.read_text()).body
        if not (isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "REASONS")
    ]
    constants = (node for part in body for node in ast.walk(part) if isinstance(node, ast.Constant))
    return {node.value for node in constants if isinstance(node.value, str)}


def test_rating_needs_neither_yaml_nor_pydantic():
    import subprocess

    code = "import sys, chargeback.rating; print(sorted({'yaml', 'pydantic'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
