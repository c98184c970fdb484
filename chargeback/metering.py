"""From an Exchange to what it consumed: read the answer, take its usage, or count what is here.

A reported usage always wins. Only without one are the bodies counted, and the usage then says so.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from chargeback import tokens, usage
from chargeback.errors import RejectError
from chargeback.exchange import Exchange
from chargeback.facts import Facts
from chargeback.replies import Reply, read_reply
from chargeback.salvage import decode
from chargeback.strangers import as_id, as_object
from chargeback.usage import Usage

ModelOf = Callable[[Facts], str | None]
"""Looks a deployment's model up where the answer names none; asked only when tokens must be counted."""


class Measured(Struct, frozen=True, kw_only=True):
    """A call's usage beside everything its bodies said of it."""

    facts: Facts
    """With the operation, model, response id and stream flag of the bodies."""
    usage: Usage
    truncated: bool
    error: str | None
    """Code of an error body; None for an answer."""


def measure(exchange: Exchange, model_of: ModelOf) -> Measured:
    """Read the bodies as far as needed; a reported usage needs neither the request nor the text."""
    said = exchange.facts.operation
    reply = read_reply(exchange.response, said, cut="response" in exchange.cut_bodies)
    reported = exchange.usage or (usage.from_block(reply.usage) if reply and reply.usage else None)
    operation = _operation(reply, said)
    request = None
    if reported is None or operation == "unknown":
        request = request_body(exchange.request)
        operation = operation if operation != "unknown" else _shape(request)
    facts = _facts(exchange.facts, reply, request, operation)
    found = reported or _estimate(exchange, reply, request, facts, model_of)
    return Measured(
        facts=facts,
        usage=_noted(usage.settle(found, operation), exchange.notes),
        truncated=exchange.truncated or (reported is None and reply is not None and not reply.complete),
        error=reply.error if reply else None,
    )


def request_body(request: Any) -> Mapping[str, Any] | None:
    """Return the request as a JSON object, whole or its beginning; None when there is none."""
    if not isinstance(request, str):
        return as_object(request)
    try:
        return as_object(decode(request).value)
    except RejectError:
        return None


def _operation(reply: Reply | None, said: str | None) -> str:
    return reply.operation if reply and reply.operation != "unknown" else said or "unknown"


# Member of a request body -> the operation whose request has it.
_SHAPES = (("messages", "chat"), ("prompt", "completions"))


def _shape(request: Mapping[str, Any] | None) -> str:
    return next((word for member, word in _SHAPES if request and member in request), "unknown")


def _facts(facts: Facts, reply: Reply | None, request: Mapping[str, Any] | None, operation: str) -> Facts:
    wished = request.get("stream") if request else None
    return msgspec.structs.replace(
        facts,
        operation=operation,
        model=(reply.model if reply else None) or facts.model,
        response_id=(reply.response_id if reply else None) or facts.response_id,
        service_tier=(reply.service_tier if reply else None) or facts.service_tier,
        streamed=_known(
            reply.streamed if reply else None, facts.streamed, wished is True if request else None
        ),
    )


def _known(*flags: bool | None) -> bool | None:
    return next((flag for flag in flags if flag is not None), None)


def _estimate(
    exchange: Exchange,
    reply: Reply | None,
    request: Mapping[str, Any] | None,
    facts: Facts,
    model_of: ModelOf,
) -> Usage:
    """Count each side that is here; a side that is not stays unknown, never 0."""
    if reply is not None and reply.error and not reply.choices:
        return Usage(source="missing")
    operation = facts.operation or "unknown"
    wished = as_id(request.get("model")) if request else None
    model = facts.model or model_of(facts) or wished or facts.deployment
    prompt = tokens.prompt_tokens(operation, request, model)
    completion = tokens.completion_tokens(reply, request, model) if reply else tokens.Estimate(None)
    if prompt.tokens is None and completion.tokens is None:
        return Usage(source="missing", notes=_words(prompt.notes, completion.notes))
    gone = () if prompt.tokens is not None and completion.tokens is not None else ("body_missing",)
    cut = ("body_cut",) if "request" in exchange.cut_bodies else ()
    return Usage(
        source="estimated",
        notes=_words(prompt.notes, completion.notes, gone, cut),
        prompt_tokens=prompt.tokens,
        completion_tokens=completion.tokens,
    )


def _noted(found: Usage, notes: tuple[str, ...]) -> Usage:
    return msgspec.structs.replace(found, notes=_words(found.notes, notes)) if notes else found


def _words(*notes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({word for group in notes for word in group}))
