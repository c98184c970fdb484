"""Captured events from files: JSON lines, a JSON array, Avro of Event Hubs Capture, or folders of them.

A line is the event body itself or an envelope around it; a line that names no place gets the file's own:
hub ``file-`` and the first digits of its SHA-256, partition 0, the line's number. So the same file read
twice gives the same events, and two files never share one.
"""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import msgspec
from msgspec import Struct

from chargeback.errors import UsageError
from chargeback.event import Event, Stream
from chargeback.formats.times import instant
from chargeback.sources import avro_files
from chargeback.strangers import as_count, as_id, as_object

NAMESPACE = "files"
SUFFIXES = (".jsonl", ".ndjson", ".json", ".avro")
_PACKED = frozenset({".gz", ".zip", ".zst", ".bz2", ".xz"})
# An envelope has a body and says nothing that a captured event of any format would say at its top.
_ENVELOPE = frozenset(
    {"body", "partition", "sequence_number", "offset", "enqueued_time", "partition_key", "properties"}
)


class Source(Struct, frozen=True):
    """What a replay reads: files in order, and one name for all of them together."""

    files: tuple[Path, ...]
    sha256: str


def find(paths: Sequence[Path]) -> Source:
    """Collect the files of paths and folders. Raises UsageError for what is not there or holds nothing."""
    files = tuple(file for path in paths for file in _files(path))
    if not files:
        raise UsageError(f"no captured events found; expected files ending in {', '.join(SUFFIXES)}")
    whole = hashlib.sha256()
    for file in files:
        whole.update(_sha256(file).encode())
    return Source(files, whole.hexdigest())


def read(source: Source) -> Iterator[Event]:
    """Yield the events of all files; ``position`` counts them through."""
    position = 0
    for file in source.files:
        for event in _events(file):
            position += 1
            yield msgspec.structs.replace(event, position=position)


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES and file.is_file())
    elif path.is_file():
        if path.suffix in _PACKED:
            raise UsageError(f"{path}: it is compressed; unpack it first, such as with gunzip or unzip")
        yield path
    else:
        raise UsageError(f"{path}: no such file or folder")


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _events(file: Path) -> Iterator[Event]:
    if file.suffix == ".avro":
        yield from _avro(file)
        return
    stream = Stream(NAMESPACE, f"file-{_sha256(file)[:12]}", 1, "0")
    for number, body in enumerate(_bodies(file), start=1):
        yield _event(body, stream, number)


def _bodies(file: Path) -> Iterator[bytes]:
    """Yield one body a line; a ``.json`` file holds one event, or an array of them."""
    if file.suffix == ".json":
        text = file.read_bytes()
        try:
            value = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            yield text
            return
        yield from map(msgspec.json.encode, cast("list[Any]", value)) if isinstance(value, list) else (text,)
        return
    with file.open("rb") as lines:
        yield from (line.rstrip(b"\r\n") for line in lines if line.strip())


def _event(line: bytes, stream: Stream, number: int) -> Event:
    try:
        envelope = as_object(msgspec.json.decode(line))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        envelope = None
    if envelope is None or "body" not in envelope or not envelope.keys() <= _ENVELOPE:
        return Event(stream=stream, sequence_number=number, position=number, body=line, enqueued_at=None)
    sequence = as_count(envelope.get("sequence_number"))
    return Event(
        stream=msgspec.structs.replace(stream, partition=as_id(envelope.get("partition")) or "0"),
        sequence_number=number if sequence is None else sequence,
        position=number,
        body=_body(envelope["body"]),
        enqueued_at=_time(envelope.get("enqueued_time")),
        partition_key=as_id(envelope.get("partition_key")),
        properties=as_object(envelope.get("properties")),
    )


def _body(body: Any) -> bytes:
    return body.encode("utf-8", "surrogatepass") if isinstance(body, str) else msgspec.json.encode(body)


def _time(value: Any) -> datetime | None:
    return instant(value) if isinstance(value, str) else None


def _avro(file: Path) -> Iterator[Event]:
    """Read a file of Event Hubs Capture with the schema it carries; the path tells hub and partition."""
    stream = _capture_stream(file)
    for values in avro_files.records(file):
        number = int(values["SequenceNumber"])
        yield Event(
            stream=stream,
            sequence_number=number,
            position=number,
            body=values.get("Body") or b"",
            enqueued_at=_time(values.get("EnqueuedTimeUtc")),
            partition_key=as_id((as_object(values.get("SystemProperties")) or {}).get("x-opt-partition-key")),
            properties=as_object(values.get("Properties")),
        )


def _capture_stream(file: Path) -> Stream:
    """Read ``{Namespace}/{EventHub}/{PartitionId}/{Y}/{m}/{d}/{H}/{M}/{S}.avro``, Capture's default layout."""
    parts = file.absolute().parts
    if len(parts) < 10 or not all(part.isdecimal() for part in (*parts[-6:-1], file.stem)):
        raise UsageError(
            f"{file}: cannot tell hub and partition; expected Capture's path "
            "{Namespace}/{EventHub}/{PartitionId}/{Year}/{Month}/{Day}/{Hour}/{Minute}/{Second}.avro"
        )
    namespace, hub, partition = parts[-9], parts[-8], parts[-7]
    return Stream(namespace.lower(), hub.lower(), 1, partition)
