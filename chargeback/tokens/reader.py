"""Reading a stranger's JSON: whatever stands where something else was expected counts as absent.

A body may be wrong in any field, or half of it lost. These few readers are the only place
where the counting rules look at a type, so no shape of a body can raise.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

NOTHING: Mapping[str, Any] = {}


def as_object(value: Any) -> Mapping[str, Any]:
    # Asking an abstract class is slow, and what was decoded is a dict.
    is_object = type(value) is dict or isinstance(value, Mapping)
    return cast("Mapping[str, Any]", value) if is_object else NOTHING


def as_list(value: Any) -> Sequence[Any]:
    return cast("Sequence[Any]", value) if isinstance(value, (list, tuple)) else ()


def as_text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def objects(value: Any) -> list[Mapping[str, Any]]:
    """Return the objects of a list, without what else is in it."""
    return [
        cast("Mapping[str, Any]", entry)
        for entry in as_list(value)
        if type(entry) is dict or isinstance(entry, Mapping)
    ]


def whole_number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def dumped(value: Any, *, spaced: bool = False, ascii_only: bool = False) -> str:
    """Return ``value`` as JSON in the order it came; ``""`` for what JSON cannot hold or nest."""
    separators = None if spaced else (",", ":")
    try:
        return json.dumps(value, separators=separators, ensure_ascii=ascii_only)
    except (RecursionError, TypeError, ValueError):
        return ""


def compacted(arguments: str, *, spaced: bool = False) -> str:
    """Return JSON text without its optional blanks (or with the usual ones), other text as it stands."""
    try:
        return dumped(json.loads(arguments), spaced=spaced) or arguments
    except (RecursionError, ValueError):
        return arguments
