"""From an Exchange to what it consumed: read the answer, take its usage, or count what is here.

A reported usage always wins. Only without one are the bodies counted, and the usage then says so.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal

import msgspec
from msgspec import Struct

from chargeback import tokens, usage
from chargeback.errors import RejectError
from chargeback.exchange import Exchange
from chargeback.facts import Facts
from chargeback.replies import Reply, read_reply
from chargeback.replies.provider import is_azure
from chargeback.replies.reported import reported
from chargeback.salvage import Decoded, decode
from chargeback.strangers import as_id, as_object
from chargeback.usage import Usage

ModelOf = Callable[[Facts], str | None]
"""Looks a deployment's model up where the answer names none; asked only when tokens must be counted."""


class Verdict(Struct, frozen=True):
    """Why a call is not priced by its usage; words of ``rating.REASONS``."""

    rating: Literal["not_billable", "unmetered"]
    reason: str


class Measured(Struct, frozen=True, kw_only=True):
    """A call's usage beside everything its bodies said of it."""

    facts: Facts
    """With the operation, model, response id and stream flag of the bodies."""
    usage: Usage
    truncated: bool
    error: str | None
    """Code of an error body; None for an answer."""
    verdict: Verdict | None = None
    """What the bodies alone decide: nothing was generated, or not yet."""
    by_object: bool = False
    """The result's own id names the call, because its usage comes with whatever request fetches it."""


NO_MODEL_CALL = Verdict("not_billable", "no_model_call")
FETCHED_AGAIN = Verdict("not_billable", "fetched_again")
NOT_FINAL = Verdict("unmetered", "not_final")


Question = tuple[Exchange, ModelOf]
_Answer = tuple[Reply | None, Usage | None]
"""The answer, and the usage it or its event reports."""


def measure_all(calls: Sequence[Question]) -> list[Measured]:
    """Read the bodies of calls as far as needed; a reported usage needs neither the request nor the text.

    In the order of the calls, and a step at a time: see ``pipeline``.
    """
    answers = [_read(exchange, exchange.facts.operation) for exchange, _ in calls]
    requests = [_request(exchange, *answer) for (exchange, _), answer in zip(calls, answers, strict=True)]
    return [_measured(*each) for each in zip(calls, answers, requests, strict=True)]


def _request(exchange: Exchange, reply: Reply | None, told: Usage | None) -> Mapping[str, Any] | None:
    """Return the request's body where something depends on it."""
    inner = _operation(reply, exchange.facts.operation)
    if told is None or inner == "unknown" or _request_names_deployment(exchange.facts, inner):
        return request_body(exchange.request)
    return None


def _measured(call: Question, answer: _Answer, request: Mapping[str, Any] | None) -> Measured:
    (exchange, model_of), (reply, told) = call, answer
    said = exchange.facts.operation
    inner = _operation(reply, said)
    inner = inner if inner != "unknown" else _shape(request)
    # A line of a batch holds an answer of another operation; what is billed is the batch.
    facts = _facts(exchange.facts, reply, request, "batch" if said == "batch" else inner)
    verdict = _verdict(exchange, facts, reply)
    found = told or (
        Usage(source="missing") if verdict else _estimate(exchange, reply, request, facts, model_of)
    )
    return Measured(
        facts=facts,
        usage=_noted(usage.settle(found, inner), exchange.notes),
        truncated=exchange.truncated or (told is None and reply is not None and not reply.complete),
        error=reply.error if reply else None,
        verdict=verdict,
        by_object=facts.response_id is not None and _is_fetched_later(exchange, facts, reply),
    )


def _read(exchange: Exchange, said: str | None) -> _Answer:
    """Return the answer and the usage it reports; its text is read only where there is none."""
    response, cut = exchange.response, "response" in exchange.cut_bodies
    quick = reported(response) if isinstance(response, str) and not cut else None
    if quick is not None:
        found = exchange.usage or quick.usage
        if found.prompt_tokens or found.completion_tokens:
            return quick.reply, found
    reply = read_reply(response, said, cut=cut)
    return reply, exchange.usage or _reported(reply, _operation(reply, said))


def _request_names_deployment(facts: Facts, operation: str) -> bool:
    """True if ``model`` of the request is the deployment: the Responses API and the v1 URLs have it there.

    Elsewhere the URL decides and Azure does not look at the member. An account without a deployment was
    read from a URL that has none.
    """
    return facts.deployment is None and (operation == "responses" or facts.account is not None)


def _reported(reply: Reply | None, operation: str) -> Usage | None:
    if reply is None:
        return None
    found = usage.from_block(reply.usage, operation) if reply.usage else None
    if found is None and reply.quantities:
        return Usage(source="reported", by_meter=reply.quantities)
    return found


