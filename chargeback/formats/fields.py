"""Reading a stranger's JSON object: names without case, sentinels as absent, numbers in any clothing."""

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from chargeback.errors import RejectError
from chargeback.formats import times
from chargeback.salvage import Decoded
from chargeback.strangers import as_count, as_id, as_object, as_objects, kind

_FLAGS = {"true": True, "1": True, "false": False, "0": False}


class Fields:
    """One event's members by lower-case name; what stood open at a cut is not offered as a fact."""

    def __init__(self, decoded: Decoded) -> None:
        value = as_object(decoded.value)
        if value is None:
            raise RejectError("not_an_object", f"expected a JSON object, got {kind(decoded.value)}")
        lowered, self.names = _lowered(tuple(value))
        self._values = dict(zip(lowered, value.values(), strict=True))
        self.cut = decoded.cut
        self.open_path = decoded.open_path
        self.open = str(decoded.open_path[0]).lower() if decoded.open_path else None
        """Name of the member the cut is in."""

    def raw(self, name: str) -> Any:
        """Return the member as it stands, even if the cut is in it (for bodies)."""
        return self._values.get(name)

    def first_raw(self, names: tuple[str, ...]) -> Any:
        """Return the first of the members that is there and not null, even if the cut is in it."""
        for name in names:
            value = self._values.get(name)
            if value is not None:
                return value
        return None

    def starts(self, name: str, words: tuple[str, ...]) -> bool:
        """True if the member is text that begins with one of the words, without regard to case."""
        value = self.whole(name)
        return isinstance(value, str) and value.lower().startswith(words)

    def any_name(self, prefix: str) -> bool:
        """True if some member's name begins so."""
        return any(name.startswith(prefix) for name in self._values)

    def in_records(self, names: frozenset[str]) -> bool:
        """True if ``records`` is a list whose first object has one of the members, or an empty list."""
        records = self._values.get("records")
        if records == []:
            return True
        first = next(iter(as_objects(records)), None)
        return first is not None and any(name.lower() in names for name in first)

    def whole(self, name: str) -> Any:
        """Return the member unless the cut is in it."""
        return None if name == self.open else self._values.get(name)

    def text(self, *names: str) -> str | None:
        """Return the first id-like text that is not a word for "missing"."""
        for name in names:
            if name != self.open and (text := as_id(self._values.get(name))) is not None:
                return text
        return None

    def count(self, *names: str) -> int | None:
        """Return the first member that is a whole number, as a number or as text."""
        for name in names:
            count = as_count(self.whole(name))
            if count is not None:
                return count
        return None

    def flag(self, *names: str) -> bool | None:
        """Return a boolean, also from ``"true"``, ``"0"`` and the like; anything else is unknown."""
        for name in names:
            value = self.whole(name)
            if isinstance(value, str):
                value = _FLAGS.get(value.lower())
            if isinstance(value, bool):
                return value
        return None

    def instant(self, *names: str) -> datetime | None:
        """Return the first member that is a time (see ``times``)."""
        for name in names:
            value = self.whole(name)
            time = times.instant(value) if isinstance(value, str) else None
            if time is not None:
                return time
        return None

    def mapping(self, name: str) -> Mapping[str, Any] | None:
        """Return an object that stands whole."""
        return as_object(self.whole(name))


@lru_cache(maxsize=256)
def _lowered(names: tuple[str, ...]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return the names in lower case, in their order and as a set: a hub sees few lists of names, again and again."""
    lowered = tuple(name.lower() for name in names)
    return lowered, frozenset(lowered)
