"""Ledgers for the bench of reports: real journals of charges the pipeline made, as many as are asked for.

The calls of ``samples/events/v1.jsonl`` go through the pipeline once. Each of its charges becomes a line by
the journal's own encoder, and a row of the ledger is such a line with ids, a moment of November 2026 and a
place of its own. Eight partitions, segments and commits as the worker writes them.

``repeated`` is the share of rows that say something about a call again: of ten of them six are the same
event delivered again, two another source of the call that knows less, one an ``identity``, and one reports
another usage: a conflict.
"""

import json
import random
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from chargeback.charge import Charge
from chargeback.event import Event, Stream
from chargeback.exchange import JoinState
from chargeback.facts import Facts
from chargeback.journal import paths
from chargeback.journal.journal import SEGMENT_BYTES
from chargeback.journal.ledger import JOURNALS
from chargeback.journal.rows import Commit, End, Identity, Row, encode
from chargeback.pipeline import Context, process
from chargeback.rates.load import parse
from chargeback.rates.table import RateTable
from chargeback.usage import SOURCES

PARTITIONS = 8
COMMIT_ROWS = 200
START = datetime(2026, 11, 1, tzinfo=UTC)
CLOSED_AT = datetime(2026, 12, 10, tzinfo=UTC)
_STREAM = Stream("bench.servicebus.windows.net", "usage", 1, "0")
_CALL, _OTHER_IDS, _PLACE = "f" * 32, "call-0123456789", 987_654_321
_WHEN = datetime(2026, 11, 30, 23, 59, 58, 123456, tzinfo=UTC)


def table() -> RateTable:
    return parse((ROOT / "samples" / "rates.yaml").read_text(), source="samples/rates.yaml")


