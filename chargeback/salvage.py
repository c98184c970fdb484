"""JSON that may end too early: read all of it, or the whole part of it, and say which.

API Management cuts a long event after 200 KB, in the middle of anything. What was written before the cut
is still true, so it is kept; what stands open at the cut (half a number, half a usage block) is not.
"""

import codecs
import re
from typing import Any, Literal, cast

import orjson
from msgspec import Struct

from chargeback.errors import RejectError

# One match per string, bracket or separator: enough to know where a cut stands. A string left open matches
# its quote alone. Possessive repeats keep a 200 KB open string linear.
_TOKENS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|["{}\[\]:,]', re.DOTALL)
# JSON may escape half a surrogate pair (JavaScript clients do); strict decoders refuse the whole text.
# Every escape is matched, so that an escaped backslash before a `u` is not taken for one.
_ESCAPES = re.compile(
    rb"(?P<pair>\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?P<open>\\u[dD][89abAB][0-9a-fA-F]{2}(?:\\(?:u[0-9a-fA-F]{0,3})?)?\Z)"
    rb"|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.",
    re.DOTALL,
)
_utf8_decoder = codecs.getincrementaldecoder("utf-8")
_CLOSERS = {b"}": b"{", b"]": b"["}


class Decoded(Struct, frozen=True):
    """A JSON value, and where it stood open when the text ended."""

    value: Any
    open_path: tuple[str | int, ...] = ()
    """Keys and indexes from the root to the place of the cut."""
    cut: bool = False

    def is_whole(self, key: str) -> bool:
        """True if the cut is not inside the top-level member ``key``."""
        return not self.cut or key not in self.open_path


def decode(text: bytes | str) -> Decoded:
    """Read JSON text, whole or cut.

    Raises RejectError (``not_json``) when the text is not the beginning of one JSON value.
    """
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        return Decoded(orjson.loads(data))  # on a 200 KB string it takes half of msgspec's time
    except orjson.JSONDecodeError:
        return _tolerant(data)


def _tolerant(data: bytes) -> Decoded:
    data = _mend(data.strip())
    if not data:
        raise RejectError("empty", "the body is empty; expected a JSON object")
    try:
        value = _from_json(data, allow_partial="trailing-strings")
    except ValueError as error:
        raise RejectError("not_json", f"the body is not JSON: {_kind(error)}") from None
    containers, leaf_open = _cut(data)
    if not containers and not leaf_open:
        return Decoded(_complete(data))
    return Decoded(value, _open_path(value, len(containers) - 1 + leaf_open), cut=True)


def _complete(data: bytes) -> Any:
    """Read a text whose brackets are closed: a strict decoder refused it, so say why or accept it."""
    try:
        return _from_json(data)
    except ValueError as error:
        raise RejectError("not_json", f"the body is not JSON: {_kind(error)}") from None


def _from_json(data: bytes, *, allow_partial: Literal["trailing-strings"] | bool = False) -> Any:
    import pydantic_core  # noqa: PLC0415  a tenth of the start-up, and few events are cut

    return pydantic_core.from_json(data, allow_partial=allow_partial, allow_inf_nan=False)


def _mend(data: bytes) -> bytes:
    """Replace what strict decoders refuse but no meaning hangs on: bad UTF-8 and half surrogate pairs."""
    # final=False: bytes of a character that the cut split are dropped, not turned into a sign of their own.
    data = _utf8_decoder(errors="replace").decode(data, final=False).encode()
    if b"\\ud" not in data and b"\\uD" not in data:
        return data  # no half of anything; looking at every escape of 200 KB takes 20 ms
    return _ESCAPES.sub(_mended, data)


def _mended(match: re.Match[bytes]) -> bytes:
    if match["open"]:
        return b""  # the cut took the other half
    return rb"\ufffd" if match["half"] else match.group()


def _cut(data: bytes) -> tuple[bytes, bool]:
    """Return the brackets that stand open at the end, and whether a value (not a name) does."""
    containers = b""
    before = b""
    for match in _TOKENS.finditer(data):
        token = match.group()
        if token in b"{[":
            containers += token
        elif token in b"}]":
            containers = containers.removesuffix(_CLOSERS[token])
        elif token == b'"':
            is_name = containers.endswith(b"{") and before != b":"
            return containers, not is_name
        before = token
    # A number or literal at the very end may go on behind the cut.
    return containers, bool(containers) and data[-1:] not in b'}]":,{['


def _open_path(value: Any, depth: int) -> tuple[str | int, ...]:
    """Follow the last member down ``depth`` levels: that is the way to the cut."""
    path: list[str | int] = []
    for _ in range(depth):
        if isinstance(value, dict) and value:
            members = cast("dict[str, Any]", value)
            path.append(next(reversed(members)))
            value = members[str(path[-1])]
        elif isinstance(value, list) and value:
            items = cast("list[Any]", value)
            path.append(len(items) - 1)
            value = items[-1]
        else:
            break
    return tuple(path)


def _kind(error: ValueError) -> str:
    """Keep the place and the kind of a decoder's message; it never quotes the text."""
    return str(error)
