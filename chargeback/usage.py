"""What a call consumed, in the provider's units, and how we know.

Four sources, in order of trust: the provider's own usage block, the gateway's count, our estimate from
the bodies, nothing. The source travels with the numbers to the bill, because finance treats an estimate
differently from a count.
"""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct

from chargeback.strangers import as_count, as_object

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


# Our field <- where a usage block keeps it: Chat and Completions names first, then the Responses API's.
_BLOCK: dict[str, tuple[tuple[str, ...], ...]] = {
    "prompt_tokens": (("prompt_tokens",), ("input_tokens",)),
    "cached_tokens": (("prompt_tokens_details", "cached_tokens"), ("input_tokens_details", "cached_tokens")),
    "cache_write_tokens": (
        ("prompt_tokens_details", "cache_write_tokens"),
        ("input_tokens_details", "cache_write_tokens"),
    ),
    "completion_tokens": (("completion_tokens",), ("output_tokens",)),
    "reasoning_tokens": (
        ("completion_tokens_details", "reasoning_tokens"),
        ("output_tokens_details", "reasoning_tokens"),
    ),
    "audio_prompt_tokens": (
        ("prompt_tokens_details", "audio_tokens"),
        ("input_tokens_details", "audio_tokens"),
    ),
    "audio_completion_tokens": (
        ("completion_tokens_details", "audio_tokens"),
        ("output_tokens_details", "audio_tokens"),
    ),
    "total_tokens": (("total_tokens",),),
}


def from_block(block: Mapping[str, Any]) -> Usage | None:
    """Read the provider's usage block; None when it holds no count at all."""
    counts: dict[str, Any] = {
        field: count for field, paths in _BLOCK.items() if (count := _first(block, paths)) is not None
    }
    if not counts.keys() & {"prompt_tokens", "completion_tokens", "total_tokens"}:
        return None
    return Usage(source="reported", **counts)


def settle(usage: Usage, operation: str) -> Usage:
    """Fill in what follows from the rest: embeddings generate nothing, and a total is a sum."""
    prompt, completion, total = usage.prompt_tokens, usage.completion_tokens, usage.total_tokens
    if operation == "embeddings":
        completion = 0 if completion is None else completion
        prompt = total if prompt is None else prompt
    if total is None and prompt is not None and completion is not None:
        total = prompt + completion
    return msgspec.structs.replace(
        usage, prompt_tokens=prompt, completion_tokens=completion, total_tokens=total
    )


def _first(block: Mapping[str, Any], paths: tuple[tuple[str, ...], ...]) -> int | None:
    for path in paths:
        value: Any = block
        for name in path:
            value = (as_object(value) or {}).get(name)
        count = as_count(value)
        if count is not None:
            return count
    return None
