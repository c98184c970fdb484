"""Bodies out of pieces: what is here, whether it is all, and the text of it as far as it goes.

A body comes whole, as numbered slices of known number, or as numbered chunks of a log that does not say how
many there are; there both bodies of a call count their chunks with one sequence.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from chargeback.capture import Piece


class Pieces(Struct, frozen=True, kw_only=True):
    """The pieces of one call's bodies, as plain data. ``data`` is keyed ``body/number``."""

    bodies: tuple[str, ...] = ()
    """Which bodies the call has, as far as the pieces say."""
    lengths: Mapping[str, int | None] = {}
    """How many pieces each body seen so far has; None where the format does not say."""
    data: Mapping[str, bytes] = {}
    frames: Mapping[str, tuple[bytes, bytes]] = {}
    cut: tuple[str, ...] = ()
    """Keys of pieces that were cut."""

    @property
    def all_here(self) -> bool:
        return all(self._is_here(body) for body in self.bodies)

    def has(self, body: str) -> bool:
        """True if anything of a body is here."""
        return body in self.lengths

    def plus(self, piece: Piece) -> "Pieces":
        """Return the pieces with one more; a piece that comes twice is the same piece."""
        key = f"{piece.body}/{piece.number}"
        is_new = key not in self.data
        return Pieces(
            bodies=_union(self.bodies, piece.bodies),
            lengths={**self.lengths, piece.body: piece.of},
            data={**self.data, key: piece.data} if is_new else self.data,
            frames={**self.frames, piece.body: piece.frame},
            cut=_union(self.cut, (key,)) if piece.cut and is_new else self.cut,
        )

    def text(self, body: str) -> tuple[str | None, bool]:
        """Return the beginning of a body that is here, and whether it is all of it."""
        of = self.lengths.get(body)
        if body in self.lengths and of is None:
            return self._of_chunks(body)
        data = b""
        for number in range(of or 0):
            key = f"{body}/{number}"
            data += self.data.get(key, b"")
            if key in self.cut or key not in self.data:
                return self._framed(body, data, whole=False), False
        return self._framed(body, data, whole=of is not None), of is not None

    def _is_here(self, body: str) -> bool:
        of = self.lengths.get(body)
        return of is not None and all(f"{body}/{number}" in self.data for number in range(of))

    def _of_chunks(self, body: str) -> tuple[str | None, bool]:
        numbers = sorted({int(key.partition("/")[2]) for key in self.data})
        last = next((number for number in numbers if number + 1 not in numbers), -1)
        mine = sorted(int(key.partition("/")[2]) for key in self.data if key.startswith(f"{body}/"))
        data = b"".join(self.data[f"{body}/{number}"] for number in mine if number <= last)
        # The first number is 0 or 1; where more are missing in front, something may be missing.
        whole = numbers[:1] <= [1] and bool(mine) and mine[-1] <= last
        return self._framed(body, data, whole=whole), whole

    def _framed(self, body: str, data: bytes, *, whole: bool) -> str | None:
        before, behind = self.frames.get(body, (b"", b""))
        text = data.decode("utf-8", "replace")
        return f"{before.decode()}{text}{behind.decode() if whole else ''}" if text else None


def _union(first: Iterable[str], second: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({*first, *second}))
