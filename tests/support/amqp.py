"""As much of AMQP 1.0's encoding as a test broker needs: values, frames, and messages cut into raw sections.

The SDK reads performatives by position and fails when trailing null fields are left out, which the standard
allows. So ``performative`` fills every field. Messages are never decoded as a whole: sections stay the bytes
they were, and only the annotations the broker adds are written anew.
"""

import struct
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


class Sym(str):
    """A symbol: ASCII, another type than text on the wire."""

    __slots__ = ()


class Raw(bytes):
    """Already encoded."""

    __slots__ = ()


@dataclass(frozen=True)
class Described:
    code: Any
    value: Any


def uint(value: int) -> Raw:
    return Raw(struct.pack(">BI", 0x70, value))


def ushort(value: int) -> Raw:
    return Raw(struct.pack(">BH", 0x60, value))


def ulong(value: int) -> Raw:
    return Raw(struct.pack(">BQ", 0x80, value))


def ubyte(value: int) -> Raw:
    return Raw(struct.pack(">BB", 0x50, value))


def int32(value: int) -> Raw:
    return Raw(struct.pack(">Bi", 0x71, value))


def timestamp(milliseconds: int) -> Raw:
    return Raw(struct.pack(">Bq", 0x83, milliseconds))


def array_of_text(values: Sequence[str]) -> Raw:
    body = b"".join(struct.pack(">I", len(each.encode())) + each.encode() for each in values)
    return Raw(b"\xf0" + struct.pack(">II", len(body) + 5, len(values)) + b"\xb1" + body)


def encode(value: Any) -> bytes:  # noqa: C901, PLR0911, PLR0912  one line a type
    match value:
        case Raw():
            return value
        case None:
            return b"\x40"
        case True:
            return b"\x41"
        case False:
            return b"\x42"
        case int():
            return struct.pack(">Bq", 0x81, value)
        case float():
            return struct.pack(">Bd", 0x82, value)
        case Sym():
            return _variable(0xA3, value.encode("ascii"))
        case str():
            return _variable(0xA1, value.encode())
        case bytes():
            return _variable(0xA0, value)
        case uuid.UUID():
            return b"\x98" + value.bytes
        case Described():
            return b"\x00" + encode(value.code) + encode(value.value)
        case Mapping():
            return _compound(0xD1, [each for pair in value.items() for each in pair])
        case list() | tuple():
            return _compound(0xD0, value)
        case _:
            raise TypeError(f"no AMQP form for {type(value).__name__}")


def _variable(short: int, data: bytes) -> bytes:
    if len(data) < 256:
        return bytes((short, len(data))) + data
    return bytes((short + 0x10,)) + struct.pack(">I", len(data)) + data


def _compound(code: int, values: Sequence[Any]) -> bytes:
    body = b"".join(map(encode, values))
    return bytes((code,)) + struct.pack(">II", len(body) + 4, len(values)) + body


_FIXED = {
    0x40: (0, lambda _: None),
    0x41: (0, lambda _: True),
    0x42: (0, lambda _: False),
    0x43: (0, lambda _: 0),
    0x44: (0, lambda _: 0),
    0x50: (1, lambda b: b[0]),
    0x51: (1, lambda b: struct.unpack(">b", b)[0]),
    0x52: (1, lambda b: b[0]),
    0x53: (1, lambda b: b[0]),
    0x54: (1, lambda b: struct.unpack(">b", b)[0]),
    0x55: (1, lambda b: struct.unpack(">b", b)[0]),
    0x56: (1, lambda b: b[0] == 1),
    0x60: (2, lambda b: struct.unpack(">H", b)[0]),
    0x61: (2, lambda b: struct.unpack(">h", b)[0]),
    0x70: (4, lambda b: struct.unpack(">I", b)[0]),
    0x71: (4, lambda b: struct.unpack(">i", b)[0]),
    0x72: (4, lambda b: struct.unpack(">f", b)[0]),
    0x73: (4, lambda b: b.decode("utf-32-be")),
    0x80: (8, lambda b: struct.unpack(">Q", b)[0]),
    0x81: (8, lambda b: struct.unpack(">q", b)[0]),
    0x82: (8, lambda b: struct.unpack(">d", b)[0]),
    0x83: (8, lambda b: struct.unpack(">q", b)[0]),
    0x98: (16, lambda b: uuid.UUID(bytes=bytes(b))),
}
_TEXT = {0xA0: bytes, 0xB0: bytes, 0xA1: lambda b: bytes(b).decode(), 0xB1: lambda b: bytes(b).decode()}
_TEXT |= {0xA3: lambda b: Sym(bytes(b).decode("ascii")), 0xB3: lambda b: Sym(bytes(b).decode("ascii"))}
_WIDTHS = {0x4: 0, 0x5: 1, 0x6: 2, 0x7: 4, 0x8: 8, 0x9: 16}


