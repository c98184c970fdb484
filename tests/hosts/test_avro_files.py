"""Capture's files: read as fastavro reads them, within a bound, and what is broken or hostile says so."""

import contextlib
import io
import tracemalloc
import zlib

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargeback.errors import UsageError
from chargeback.sources.avro_files import records

SCHEMA = {
    "type": "record",
    "name": "EventData",
    "fields": [
        {"name": "SequenceNumber", "type": "long"},
        {"name": "EnqueuedTimeUtc", "type": "string"},
        {
            "name": "Properties",
            "type": {"type": "map", "values": ["long", "double", "string", "bytes", "null"]},
        },
        {"name": "Body", "type": ["null", "bytes"]},
    ],
}
EVENTS = [
    {
        "SequenceNumber": number,
        "EnqueuedTimeUtc": "11/18/2026 12:00:00 PM",
        "Properties": {"n": number, "kind": "usage", "none": None},
        "Body": b"x" * number or None,
    }
    for number in range(40)
]
SYNC = b"0123456789abcdef"


def written(codec="deflate", schema=SCHEMA, events=EVENTS):
    out = io.BytesIO()
    fastavro.writer(out, schema, events, codec=codec, sync_interval=300, sync_marker=SYNC)
    return out.getvalue()


def head(codec=b"deflate"):
    """The beginning of a file, up to its first block."""
    whole = written(codec.decode())
    return whole[: whole.index(SYNC) + len(SYNC)]


def number_of(count):
    """Return a number as Avro writes it: zigzag, seven bits a byte."""
    count, out = count * 2, b""
    while count > 0x7F:
        count, out = count >> 7, out + bytes([count & 0x7F | 0x80])
    return out + bytes([count])


def block(packed, count=1, size=None):
    return number_of(count) + number_of(len(packed) if size is None else size) + packed + SYNC


@pytest.fixture
def file(tmp_path):
    return tmp_path / "00.avro"


@pytest.mark.parametrize("codec", ["null", "deflate"])
def test_the_records_are_those_of_the_stock_reader(file, codec):
    file.write_bytes(written(codec))

    assert list(records(file)) == list(fastavro.reader(io.BytesIO(written(codec)))) == EVENTS
    assert file.read_bytes().count(SYNC) > 3, "several blocks"


def test_a_deflate_bomb_is_not_expanded_and_says_so(file):
    pump = zlib.compressobj(9, wbits=-15)
    bomb = b"".join([*(pump.compress(bytes(1 << 20)) for _ in range(256)), pump.flush()])
    file.write_bytes(head() + block(bomb))

    tracemalloc.start()
    with pytest.raises(UsageError, match=r"00\.avro: block 1 expands to more than 4194304 bytes"):
        list(records(file, block_bytes=4 << 20))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(bomb) < 300_000
    assert peak < 16 << 20, "256 MiB of zeros were offered"


@pytest.mark.parametrize("codec", [b"null", b"deflate"])
def test_a_block_is_not_read_for_its_size_alone(file, codec):
    file.write_bytes(head(codec) + block(b"x", size=1 << 40))

    with pytest.raises(UsageError, match="block 1 expands to more than"):
        list(records(file))


def test_more_records_than_a_block_holds_are_a_broken_block(file):
    file.write_bytes(head(b"null") + block(b"", count=1 << 60))

    with pytest.raises(UsageError, match="block 1 is broken"):
        list(records(file))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an Avro file"),
        (b"PK\x03\x04", "not an Avro file"),
        (b"Obj\x01", "its head is broken"),
        (written(schema={"type": "map", "values": "null"}, events=[{}]), "not those of Event Hubs Capture"),
        (
            written(
                schema={
                    "type": "record",
                    "name": "R",
                    "fields": [{"name": "SequenceNumber", "type": "null"}],
                },
                events=[{"SequenceNumber": None}],
            ),
            "not those of Event Hubs Capture",
        ),
        (
            written(
                schema={
                    **SCHEMA,
                    "fields": [*SCHEMA["fields"], {"name": "N", "type": {"type": "array", "items": "null"}}],
                },
                events=[{**EVENTS[0], "N": [None]}],
            ),
            "expected a field SequenceNumber and no arrays",
        ),
        (written("bzip2"), "packed with 'bzip2'; expected Capture's null or deflate"),
    ],
    ids=["empty", "zip", "cut", "no record", "numbers that take no byte", "an array", "another codec"],
)
def test_what_capture_does_not_write_is_refused_by_name(file, content, message):
    file.write_bytes(content)

    with pytest.raises(UsageError, match=message):
        list(records(file))


@given(st.data())
def test_a_damaged_file_gives_records_or_one_kind_of_error(tmp_path_factory, data):
    file = tmp_path_factory.mktemp("avro") / "00.avro"
    whole = bytearray(written(data.draw(st.sampled_from(["null", "deflate"]))))
    for _ in range(data.draw(st.integers(0, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])

    found = []
    with contextlib.suppress(UsageError):
        found.extend(records(file, block_bytes=1 << 20))

    # A record takes 26 bytes at least: a damaged count brings no more of them than the file has bytes for.
    assert len(found) <= 2 * len(EVENTS)
