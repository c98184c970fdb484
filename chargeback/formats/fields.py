"""Reading a stranger's JSON object: names without case, sentinels as absent, numbers in any clothing."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from chargeback.errors import RejectError
from chargeback.formats import times
from chargeback.salvage import Decoded
from chargeback.strangers import as_count, as_id, as_object, kind


class Fields:
    """One event's members by lower-case name; what stood open at a cut is not offered as a fact."""

    def __init__(self, decoded: Decoded) -> None:
        value = as_object(decoded.value)
        if value is None:
            raise RejectError("not_an_object", f"expected a JSON object, got {kind(decoded.value)}")
        self._values = {name.lower(): member for name, member in value.items()}
        self.cut = decoded.cut
        self.open = str(decoded.open_path[0]).lower() if decoded.open_path else None
        """Name of the member the cut is in."""

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._values)

    def raw(self, name: str) -> Any:
        """Return the member as it stands, even if the cut is in it (for bodies)."""
        return self._values.get(name)

    def whole(self, name: str) -> Any:
        """Return the member unless the cut is in it."""
        return None if name == self.open else self._values.get(name)

    def text(self, *names: str) -> str | None:
        """Return the first id-like text that is not a word for "missing"."""
        for name in names:
            text = as_id(self.whole(name))
            if text is not None:
                return text
        return None

    def count(self, *names: str) -> int | None:
        """Return the first member that is a whole number, as a number or as text."""
        return next((count for name in names if (count := as_count(self.whole(name))) is not None), None)

    def flag(self, name: str) -> bool | None:
        """Return a boolean, also from ``"true"``/``"false"``; anything else is unknown."""
        value = self.whole(name)
        if isinstance(value, str):
            return {"true": True, "false": False}.get(value.lower())
        return value if isinstance(value, bool) else None

    def instant(self, *names: str) -> datetime | None:
        """Return the first member that is a time (see ``times``)."""
        texts = (value for name in names if isinstance(value := self.whole(name), str))
        return next((time for text in texts if (time := times.instant(text)) is not None), None)

    def mapping(self, name: str) -> Mapping[str, Any] | None:
        """Return an object that stands whole."""
        return as_object(self.whole(name))
