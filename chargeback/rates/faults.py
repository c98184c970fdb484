"""What is wrong with a rate table: all of it at once, each fault with its place."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Literal

from msgspec import Struct

from chargeback.errors import StopError

Severity = Literal["error", "warning"]
Path = tuple[str | int, ...]


class Fault(Struct, frozen=True, kw_only=True):
    """One fault, told without its file. ``value`` is what was found: its kind, or a short quotation."""

    path: str
    """Such as ``rates[2].meters.input_text.price``; empty for the file as a whole."""
    value: str
    expected: str
    severity: Severity = "error"
    line: int | None = None

    def told(self, source: str) -> str:
        """Return ``file:line: path: found X, expected Y``."""
        place = source if self.line is None else f"{source}:{self.line}"
        path = f"{self.path}: " if self.path else ""
        return f"{place}: {path}found {self.value}, expected {self.expected}"


class Finding(Struct, frozen=True):
    """A fault as a check yields it; the loader adds line and severity."""

    path: Path
    value: str
    expected: str
    line: int | None = None
    """Only where the path's own line is not the place."""


class RateTableError(StopError):
    """The table cannot be used; the last good one stays in use. ``faults`` holds warnings too."""

    def __init__(self, source: str, faults: tuple[Fault, ...]) -> None:
        errors = [fault for fault in faults if fault.severity == "error"]
        count = "1 fault" if len(errors) == 1 else f"{len(errors)} faults"
        lines = "\n".join(f"  {fault.told(source)}" for fault in errors)
        super().__init__(
            f"{source}: the rate table has {count}; correct all of them and load it again:\n{lines}"
        )
        self.source = source
        self.faults = faults


def path_text(path: Path) -> str:
    """Write a path as people read it; a key with dots or signs is quoted."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif step.replace("_", "").isalnum():
            text += f".{step}" if text else step
        else:
            text += f'["{step}"]'
    return text


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)``, or nothing when no word is close."""
    close = get_close_matches(word, list(words), n=1, cutoff=0.7)
    return f" (did you mean {close[0]!r}?)" if close else ""


def any_of(words: Iterable[str]) -> str:
    return f"one of {', '.join(words)}"
