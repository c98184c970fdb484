"""The records of an Avro file of Event Hubs Capture, a block at a time, with a bound on what a block expands to.

A stock reader expands a block as far as it goes: a megabyte of deflate can be a gigabyte of zeros, and an
array of nulls takes no bytes at all. Format: Apache Avro 1.11, "Object Container Files".
"""

import io
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

import msgspec
from msgspec import Struct

from chargeback.errors import UsageError
from chargeback.strangers import as_object

BLOCK_BYTES = 128 * 1024 * 1024
"""More than a hundred of the largest events a hub takes (1 MB); Capture flushes after far fewer."""
_MAGIC = b"Obj\x01"
_SYNC_BYTES = 16
_NUMBER = "SequenceNumber"
"""Every record of Capture has it, so no record takes less than a byte."""


_CODECS = ("null", "deflate")
_BROKEN = (EOFError, IndexError, ValueError, RecursionError, zlib.error)
"""What fastavro and zlib raise for bytes that are not what they should be."""


class _TooLargeError(Exception):
    """A block is larger than wanted."""


class _Header(Struct, frozen=True):
    schema: Any
    codec: str
    sync: bytes


def records(file: Path, *, block_bytes: int = BLOCK_BYTES) -> Iterator[Mapping[str, Any]]:
    """Yield the records, by the schema the file carries. Raises UsageError for what Capture does not write."""
    avro = _fastavro(file)
    with file.open("rb") as data:
        header = _header(file, data, avro)
        for number in _blocks(data):
            try:
                count, plain = _block(data, header, avro, block_bytes)
                for _ in range(count):
                    yield avro.schemaless_reader(plain, header.schema, None)
            except _BROKEN:
                raise UsageError(
                    f"{file}: block {number} is broken; copy the file again from where Capture wrote it"
                ) from None
            except _TooLargeError:
                raise UsageError(
                    f"{file}: block {number} expands to more than {block_bytes} bytes, which no block of Capture does; "
                    "if the file is yours, write it again with smaller blocks"
                ) from None


def _fastavro(file: Path) -> Any:
    try:
        import fastavro  # noqa: PLC0415  only Capture files need it, and it is an extra
    except ImportError:
        raise UsageError(
            f"{file}: reading Avro needs the extra `cli` (pip install 'azure-openai-chargeback[cli]')"
        ) from None
    return fastavro


def _header(file: Path, data: BinaryIO, avro: Any) -> _Header:
    magic = data.read(len(_MAGIC))
    try:
        told: dict[str, bytes] = avro.schemaless_reader(data, {"type": "map", "values": "bytes"}, None)
        written = msgspec.json.decode(told["avro.schema"])
        codec = told.get("avro.codec", b"null").decode()
        schema = avro.parse_schema(written)
    except Exception:  # noqa: BLE001  a stranger's schema, for which fastavro has more kinds than it names
        magic, written, codec, schema = b"", None, "", None
    if magic != _MAGIC:
        raise UsageError(f"{file}: not an Avro file, or its head is broken; copy it again")
    if not _is_captures(written):
        raise UsageError(
            f"{file}: its records are not those of Event Hubs Capture; expected a field {_NUMBER} and no arrays"
        )
    if codec not in _CODECS:
        raise UsageError(f"{file}: packed with {codec[:20]!r}; expected Capture's {' or '.join(_CODECS)}")
    return _Header(schema, codec, data.read(_SYNC_BYTES))


def _is_captures(schema: Any) -> bool:
    fields = (as_object(schema) or {}).get("fields")
    if not isinstance(fields, list) or b'"array"' in msgspec.json.encode(fields):
        return False
    return any(
        told.get("name") == _NUMBER and told.get("type") == "long"
        for told in map(as_object, cast("list[Any]", fields))
        if told
    )


def _blocks(data: BinaryIO) -> Iterator[int]:
    """Count the blocks, as long as another one begins."""
    number = 0
    while data.read(1):
        data.seek(-1, io.SEEK_CUR)
        number += 1
        yield number


def _block(data: BinaryIO, header: _Header, avro: Any, most: int) -> tuple[int, BinaryIO]:
    """Return how many records the next block holds, and their bytes."""
    count: int = avro.schemaless_reader(data, "long", None)
    size: int = avro.schemaless_reader(data, "long", None)
    if size > most:
        raise _TooLargeError
    packed = data.read(max(size, 0))
    if data.read(_SYNC_BYTES) != header.sync:
        raise ValueError(_SYNC_BYTES)
    # Raw deflate: no header, no checksum (the specification).
    plain = (
        packed
        if header.codec == "null"
        else zlib.decompressobj(wbits=-zlib.MAX_WBITS).decompress(packed, most + 1)
    )
    if len(plain) > most:
        raise _TooLargeError
    return count, io.BytesIO(plain)
