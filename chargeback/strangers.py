"""Single values of a stranger's JSON: ids without sentinels, counts without inventions, kinds for messages."""

import re
from collections.abc import Mapping
from typing import Any, cast

# Words by which the published policies say "nothing" in an id. Body text is never compared with them.
SENTINELS = frozenset({"", "na", "na-header", "null", "unknown", "n/a", "none", "undefined"})
LONGEST_SENTINEL = max(map(len, SENTINELS))
LONGEST_ID = 512
MOST = 10**15
"""No count is as large; what claims to be is damage."""
_WHOLE_NUMBER = re.compile(r"[0-9]{1,15}(?:\.0+)?")


def as_id(value: Any) -> str | None:
    """Return an id as text; None for sentinels and for what is no text or number. Very long ones are cut."""
    if type(value) is str:  # first, because nearly all are
        text = value.strip()
        if len(text) > LONGEST_SENTINEL:
            return text if len(text) <= LONGEST_ID else text[:LONGEST_ID]
        return None if text.lower() in SENTINELS else text
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
        return value[:LONGEST_ID]
    return None


def as_count(value: Any) -> int | None:
    """Return a token count. Negative, fractional, boolean, huge and ``"null"`` are unknown, not 0 and not 1."""
    if type(value) is int:  # first, because nearly all are; a bool is not of this type
        return value if 0 <= value < MOST else None
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, str):
        text = value.strip()
        return int(text.partition(".")[0]) if _WHOLE_NUMBER.fullmatch(text) else None
    if isinstance(value, float):
        return int(value) if value.is_integer() and 0 <= value < 1e15 else None
    return value if isinstance(value, int) and 0 <= value < MOST else None


_KINDS: dict[str, str] = {
    "NoneType": "null",
    "dict": "an object",
    "list": "an array",
    "str": "text",
    "bool": "a boolean",
    "int": "a number",
    "float": "a number",
}


def kind(value: Any) -> str:
    """Name a JSON value's kind, for messages that must not quote it."""
    return _KINDS.get(type(value).__name__, "an unknown kind")


# What was decoded from JSON has texts as names. The checker cannot know, and `cast` is a call at run time.
# These run many times an event.


def as_object(value: Any) -> Mapping[str, Any] | None:
    """Return a JSON object, or None for anything else."""
    return value if isinstance(value, dict) else None  # pyright: ignore[reportUnknownVariableType] - names in JSON are texts


def as_objects(value: Any) -> tuple[Mapping[str, Any], ...]:
    """Return the objects of a JSON array, in order; what is no object is left out."""
    if not value or not isinstance(value, list):
        return ()
    objects: list[Any] = [item for item in value if isinstance(item, dict)]  # pyright: ignore[reportUnknownVariableType] - names in JSON are texts
    return tuple(objects)


def as_texts(value: Any) -> tuple[str, ...]:
    """Return the texts of a JSON array, in order."""
    return (
        tuple(item for item in cast("list[Any]", value) if isinstance(item, str))
        if isinstance(value, list)
        else ()
    )


def as_text(value: Any) -> str:
    """Return body text, untouched; what is no text is none."""
    return value if isinstance(value, str) else ""
