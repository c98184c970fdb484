"""What a call consumed, in the provider's units, and how we know.

Four sources, in order of trust: the provider's own usage block, the gateway's count, our estimate from
the bodies, nothing. The source travels with the numbers to the bill, because finance treats an estimate
differently from a count.
"""

from collections.abc import Mapping
from decimal import Decimal
from operator import attrgetter
from typing import Annotated, Any, Literal, cast

import msgspec
from msgspec import Meta, Struct

from chargeback.strangers import MOST, as_count, as_object

UsageSource = Literal["reported", "gateway", "estimated", "missing"]
SOURCES: tuple[UsageSource, ...] = ("reported", "gateway", "estimated", "missing")


class Usage(Struct, frozen=True, kw_only=True):
    """Token counts as the provider nests them; None is unknown, never zero.

    ``cached``, ``cache_write`` and ``audio_prompt`` lie inside ``prompt_tokens``; ``reasoning`` and
    ``audio_completion`` lie inside ``completion_tokens``: adding them again would bill them twice.
    """

    source: UsageSource
    notes: tuple[str, ...] = ()
    """Fixed words of ``notes.py``, sorted."""
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None
    audio_prompt_tokens: int | None = None
    audio_completion_tokens: int | None = None
    total_tokens: int | None = None
    by_meter: Mapping[str, Decimal] = {}
    """What the counts above do not tell, by meter of the rate table: pictures, seconds, characters, and the
    tokens of pictures and cached audio, which lie inside the prompt or the completion."""


COUNTS = tuple(name for name in Usage.__struct_fields__ if name not in ("source", "notes", "by_meter"))
"""The token counts: a charge has a field for each."""
counts_of = attrgetter(*COUNTS)
"""Returns the counts of a usage, or of a charge, in the order of ``COUNTS``."""

# Where usage blocks keep their counts: Chat and Completions, the Responses API, realtime and audio.
_PROMPT_DETAILS = ("prompt_tokens_details", "input_tokens_details", "input_token_details")
_COMPLETION_DETAILS = ("completion_tokens_details", "output_tokens_details", "output_token_details")

_WITH_PICTURES = ("images", "realtime")  # chat prices the tokens of its pictures as text
_WITH_OWN_METERS = (*_WITH_PICTURES, "audio")


_NOTHING: Mapping[str, Any] = {}


def from_block(block: Mapping[str, Any], operation: str | None = None) -> Usage | None:
    """Read the provider's usage block; None when it holds no quantity at all."""
    # Written out: it runs once an event, and a table of names took a third of an event's time.
    prompt = as_count(block.get("prompt_tokens"))
    prompt = as_count(block.get("input_tokens")) if prompt is None else prompt
    completion = as_count(block.get("completion_tokens"))
    completion = as_count(block.get("output_tokens")) if completion is None else completion
    total = as_count(block.get("total_tokens"))
    asked, said = _details(block, _PROMPT_DETAILS), _details(block, _COMPLETION_DETAILS)
    more = _by_meter(block, asked, said, operation) if operation in _WITH_OWN_METERS else {}
    if prompt is None and completion is None and total is None:
        return Usage(source="reported", by_meter=more) if "audio_second" in more else None
    return Usage(
        source="reported",
        prompt_tokens=prompt,
        cached_tokens=as_count(asked.get("cached_tokens")),
        cache_write_tokens=as_count(asked.get("cache_write_tokens")),
        completion_tokens=completion,
        reasoning_tokens=as_count(said.get("reasoning_tokens")),
        audio_prompt_tokens=as_count(asked.get("audio_tokens")),
        audio_completion_tokens=as_count(said.get("audio_tokens")),
        total_tokens=total,
        by_meter=more,
    )


class _Details(Struct, gc=False):
    """Details of the prompt or of the completion; each names what the other does not."""

    cached_tokens: "_Count" = None
    cache_write_tokens: "_Count" = None
    reasoning_tokens: "_Count" = None
    audio_tokens: "_Count" = None


class Block(Struct, gc=False):
    """A usage block as nearly every answer has it; a decoder refuses counts of any other kind."""

    prompt_tokens: "_Count" = None
    completion_tokens: "_Count" = None
    input_tokens: "_Count" = None
    output_tokens: "_Count" = None
    total_tokens: "_Count" = None
    prompt_tokens_details: _Details | None = None
    input_tokens_details: _Details | None = None
    input_token_details: _Details | None = None
    completion_tokens_details: _Details | None = None
    output_tokens_details: _Details | None = None
    output_token_details: _Details | None = None


