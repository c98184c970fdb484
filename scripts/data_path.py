"""Write docs/data-path.md: one call of samples/ followed from bytes to bill, by running the real stages.

python scripts/data_path.py
"""

import sys
from pathlib import Path
from typing import Any

import msgspec

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from chargeback import formats
from chargeback.charge import Charge
from chargeback.custom_events import custom_event
from chargeback.event import Event
from chargeback.exchange import JoinState, single
from chargeback.journal.rows import encode
from chargeback.metering import measure_all
from chargeback.pipeline import Context, process
from chargeback.privacy import Privacy
from chargeback.rates.load import parse
from chargeback.replies import read_reply
from chargeback.sources.capture_files import find, read
from chargeback.sse import events

PAGE = ROOT / "docs" / "data-path.md"
SAMPLE = ROOT / "samples" / "events" / "f1.jsonl"
RATES = ROOT / "samples" / "rates.yaml"
NUMBER = 30006
"""A streamed answer that was broken off, so without usage; its prompt quotes an event stream."""


def main() -> int:
    PAGE.write_text(page(), encoding="utf-8", newline="\n")
    print(PAGE.relative_to(ROOT))
    return 0


def page() -> str:
    """Return the whole page."""
    event = next(each for each in read(find([SAMPLE])) if each.sequence_number == NUMBER)
    table = parse(RATES.read_text("utf-8"), source=str(RATES))
    [capture] = formats.read(event.body, Privacy())
    if isinstance(capture, Exception):
        raise capture
    exchange = single(capture)
    reply = read_reply(exchange.response)
    [measured] = measure_all([(exchange, lambda _: None)])
    outcome = process([event], JoinState(), Context(table=table))
    [row] = outcome.entries[0].rows
    if not isinstance(row, Charge) or reply is None:
        raise TypeError("the sample is not one charge with an answer")
    sent = custom_event(row)
    stream = list(events(str(exchange.response)))
    return TEXT.format(
        size=len(event.body),
        number=NUMBER,
        enqueued=f"{event.enqueued_at:%Y-%m-%d %H:%M:%S} UTC",
        body=_start(event),
        capture=_json(
            {
                "source_format": capture.source_format,
                "facts": _known(capture.facts),
                "request": "(text)",
                "response": "(text)",
            }
        ),
        chunks=len(stream),
        third=stream[2].data[:120],
        reply=_json(
            {
                "operation": reply.operation,
                "model": reply.model,
                "response_id": reply.response_id,
                "streamed": reply.streamed,
                "complete": reply.complete,
                "usage": None if reply.usage is None else _known(reply.usage),
                "choices": [_known(choice) for choice in reply.choices],
            }
        ),
        usage=_json(_known(measured.usage)),
        lines=_json(msgspec.to_builtins(row.lines)),
        formula=" + ".join(
            f"{line.quantity} x {line.price} / {line.per:,}" for line in row.lines if line.price is not None
        ),
        total=f"{row.total_cost:f}",
        charge_id=row.charge_id,
        row_id=row.row_id,
        rank=row.rank,
        charge=_json(_known(row, without=("lines",))),
        row_bytes=len(encode(row)),
        event_name=sent.name if sent else "",
        properties=len(sent.properties) if sent else 0,
    )


def _start(event: Event) -> str:
    return event.body.decode()[:420].replace("\r\n", "\n") + " ..."


def _known(value: Any, *, without: tuple[str, ...] = ()) -> dict[str, Any]:
    plain = msgspec.to_builtins(value, str_keys=True)
    return {
        name: each
        for name, each in plain.items()
        if each not in (None, [], {}, ()) and name not in {"row", *without}
    }


def _json(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


TEXT = """# One call, from bytes to bill

This page is written by `scripts/data_path.py`, which runs every stage on one event of `samples/events/f1.jsonl`; a test
fails when it is stale.
The call is an awkward one: the client hung up in the middle of a streamed answer, so no usage ever came, and the prompt
itself quotes `data: 5`.

## 1. The event

Sequence number {number} of its partition, enqueued at {enqueued}: {size:,} bytes that a gateway policy wrote. They begin:

```text
{body}
```

## 2. `formats`: the Capture

A table of rows (`chargeback/formats/__init__.py`) recognises the format by the names of its members; nothing configures it.
The subscription key ends here: what goes on is its pseudonym.

```json
{capture}
```

## 3. `exchange`, `sse`, `replies`: the Reply

A call that came in one event is an Exchange at once; parts would wait for each other in the join state.
The answer is {chunks} server-sent events. The third one's data begins:

```text
{third}
```

They are folded into one answer, whatever the operation's dialect:

```json
{reply}
```

## 4. `metering`: the Usage

A reported usage would win. There is none, so request and answer are counted with the model's own vocabulary, which is in
the package, and the charge says so:

```json
{usage}
```

How well that counts is measured in [token-counting.md](token-counting.md).

## 5. `rating`: lines

The rate table says which deployment this subscription's model stands for, who pays, and what a token cost at that moment:

```json
{lines}
```

{formula} = **{total}**, exactly; nothing is rounded before an invoice line.

## 6. `billing`: the Charge

```json
{charge}
```

- `charge_id` names the call. It follows from the event alone, so a redelivery has the same.
- `row_id` names this row: where the event stood.
- `rank` decides which row of a call counts, should there be several; the smallest wins.

## 7. Journal, outbox, reports

The charge is one line of {row_bytes:,} bytes in the journal of its partition, and counts once the commit row behind it is written.
The outbox sends it as the customEvent `{event_name}` with {properties} properties and notes how far it was confirmed.
Reports read the journal, never the telemetry:

```console
$ chargeback replay samples/events/f1.jsonl --rates samples/rates.yaml --ledger out/path --quiet   # exit code 1: one of the samples is broken
$ chargeback explain {charge_id} --ledger out/path
```

Which module may know what is drawn in [architecture.md](architecture.md).
"""

if __name__ == "__main__":
    raise SystemExit(main())
