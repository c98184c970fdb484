"""Images, audio and realtime: what an answer consumed where it is not, or not only, text.

images     tokens in a usage block, else as many pictures as the answer holds
audio      tokens or seconds in a usage block, else the duration a transcription names
realtime   the usage of each finished response of a session, added up
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from chargeback.strangers import as_object, as_objects
from chargeback.usage import as_quantity

_PICTURE = ("b64_json", "url", "revised_prompt")


def operation_of(body: Mapping[str, Any]) -> str | None:
    """Tell an answer without an ``object`` by its members."""
    pictures = as_objects(body.get("data"))
    if pictures and any(name in pictures[0] for name in _PICTURE):
        return "images"
    if isinstance(body.get("text"), str) and (body.keys() & {"duration", "segments", "task"}):
        return "audio"
    return None


def quantities(body: Mapping[str, Any], operation: str) -> dict[str, Decimal]:
    """Return what can be counted in the answer itself, by meter of the rate table."""
    if operation == "images":
        pictures = len(as_objects(body.get("data")))
        return {"image_each": Decimal(pictures)} if pictures else {}
    seconds = as_quantity(body.get("duration")) if operation == "audio" else None
    return {} if seconds is None else {"audio_second": seconds}


def added(blocks: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Add up usage blocks, count by count and detail by detail."""
    total: dict[str, Any] | None = None
    for block in blocks:
        total = dict(block) if total is None else _plus(total, block)
    return total


def _plus(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _sum(one.get(name), other.get(name)) for name in {**one, **other}}


def _sum(one: Any, other: Any) -> Any:
    if isinstance(one, dict) or isinstance(other, dict):
        return _plus(as_object(one) or {}, as_object(other) or {})
    numbers = [each for each in (one, other) if isinstance(each, int)]
    return sum(numbers) if numbers else one
