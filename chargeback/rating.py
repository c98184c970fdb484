"""Usage -> money: what a call cost at its moment, meter by meter, or the reason why nobody can say.

usage and facts + rate table -> route (``rates.routes``) -> rate row -> lines

Pure and repeatable: the same usage, facts and table give the same lines years later. A price that is
not known is never 0: the call stays visible as ``unpriced`` or ``unmetered``.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow

from msgspec import Struct

from chargeback.charge import Line, Rating
from chargeback.facts import Facts
from chargeback.rates.billable import BILLABLE_STATUS, verdict
from chargeback.rates.routes import route
from chargeback.rates.sites import Route
from chargeback.rates.table import Price, RateRow, RateTable
from chargeback.rates.words import SERVICE_TIERS
from chargeback.usage import Usage

# Money is exact: quantity * price / power of ten. Whatever would have to round raises instead.
EXACT = Context(prec=50, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow])
_multiply, _divide = EXACT.multiply, EXACT.divide  # a context looks its methods up slowly

# No call counts this many tokens; beyond it a count is damage, and `EXACT` might have to round.
MOST_TOKENS = 10**15

# Clocks differ by seconds. An event that the hub took minutes before it happened has a wrong time, which is
# noted; one from a year ahead is priced by nobody: what that day costs is not known.
MOST_SKEW = timedelta(minutes=5)
FUTURE = timedelta(days=366)

# Operations whose answers carry token usage. The others are metered by what later imports bring.
METERED = ("chat", "completions", "responses", "embeddings")

REASONS: dict[str, str] = {
    # unpriced: consumed, and the table does not say (or not uniquely) what it costs
    "no_rate_table": "No rate table was loaded.",
    "no_time": "Neither the event nor the hub tells when the call was, so no dated price applies.",
    "future_time": "The event's time is over a year later than the hub received it; what that day costs is not known.",
    "no_deployment": "The event names no deployment, and no default of the table applies.",
    "unknown_deployment": "The table does not list this deployment (in this account) at that moment.",
    "ambiguous_account": "Several accounts have a deployment of this name, and their prices differ.",
    "ambiguous_backend": "Provisioned and token-priced deployments share this name, and the event names no backend.",
    "no_spillover_target": "The call spilled over, and the table does not say to which deployment.",
    "no_model": "A default leaves the model to the response, and the response names none.",
    "unknown_model": "A default leaves the model to the response, and the table does not know its model.",
    "model_contradicts_default": "The default assumes another model than the one the response names.",
    "unknown_service_tier": "The response names a service tier that this program does not know.",
    "no_rate": "The table has no rate for this model, type, region and tier at that moment.",
    "no_meter": "The rate has no price for a meter the call used.",
    "inconsistent_usage": "The counts contradict each other, such as more cached than prompt tokens.",
    "unknown_cache_split": "The cached share of the prompt is not known, and the table's policy wants no upper bound.",
    "unknown_audio_split": "Prompt tokens are partly audio and partly cached; how both overlap is not known.",
    # unmetered: Azure charges for it, and the quantity is not known
    "not_final": "The service still works on the answer; its usage comes with a later request.",
    "no_usage": "An answer that is charged came without usage, and none could be estimated.",
    "partial_usage": "Only the prompt, only the completion or only their sum is known.",
    "content_filter": "Azure charges for a filtered prompt and reports no usage.",
    "input_limit": "Azure charges for a prompt beyond the model's limit and reports no usage.",
    "timeout": "Azure charges for a call that timed out and reports no usage.",
    "unknown_error": "The answer is an error without status, of a code this program does not know.",
    "unmetered_operation": "This operation is not metered by tokens in the answer.",
    # not_billable: Azure does not charge
    "throttled": "Refused: too many requests or tokens (429).",
    "unauthorized": "Refused: key, token or permission (401, 403).",
    "client_error": "Refused: the request itself (other 4xx).",
    "server_error": "The service failed (5xx); charged only if the table's policy says so.",
    "no_model_call": "Nothing was generated: a list, a file, a job, a deletion.",
    "fetched_again": "The result was billed when it was made; this request only fetched it.",
    "no_answer": "A redirect or another status without processing.",
}


class Rated(Struct, frozen=True, kw_only=True):
    """One call's rating, and the route it was rated by.

    ``model`` is the table's ``name@version`` where a route was found, else what the response said.
    """

    rating: Rating
    reason: str | None = None
    """A word of ``REASONS``; None when priced or pooled."""
    lines: tuple[Line, ...] = ()
    """In the order of ``quantities``; meters with nothing to count have no line."""
    deployment_type: str | None = None
    model: str | None = None
    account: str | None = None
    deployment: str | None = None
    region: str | None = None
    notes: tuple[str, ...] = ()
    """Words of ``notes.NOTES``, sorted."""
    missing_meters: tuple[str, ...] = ()
    """With ``no_meter``: the ones the rate lacks."""


class _Verdict(Struct, frozen=True):
    rating: Rating
    reason: str | None = None
    lines: tuple[Line, ...] = ()
    notes: tuple[str, ...] = ()
    missing_meters: tuple[str, ...] = ()


def rate(
    usage: Usage,
    facts: Facts,
    table: RateTable | None,
    *,
    at: datetime,
    event_hub: str,
    error: str | None = None,
) -> Rated:
    """Rate one call by the prices of ``at`` (aware). ``error`` is the code of an error body.

    Tokens that were counted are billed whatever the status says; an estimate, or a count of nothing,
    only where the status is one Azure charges for. Never raises for what an event may contain.
    """
    where = Route(problem="no_rate_table") if table is None else route(table, facts, at, event_hub)
    refused = None if _counted(usage) else _without_count(usage, facts, table, error, pooled=where.pooled)
    if refused is not None:
        found = refused
    elif where.pooled:
        found = _Verdict("pooled")
    elif table is None or where.problem is not None:
        found = _Verdict("unpriced", where.problem)
    else:
        found = _priced(usage, facts, table, where, at)
    return _rated(found, facts, where)


def unrated(facts: Facts, reason: str) -> Rated:
    """Leave a call unpriced whose moment no price can be looked up by; what its event said stands."""
    return _rated(_Verdict("unpriced", reason), facts, Route())


def ahead(occurred_at: datetime | None, enqueued_at: datetime | None) -> timedelta | None:
    """Return by how much an event says it happened after the hub had it; None if it does not, or nobody can tell."""
    if occurred_at is None or enqueued_at is None:
        return None
    skew = occurred_at - enqueued_at
    return skew if skew > MOST_SKEW else None


def _rated(found: _Verdict, facts: Facts, where: Route) -> Rated:
    return Rated(
        rating=found.rating,
        reason=found.reason,
        lines=found.lines,
        deployment_type=where.deployment_type,
        model=where.model or facts.model,
        account=where.account or facts.account,
        deployment=where.deployment or facts.deployment,
        region=where.region or facts.region,
        notes=tuple(sorted(where.notes + found.notes)) if found.notes else where.notes,
        missing_meters=found.missing_meters,
    )


def _counted(usage: Usage) -> bool:
    if usage.source not in ("reported", "gateway"):
        return False
    return bool(usage.prompt_tokens or usage.completion_tokens or any(usage.by_meter.values()))


def _without_count(
    usage: Usage, facts: Facts, table: RateTable | None, error: str | None, *, pooled: bool
) -> _Verdict | None:
    """Judge a call by its status; None when what is known of its usage may be priced after all."""
    judged = verdict(facts.http_status, error, BILLABLE_STATUS if table is None else table.billable_status)
    if not judged.billable:
        return _Verdict("not_billable", judged.reason)
    if pooled:  # the pool is paid for anyway, and no quantity is missing from a token bill
        return _Verdict("pooled")
    if judged.reason != "no_usage":
        return _Verdict("unmetered", judged.reason)
    if usage.prompt_tokens is not None or usage.completion_tokens is not None or usage.by_meter:
        return None
    if usage.total_tokens is not None:  # what was read and what was written cost different prices
        return _Verdict("unmetered", "partial_usage")
    metered = facts.operation is None or facts.operation in METERED
    return _Verdict("unmetered", "no_usage" if metered else "unmetered_operation")


def _priced(usage: Usage, facts: Facts, table: RateTable, where: Route, at: datetime) -> _Verdict:
    if not _whole(usage, facts, table, where):
        return _Verdict("unmetered", "partial_usage")
    if not consistent(usage):
        return _Verdict("unpriced", "inconsistent_usage")
    tier = facts.service_tier or "default"
    if tier not in SERVICE_TIERS:
        return _Verdict("unpriced", "unknown_service_tier")
    row = _row(table, where, tier, usage.prompt_tokens or 0, at)
    if not isinstance(row, RateRow):
        return _Verdict("unpriced", row)
    return _metered(usage, row, table.cache_split_unknown)


def _whole(usage: Usage, facts: Facts, table: RateTable, where: Route) -> bool:
    """Tell whether both sides are known; seconds, characters and pictures need no sides."""
    if usage.prompt_tokens is None and usage.completion_tokens is None and usage.by_meter:
        return True
    return usage.prompt_tokens is not None and (
        usage.completion_tokens is not None or _embeds(facts, table, where)
    )


def _embeds(facts: Facts, table: RateTable, where: Route) -> bool:
    kinds = (table.rows.models[offer.model].kind for offer in where.offers)
    return facts.operation == "embeddings" or all(kind == "embedding" for kind in kinds)


def _row(table: RateTable, where: Route, tier: str, prompt_tokens: int, at: datetime) -> RateRow | str:
    """Return the one rate of all offers, else the reason why there is none."""
    found: RateRow | None = None
    for number, offer in enumerate(where.offers):
        context = table.context_tier(offer.model, prompt_tokens)
        row = table.rate((offer.model, offer.deployment_type, offer.region, tier, context), at)
        if number and row is not found:
            return "ambiguous_account"
        found = row
    return found or "no_rate"


def _metered(usage: Usage, row: RateRow, cache_split_unknown: str) -> _Verdict:
    if usage.audio_prompt_tokens and usage.cached_tokens and "input_cached_audio" not in usage.by_meter:
        return _Verdict("unpriced", "unknown_audio_split")
    bound = usage.cached_tokens is None and usage.source in ("gateway", "estimated") and _discounts(row)
    if bound and usage.source == "gateway" and cache_split_unknown == "unpriced":
        return _Verdict("unpriced", "unknown_cache_split")
    used = quantities(usage)
    if not used.keys() <= row.prices.keys():
        missing = tuple(meter for meter in used if meter not in row.prices)
        return _Verdict("unpriced", "no_meter", missing_meters=missing)
    lines = tuple([_line(meter, quantity, row.prices[meter]) for meter, quantity in used.items()])
    return _Verdict("priced", lines=lines, notes=("upper_bound",) if bound else ())


def _discounts(row: RateRow) -> bool:
    """Tell whether a cached token costs anything else than an uncached one (embeddings have no cache)."""
    cached, full = row.prices.get("input_cached_text"), row.prices.get("input_text")
    return cached is not None and full is not None and cached.price * full.per != full.price * cached.per


def _line(meter: str, quantity: int | Decimal, price: Price) -> Line:
    amount = Decimal(quantity)
    cost = _divide(_multiply(amount, price.price), price.divisor)
    return Line(meter, amount, price.unit, price.price, price.per, price.rate_id, cost)


def quantities(usage: Usage) -> dict[str, int | Decimal]:
    """Split consistent usage into meters that do not overlap; meters without anything are left out.

    prompt     = input_text + input_cached_text + cache_write_text + input_audio + input_cached_audio
                 + input_image + input_cached_image
    completion = output_text (reasoning inside) + output_audio + output_image
    """
    cached, write = usage.cached_tokens or 0, usage.cache_write_tokens or 0
    audio_in, audio_out = usage.audio_prompt_tokens or 0, usage.audio_completion_tokens or 0
    more = usage.by_meter
    if not (more or audio_in or audio_out):  # text in, text out: nearly every call
        return _texts(
            (usage.prompt_tokens or 0) - cached - write, cached, write, usage.completion_tokens or 0
        )
    cached_audio, cached_image = (
        _tokens(more, name) for name in ("input_cached_audio", "input_cached_image")
    )
    image_in, image_out = _tokens(more, "input_image"), _tokens(more, "output_image")
    split: dict[str, int | Decimal] = {
        "input_text": (usage.prompt_tokens or 0) - cached - write - (audio_in - cached_audio) - image_in,
        "input_cached_text": cached - cached_audio - cached_image,
        "cache_write_text": write,
        "input_audio": audio_in - cached_audio,
        "input_cached_audio": cached_audio,
        "input_image": image_in,
        "input_cached_image": cached_image,
        "output_text": (usage.completion_tokens or 0) - audio_out - image_out,
        "output_audio": audio_out,
        "output_image": image_out,
    }
    split |= {meter: quantity for meter, quantity in more.items() if meter not in split}
    return {meter: quantity for meter, quantity in split.items() if quantity}


def _texts(uncached: int, cached: int, write: int, output: int) -> dict[str, int | Decimal]:
    found: dict[str, int | Decimal] = {}
    if uncached:
        found["input_text"] = uncached
    if cached:
        found["input_cached_text"] = cached
    if write:
        found["cache_write_text"] = write
    if output:
        found["output_text"] = output
    return found


def _tokens(by_meter: Mapping[str, Decimal], name: str) -> int:
    return int(by_meter.get(name, 0))


def consistent(usage: Usage) -> bool:
    """Tell whether parts fit into their wholes, and the total is their sum."""
    prompt, completion = usage.prompt_tokens or 0, usage.completion_tokens or 0
    cached, write = usage.cached_tokens or 0, usage.cache_write_tokens or 0
    audio_in, audio_out = usage.audio_prompt_tokens or 0, usage.audio_completion_tokens or 0
    reasoning = usage.reasoning_tokens or 0
    # No part is negative, so those that fit into their whole are no more than MOST_TOKENS either.
    return (
        cached >= 0
        and write >= 0
        and audio_in >= 0
        and cached + write <= prompt <= MOST_TOKENS
        and write + audio_in <= prompt
        and 0 <= reasoning <= completion <= MOST_TOKENS
        and 0 <= audio_out <= completion
        and (not usage.by_meter or min(quantities(usage).values(), default=0) >= 0)
        and (usage.total_tokens is None or usage.total_tokens == prompt + completion)
    )