_Count = Annotated[int, Meta(ge=0, lt=MOST)] | None
_NO_DETAILS = _Details()


def from_plain(block: Block) -> Usage | None:
    """Say what ``from_block`` says of the same members, for operations without meters of their own.

    None where that one has to decide: no count at all, or details under two of their names.
    """
    asked = _only(block.prompt_tokens_details, block.input_tokens_details, block.input_token_details)
    said = _only(block.completion_tokens_details, block.output_tokens_details, block.output_token_details)
    prompt, completion = block.prompt_tokens, block.completion_tokens
    prompt = block.input_tokens if prompt is None else prompt
    completion = block.output_tokens if completion is None else completion
    if (
        asked is None
        or said is None
        or (prompt is None and completion is None and block.total_tokens is None)
    ):
        return None
    return Usage(
        source="reported",
        prompt_tokens=prompt,
        cached_tokens=asked.cached_tokens,
        cache_write_tokens=asked.cache_write_tokens,
        completion_tokens=completion,
        reasoning_tokens=said.reasoning_tokens,
        audio_prompt_tokens=asked.audio_tokens,
        audio_completion_tokens=said.audio_tokens,
        total_tokens=block.total_tokens,
    )


def _only(one: _Details | None, two: _Details | None, three: _Details | None) -> _Details | None:
    """Return the details that are there; None if there are several."""
    if two is None and three is None:
        return one or _NO_DETAILS
    return None if one is not None or (two is not None and three is not None) else two or three


def _details(block: Mapping[str, Any], names: tuple[str, ...]) -> Mapping[str, Any]:
    for name in names:
        details = block.get(name)
        if details and isinstance(details, dict):
            return cast("Mapping[str, Any]", details)
    return _NOTHING


def _add(counts: dict[str, int], field: str, block: Mapping[str, Any], name: str) -> None:
    count = as_count(block.get(name))
    if count is not None:
        counts[field] = count


def _by_meter(
    block: Mapping[str, Any], asked: Mapping[str, Any], said: Mapping[str, Any], operation: str | None
) -> dict[str, Decimal]:
    """Return what has a price of its own beside text; each meter counts what no other counts."""
    if operation == "audio" and block.get("type") == "duration":
        seconds = as_quantity(block.get("seconds"))
        return {} if seconds is None else {"audio_second": seconds}
    cached = as_object(asked.get("cached_tokens_details")) or {}
    found: dict[str, int] = {}
    _add(found, "input_cached_audio", cached, "audio_tokens")
    if operation in _WITH_PICTURES:
        _add(found, "input_cached_image", cached, "image_tokens")
        _add(found, "input_image", asked, "image_tokens")
        _add(found, "output_image", said, "image_tokens")
    if "input_image" in found:
        found["input_image"] = max(0, found["input_image"] - found.get("input_cached_image", 0))
    return {meter: Decimal(count) for meter, count in found.items()}


def as_quantity(value: Any) -> Decimal | None:
    """Return a length of time or the like as an exact decimal; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        quantity = Decimal(str(value))
    except ArithmeticError:
        return None
    fits = quantity.is_finite() and 0 <= quantity < 10**12 and quantity == round(quantity, 6)
    return Decimal(f"{quantity:f}") if fits else None


def settle(usage: Usage, operation: str) -> Usage:
    """Fill in what follows from the rest: embeddings generate nothing, a total is a sum."""
    prompt, completion, total = usage.prompt_tokens, usage.completion_tokens, usage.total_tokens
    if operation == "embeddings":
        completion = 0 if completion is None else completion
        prompt = total if prompt is None else prompt
    if operation == "images" and completion is not None and "output_image" not in usage.by_meter:
        # Without details all that an image model generates is pictures.
        more = {**usage.by_meter, "output_image": Decimal(completion)}
        usage = msgspec.structs.replace(usage, by_meter=more)
    if total is None and prompt is not None and completion is not None:
        total = prompt + completion
    if (prompt, completion, total) == (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens):
        return usage
    return msgspec.structs.replace(
        usage, prompt_tokens=prompt, completion_tokens=completion, total_tokens=total
    )