def made(folder: Path, rows: int, *, repeated: float, seed: int) -> Path:
    """Return the folder of a ledger with that many rows; it is written once and kept."""
    wanted = {"rows": rows, "repeated": repeated, "seed": seed, "layout": 2}
    root = folder / f"ledger-{rows}-{round(repeated * 100)}"
    done = root / "bench.json"
    if done.exists() and json.loads(done.read_text()) == wanted:
        return root
    shutil.rmtree(root, ignore_errors=True)
    each = [rows // PARTITIONS + (place < rows % PARTITIONS) for place in range(PARTITIONS)]
    for partition, count in enumerate(each):
        _write(root, partition, count, repeated, random.Random(seed + partition))
    done.write_text(json.dumps(wanted))
    return root


def _write(root: Path, partition: int, count: int, repeated: float, rng: random.Random) -> None:
    folder = root / JOURNALS / paths.folder(f"stream/{_STREAM.namespace}/{_STREAM.event_hub}/1/{partition}")
    lines = _lines(partition, count, repeated, rng)
    sequence, segment, name = 0, 0, "date=1970-01-01/000000.ndjson"
    while sequence < count:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as out:
            while sequence < count and out.tell() < SEGMENT_BYTES - 1_000_000:
                block = [next(lines) for _ in range(min(COMMIT_ROWS, count - sequence))]
                out.writelines(block)
                out.write(_commit(sequence, len(block), count))
                sequence += len(block)
            segment += 1
            name = f"date=2026-11-01/{segment:06}.ndjson"
            if sequence < count:
                out.write(encode(End(next=name)))


def _commit(first: int, rows: int, count: int) -> bytes:
    # The last one is of a time after the grace: the partition has nothing more of the month.
    at = CLOSED_AT if first + rows == count else START
    last = first + rows - 1
    return encode(
        Commit(
            writer="bench",
            batch_id=f"{first:032x}",
            first_seq=first,
            last_seq=last,
            last_enqueued_time=at,
            rows=rows,
        )
    )


# ---- rows


def _lines(partition: int, count: int, repeated: float, rng: random.Random) -> Iterator[bytes]:
    charges = [_holes(_placed(charge)) for charge in _charges()]
    again = [_holes(_placed(_from_the_log(charge))) for charge in _charges()]
    other = [_holes(_placed(_with_more(charge))) for charge in _charges()]
    about = [_holes(_identity(charge)) for charge in _charges()]
    kinds: list[list[bytes]] = [charges] * 6 + [again] * 2 + [about, other]
    call = 0
    month_us = 30 * 86_400_000_000
    for sequence in range(count):
        number, templates = call, charges
        if call and rng.random() < repeated:
            number, templates = max(0, call - 1 - int(rng.random() * 1000)), kinds[int(rng.random() * 10)]
        else:
            call += 1
        # Everything about a call follows from its number, so that a repeat says the same.
        mixed = (number * 0x9E3779B97F4A7C15 + partition * 0xC2B2AE3D27D4EB4F) % 2**64
        at = START + timedelta(microseconds=mixed % month_us)
        yield templates[mixed % len(templates)] % {
            b"call": b"%016x%016x" % (mixed, partition * 2**40 + number),
            b"id": b"%032x" % mixed,
            b"at": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode(),
            b"partition": b"%d" % partition,
            b"place": b"%d" % sequence,
            b"rank": b"0001%05d%018d0000" % (partition, sequence),
        }


def _charges() -> list[Charge]:
    bodies = [
        msgspec.json.encode(json.loads(line)["body"])
        for line in (ROOT / "samples" / "events" / "v1.jsonl").read_text().splitlines()
    ]
    events = [
        Event(stream=_STREAM, sequence_number=place, position=place, body=body, enqueued_at=START)
        for place, body in enumerate(bodies)
    ]
    outcome = process(events, JoinState(), Context(table=table()))
    rows = [row for entry in outcome.entries for row in entry.rows]
    found = [row for row in rows if isinstance(row, Charge) and row.rating == "priced"]
    return [charge for charge in found if charge.usage_source == "reported" and not charge.truncated]


def _placed(charge: Charge) -> Charge:
    return msgspec.structs.replace(
        charge,
        charge_id=_CALL,
        row_id=f"{_STREAM.namespace}/{_STREAM.event_hub}/1/77777/{_PLACE}/0",
        occurred_at=_WHEN,
        enqueued_at=_WHEN,
        request_id=f"5a000000-{_OTHER_IDS}",
        response_id=f"chatcmpl-{_OTHER_IDS}",
        partition="77777",
        sequence_number=_PLACE,
        rank=_rank(charge),
    )


def _rank(charge: Charge) -> str:
    return f"{SOURCES.index(charge.usage_source)}{'R' * 31}"


def _from_the_log(charge: Charge) -> Charge:
    """Return what the gateway's log says of the same call: counts, and hardly anything else."""
    nothing = dict.fromkeys(
        ("subscription_id", "subscription_name", "product", "app_id", "tenant_id", "backend")
    )
    return msgspec.structs.replace(charge, **nothing, usage_source="gateway", source_format="F15")


def _with_more(charge: Charge) -> Charge:
    more = None if charge.prompt_tokens is None else charge.prompt_tokens + 1
    return msgspec.structs.replace(charge, prompt_tokens=more)


def _identity(charge: Charge) -> Identity:
    placed = _placed(charge)
    names = set(Facts.__struct_fields__)
    facts = Facts(**{name: getattr(placed, name) for name in names})
    return Identity(
        charge_id=_CALL,
        row_id=placed.row_id,
        source_format="v1",
        rank=placed.rank,
        facts=facts,
        cost_centre=placed.cost_centre,
    )


def _holes(row: Row) -> bytes:
    """Return the row's line with holes where rows differ."""
    line = encode(row).replace(b"%", b"%%")
    when = msgspec.json.encode(_WHEN).strip(b'"')
    for value, hole in (
        (_CALL.encode(), b"%(call)b"),
        (_OTHER_IDS.encode(), b"%(id)b"),
        (when, b"%(at)b"),
        (str(_PLACE).encode(), b"%(place)b"),
        (b"77777", b"%(partition)b"),
        (b"R" * 31, b"%(rank)b"),
    ):
        line = line.replace(value, hole)
    return line
