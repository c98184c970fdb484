r"""Which bytes of a segment count: the ``rows`` lines before a commit, and nothing else.

    row row commit  row ro|  \n row row row commit  end
    └── counts ──┘  └torn┘      └─── counts ─────┘  └ goes on in ``next``

A crash in the middle of a local write leaves a torn tail. It is never cut off (a rival may be looking at
it); the next append starts on a new line, and because a commit says how many lines it covers, whatever
lies before those is nobody's. A last line needs no newline to count: a JSON object is whole exactly when
its last brace is there. Were it ignored, the newline of the next append would revive it, and its
events, written again by then, would count twice.
"""

from collections import deque
from collections.abc import Iterator

import msgspec
from msgspec import Struct

from chargeback.errors import StopError
from chargeback.journal.rows import BillingRow, Commit, End, decode
from chargeback.ports import Segments

# msgspec writes the tag first, and quotes inside values are escaped: no other row starts like this.
_MARKS = (b'{"row":"commit",', b'{"row":"end",')
_TAIL = 64 * 1024
_CHUNK = 1024 * 1024


class Tail(Struct, frozen=True):
    commit: Commit | None
    end: End | None
    committed: int
    """Offset just after the commit."""
    whole: bool
    """The segment ends with a whole line."""


def tail(segments: Segments, name: str, size: int) -> Tail:
    """Find the last commit, and the ``end`` behind it, from the back."""
    span = _TAIL
    while True:
        start = max(0, size - span)
        found = _search(segments.read(name, start, size), start)
        if found.commit is not None or start == 0:
            return found
        span *= 4


def _search(data: bytes, start: int) -> Tail:
    whole = not data or data.endswith(b"\n")
    # What comes before the first newline may be the rest of a longer line.
    floor = (data.find(b"\n") + 1 or len(data)) if start else 0
    end: End | None = None
    stop = len(data)
    while stop > floor:
        begin = max(data.rfind(b"\n", floor, stop - 1) + 1, floor)
        match _mark(data[begin:stop]):
            case Commit() as commit:
                return Tail(commit, end, start + stop, whole)
            case End() as end:
                pass
            case None:
                pass
        stop = begin
    return Tail(None, end, 0, whole)


def rows(segments: Segments, name: str, start: int, size: int) -> Iterator[tuple[int, BillingRow | End]]:
    """Yield the committed rows from ``start`` on, each with the offset after it; an ``end`` comes last.

    ``start`` may lie between two rows of one commit: then the rest of them is what is found before it.
    """
    for offset, line in lines(segments, name, start, size):
        yield offset, line if isinstance(line, End) else row(name, offset, line)


def lines(segments: Segments, name: str, start: int, size: int) -> Iterator[tuple[int, bytes | End]]:
    """Yield what ``rows`` does, each as the line it is."""
    block: deque[tuple[int, bytes]] = deque()
    held, resumed = 0, start > 0
    for offset, line in _lines(segments, name, start, size):
        match _mark(line):
            case None:
                block.append((offset, line))
                held += len(line)
                # No commit covers more than one append: what is older was torn. Keeps memory bounded.
                while held > segments.max_append:
                    held -= len(block.popleft()[1])
            case Commit(rows=count):
                if count > len(block) and not resumed:
                    raise StopError(_damaged(name, offset, f"a commit of {count} rows follows {len(block)}"))
                while len(block) > count:
                    block.popleft()
                yield from block
                block.clear()
                held, resumed = 0, False
            case End() as end:
                yield offset, end
                return


def _lines(segments: Segments, name: str, start: int, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield every line that isn't blank with the offset after it, the last one also without newline."""
    rest = b""
    for begin in range(start, size, _CHUNK):
        *lines, rest = (rest + segments.read(name, begin, min(begin + _CHUNK, size))).split(b"\n")
        for line in lines:
            start += len(line) + 1
            if line:
                yield start, line
    if rest:
        yield start + len(rest), rest


def _mark(line: bytes) -> Commit | End | None:
    if not line.startswith(_MARKS):
        return None
    try:
        found = decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):  # torn
        return None
    return found if isinstance(found, Commit | End) else None


def row(name: str, offset: int, line: bytes) -> BillingRow:
    """Decode a committed line. Raises StopError for one that was damaged later."""
    try:
        found = decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StopError(_damaged(name, offset, "a committed row cannot be read")) from error
    if isinstance(found, Commit | End):  # pragma: no cover - _mark has sorted these out
        raise StopError(_damaged(name, offset, "a mark stands among the rows"))
    return found


def _damaged(name: str, offset: int, what: str) -> str:
    return (
        f"journal segment {name}, before byte {offset}: {what}; it was changed from outside or written by "
        "a newer version. Restore the segment from a backup, or update this program"
    )
