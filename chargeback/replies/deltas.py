"""Chunks of a stream that differ from one they follow in their text alone, told without decoding them.

A stream's chunks repeat all they say but a few characters: id, model, filter verdicts. From one decoded chunk
this learns what stands before its text and behind it, and proves it: another text put between must decode to
the same chunk with that text. A line that begins and ends so, with nothing in the middle that JSON would have
to escape, says nothing else.
"""

from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

import msgspec
from msgspec import Struct

from chargeback.strangers import as_object, as_objects

_PROBE = "probe"
_NOT_IN_CHUNK = ("usage", "error", "type", "response")

AT_ONCE = 48
"""Lines taken in one go: those behind one that has to be decoded are looked at again."""


class Pattern(Struct, frozen=True):
    """``before`` and ``behind`` enclose the text of choice ``index``'s delta."""

    index: int
    before: str
    behind: str

    def texts(self, lines: Sequence[str], start: int) -> list[str]:
        """Return the texts of the next lines from ``start`` on, if they are like the one that was learnt."""
        before, behind, begin, end = self.before, self.behind, len(self.before), len(self.behind)
        found: list[str] = []
        for line in lines[start : start + AT_ONCE]:
            if not (line.startswith(before) and line.endswith(behind)):
                break
            found.append(line[begin:-end])
        # Mostly all are plain, and asking once is quicker than asking each. An empty one may be a line in
        # which what stands before and behind overlap.
        if "" not in found and _is_plain("".join(found)):
            return found
        return list(takewhile(lambda text: text != "" and _is_plain(text), found))


def _is_plain(text: str) -> bool:
    """True if JSON writes the text as it stands; what is not printable may be a control character."""
    return '"' not in text and "\\" not in text and text.isprintable()


def learn(line: str, prefix: str, chunk: Mapping[str, Any] | None) -> Pattern | None:
    """Return the pattern of a line, ``prefix`` + ``chunk``, if text of one choice is all that the chunk adds."""
    if chunk is None:
        return None
    choices = as_objects(chunk.get("choices"))
    delta = as_object(choices[0].get("delta")) if len(choices) == 1 else None
    if delta is None or not _adds_text_only(chunk, choices[0], delta):
        return None
    text = str(delta["content"])
    start = line.rfind(f'"{text}"') + 1
    pattern = Pattern(choices[0]["index"], line[:start], line[start + len(text) :])
    proof = {**chunk, "choices": [{**choices[0], "delta": {**delta, "content": _PROBE}}]}
    return pattern if start and _decoded(pattern.before + _PROBE + pattern.behind, prefix) == proof else None


def _adds_text_only(chunk: Mapping[str, Any], choice: Mapping[str, Any], delta: Mapping[str, Any]) -> bool:
    more = [chunk.get(name) for name in _NOT_IN_CHUNK] + [choice.get("finish_reason")]
    more += [value for name, value in delta.items() if name not in ("role", "content")]
    text, index = delta.get("content"), choice.get("index")
    return not any(more) and isinstance(text, str) and text != "" and type(index) is int and index >= 0


def _decoded(line: str, prefix: str) -> Mapping[str, Any] | None:
    try:
        return as_object(msgspec.json.decode(line.removeprefix(prefix)))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
