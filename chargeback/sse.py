"""Server-sent events out of a captured body, as the WHATWG standard reads them, to the last byte.

Differences on purpose: a byte order mark costs no event (the usual decoders lose the first one), and the
last event is delivered even without its closing blank line, because a cut capture ends that way.
"""

import re
from collections.abc import Iterator

from msgspec import Struct

# The standard knows three line ends and no others; str.splitlines would also break at U+2028.
_LINE_END = re.compile(r"\r\n|\n|\r")
_FIRST_LINE = re.compile(r"\ufeff?\s*(?:data|event|id|retry)?:")


class ServerEvent(Struct, frozen=True):
    """One event; ``closed`` is False for a last one without its blank line."""

    name: str
    data: str
    closed: bool = True


def looks_like_stream(text: str) -> bool:
    """True if the body starts like an event stream rather than like JSON."""
    return _FIRST_LINE.match(text) is not None


def events(text: str) -> Iterator[ServerEvent]:
    """Yield the events that carry data, in order."""
    name, data = "", list[str]()
    for line in _LINE_END.split(text.removeprefix("\ufeff")):
        if not line:
            if data:
                yield ServerEvent(name, "\n".join(data))
            name, data = "", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            data.append(value)
        elif field == "event":
            name = value
    if data:
        yield ServerEvent(name, "\n".join(data), closed=False)