def _verdict(exchange: Exchange, facts: Facts, reply: Reply | None) -> Verdict | None:
    if exchange.effect == "free" or (reply is not None and not reply.model_ran):
        return NO_MODEL_CALL
    if reply is not None and reply.error is None and not reply.final:
        return NOT_FINAL
    # Without a request id of its own a fetch has the same name as the call, and is billed with it, once.
    if exchange.effect == "fetch" and facts.request_id and not _is_background(exchange, reply):
        return FETCHED_AGAIN
    return None


def _is_background(exchange: Exchange, reply: Reply | None) -> bool:
    return bool(exchange.background or (reply is not None and reply.background))


def _is_fetched_later(exchange: Exchange, facts: Facts, reply: Reply | None) -> bool:
    """True for work that goes on after the answer: every later request shows the same usage again."""
    if facts.operation not in ("responses", "other"):
        return False
    return _is_background(exchange, reply) or (reply is not None and not reply.final)


def request_body(request: Any) -> Mapping[str, Any] | None:
    """Return the request as a JSON object, whole or its beginning; None when there is none."""
    if isinstance(request, Decoded):
        request = request.value
    if not isinstance(request, str):
        return as_object(request)
    try:
        return as_object(decode(request).value)
    except RejectError:
        return None


def _operation(reply: Reply | None, said: str | None) -> str:
    return reply.operation if reply and reply.operation != "unknown" else said or "unknown"


# Member of a request body -> the operation whose request has it.
_SHAPES = (("messages", "chat"), ("voice", "audio"), ("prompt", "completions"))


def _shape(request: Mapping[str, Any] | None) -> str:
    return next((word for member, word in _SHAPES if request and member in request), "unknown")


def _facts(facts: Facts, reply: Reply | None, request: Mapping[str, Any] | None, operation: str) -> Facts:
    wished = request.get("stream") if request else None
    deployment = facts.deployment
    if request and _request_names_deployment(facts, operation):
        deployment = as_id(request.get("model"))
    model = (reply.model if reply else None) or facts.model
    return msgspec.structs.replace(
        facts,
        operation=operation,
        deployment=deployment,
        model=None if operation == "responses" and model == deployment else model,
        response_id=(reply.response_id if reply else None) or facts.response_id,
        service_tier=(reply.service_tier if reply else None) or facts.service_tier,
        streamed=_known(
            reply.streamed if reply else None, facts.streamed, wished is True if request else None
        ),
    )


def _known(*flags: bool | None) -> bool | None:
    for flag in flags:
        if flag is not None:
            return flag
    return None


def _estimate(
    exchange: Exchange,
    reply: Reply | None,
    request: Mapping[str, Any] | None,
    facts: Facts,
    model_of: ModelOf,
) -> Usage:
    """Count each side that is here; a side that is not stays unknown, never 0."""
    if reply is not None and reply.error and not (reply.choices or reply.output):
        return Usage(source="missing")
    operation = facts.operation or "unknown"
    if operation == "audio":
        return _spoken(request)
    wished = as_id(request.get("model")) if request else None
    model = facts.model or model_of(facts) or wished or facts.deployment
    azure = _names_azure(exchange.facts) or is_azure(exchange.response)
    prompt = tokens.prompt_tokens(operation, request, model, azure=azure, response_id=facts.response_id)
    completion = (
        tokens.completion_tokens(reply, request, model, azure=azure) if reply else tokens.Estimate(None)
    )
    if prompt.tokens is None and completion.tokens is None:
        return Usage(source="missing", notes=_words(prompt.notes, completion.notes))
    gone = () if prompt.tokens is not None and completion.tokens is not None else ("body_missing",)
    cut = ("body_cut",) if "request" in exchange.cut_bodies else ()
    return Usage(
        source="estimated",
        notes=_words(prompt.notes, completion.notes, gone, cut, exchange.estimate_notes),
        prompt_tokens=prompt.tokens,
        completion_tokens=completion.tokens,
    )


def _names_azure(said: Facts) -> bool:
    """True if the event names what only Azure has; OpenAI's own URLs know nothing of the kind."""
    return any(each is not None for each in (said.account, said.deployment, said.region, said.api_version))


def _spoken(request: Mapping[str, Any] | None) -> Usage:
    """Count what a text-to-speech model was given to speak: its price is by the character."""
    text = request.get("input") if request and "voice" in request else None
    if not isinstance(text, str):
        return Usage(source="missing")
    characters = {"characters": Decimal(len(text))}
    return Usage(source="estimated", notes=("counted_characters",), by_meter=characters)


def _noted(found: Usage, notes: tuple[str, ...]) -> Usage:
    return msgspec.structs.replace(found, notes=_words(found.notes, notes)) if notes else found


def _words(*notes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({word for group in notes for word in group}))