def decode(data: bytes, at: int = 0) -> tuple[Any, int]:
    """Return the value at ``at`` and the place behind it."""
    code = data[at]
    if code == 0x00:
        descriptor, at = decode(data, at + 1)
        value, at = decode(data, at)
        return Described(descriptor, value), at
    return _decode(code, data, at + 1)


def _decode(code: int, data: bytes, at: int) -> tuple[Any, int]:
    if code in _FIXED:
        width, read = _FIXED[code]
        return read(data[at : at + width]), at + width
    if code in _TEXT:
        length, at = (data[at], at + 1) if code < 0xB0 else (struct.unpack_from(">I", data, at)[0], at + 4)
        return _TEXT[code](data[at : at + length]), at + length
    if code == 0x45:
        return [], at
    small = code in (0xC0, 0xC1, 0xE0)
    size, count = (data[at], data[at + 1]) if small else struct.unpack_from(">II", data, at)
    end = at + (1 + size if small else 4 + size)
    at += 2 if small else 8
    if code in (0xE0, 0xF0):
        return _array(data, at, count), end
    values = []
    for _ in range(count):
        value, at = decode(data, at)
        values.append(value)
    if code in (0xC1, 0xD1):
        return dict(zip(values[::2], values[1::2], strict=True)), end
    return values, end


def _array(data: bytes, at: int, count: int) -> list[Any]:
    code = data[at]
    at += 1
    values = []
    for _ in range(count):
        value, at = _decode(code, data, at)
        values.append(value)
    return values


def skip(data: bytes, at: int) -> int:
    """Return the place behind the value at ``at`` without decoding it."""
    code = data[at]
    if code == 0x00:
        return skip(data, skip(data, at + 1))
    kind = code >> 4
    if kind in _WIDTHS:
        return at + 1 + _WIDTHS[kind]
    if kind in (0xA, 0xC, 0xE):
        return at + 2 + data[at + 1]
    return at + 5 + struct.unpack_from(">I", data, at + 1)[0]


def fields(data: bytes, at: int) -> list[bytes]:
    """Return the values of a list as the bytes they are."""
    code = data[at]
    if code == 0x45:
        return []
    small = code == 0xC0
    count = data[at + 2] if small else struct.unpack_from(">I", data, at + 5)[0]
    at += 3 if small else 9
    found = []
    for _ in range(count):
        end = skip(data, at)
        found.append(data[at:end])
        at = end
    return found


def sections(message: bytes) -> Iterable[tuple[int, bytes]]:
    """Yield each section's code and its bytes with the descriptor."""
    at = 0
    while at < len(message):
        code, value_at = decode(message, at + 1)
        end = skip(message, value_at)
        yield code, message[at:end]
        at = end


def annotations(section: bytes) -> dict[str, bytes]:
    """Return a map section's keys with their values as the bytes they are."""
    _, at = decode(section, 1)
    code = section[at]
    small = code == 0xC1
    count = section[at + 2] if small else struct.unpack_from(">I", section, at + 5)[0]
    at += 3 if small else 9
    found = {}
    for _ in range(count // 2):
        key, at = decode(section, at)
        end = skip(section, at)
        found[str(key)] = section[at:end]
        at = end
    return found


def section(code: int, value: Any) -> bytes:
    """The SDK takes the third byte for the code: only the small form of the descriptor will do."""
    return b"\x00\x53" + bytes((code,)) + encode(value)


def map_section(code: int, values: Mapping[str, Any]) -> bytes:
    return section(code, {Sym(key): value for key, value in values.items()})


FIELDS = {
    0x10: 10,
    0x11: 8,
    0x12: 14,
    0x13: 11,
    0x14: 11,
    0x15: 6,
    0x16: 3,
    0x17: 1,
    0x18: 1,
    0x1D: 3,
    0x28: 11,
    0x29: 7,
    0x40: 1,
    0x44: 2,
}


def described(code: int, *values: Any) -> Raw:
    """Return a performative, or what is written like one, with every field it has."""
    filled = [*values, *[None] * (FIELDS.get(code, len(values)) - len(values))]
    return Raw(b"\x00\x53" + bytes((code,)) + encode(filled))


def frame(channel: int, body: bytes, kind: int = 0) -> bytes:
    return struct.pack(">IBBH", len(body) + 8, 2, kind, channel) + body
