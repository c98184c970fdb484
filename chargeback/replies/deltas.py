"""Chunks of a stream that differ from one they follow in their text alone, told without decoding them.

A stream's chunks repeat all they say but a few characters: id, model, filter verdicts. From one decoded chunk
this learns what stands before its text and behind it, and proves it: another text put between must decode to
the same chunk with that text. What stands between the same two is then a chunk with the text in the middle,
if that is the inside of a JSON string.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from chargeback.strangers import as_object, as_objects

_PROBE = "probe"
_NOT_IN_CHUNK = ("usage", "error", "type", "response")

AT_ONCE = 100
"""Chunks taken in one go: those behind one that has to be decoded are looked at again."""
BLANK_LINE = "\n\n"


class Pattern(Struct, frozen=True):
    """``before`` and ``behind`` enclose the text of choice ``index``'s delta; ``behind`` begins with its quote."""

    index: int
    before: str
    behind: str
    """With the blank line that ends the chunk."""
    between: str
    """From the end of one text to the beginning of the next."""

    def texts(self, stream: str, start: int) -> tuple[list[str], int]:
        """Return the texts of the chunks from ``start`` on that are like the learnt one, and the place behind them."""
        found = self._like(stream, start)
        # Mostly all are plain, and asking once is quicker than asking each.
        if _is_plain("".join(found)):
            return found, start + self._length(found)
        read: list[str] = []
        for text in found:
            meant = text if _is_plain(text) else _inside(text)
            if meant is None:
                break
            read.append(meant)
        return read, start + self._length(found[: len(read)])

    def _like(self, stream: str, start: int) -> list[str]:
        """Return what stands between, as it is written, while the chunks are like the learnt one."""
        found: list[str] = []
        if not stream.startswith(self.before, start):
            return found
        between, step = self.between, len(self.between)
        begin = start + len(self.before)
        for _ in range(AT_ONCE):
            end = stream.find('"', begin)
            if not stream.startswith(between, end):
                if stream.startswith(self.behind, end):
                    found.append(stream[begin:end])  # the last one that is
                break
            found.append(stream[begin:end])
            begin = end + step
        return found

    def _length(self, texts: list[str]) -> int:
        return sum(map(len, texts)) + len(texts) * len(self.between)


def _is_plain(text: str) -> bool:
    """True if JSON writes the text as it stands; what is not printable may be a control character."""
    return "\\" not in text and text.isprintable()


def _inside(text: str) -> str | None:
    """Return what the inside of a JSON string means; None if it is none."""
    try:
        return _string.decode(f'"{text}"')
    except (msgspec.DecodeError, UnicodeError):
        return None


_string = msgspec.json.Decoder(str)


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
    before, behind = line[:start], line[start + len(text) :]
    proof = {**chunk, "choices": [{**choices[0], "delta": {**delta, "content": _PROBE}}]}
    if not start or _decoded(before + _PROBE + behind, prefix) != proof:
        return None
    behind += BLANK_LINE
    return Pattern(choices[0]["index"], before, behind, behind + before)


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
