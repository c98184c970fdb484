"""Write samples/events anew: the calls of tests/support/sample_calls.py as gateways would log them.

Run it by hand: ``python scripts/make_samples.py [--force]``. Its output depends on nothing but the code.
Without ``--force`` it replaces no file: the samples are golden, and a change of theirs is looked at first.
"""

import argparse
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.support.azure_bodies import Style
from tests.support.calls import FORMATS, Format
from tests.support.render import cut_stream, render, v1_identity
from tests.support.sample_calls import Captured, captured
from tests.support.sample_operations import files as operations

EVENTS = ROOT / "samples" / "events"
OPERATIONS = ROOT / "samples" / "operations"
FILES: dict[Format, str] = {
    "v1": "v1.jsonl",
    "v1-parts": "v1-parts.jsonl",
    "F1": "f1.jsonl",
    "F2": "f2.jsonl",
    "F4": "f4.jsonl",
    "F5": "f5.jsonl",
    **{
        form: f"{form.lower()}.jsonl"
        for form in FORMATS
        if form[0] == "F" and form not in ("F1", "F2", "F4", "F5")
    },
}
UNREADABLE = "<html><head><title>502 Bad Gateway</title></head></html>"
# Streams of the samples wear different clothes, so that the demo meets what the field sends.
STYLES = (
    Style(),
    Style(async_filter=True),
    Style(line_end="\r\n", comments=True, pieces=(3, 1, 5)),
    Style(filters=False, usage_null=False, event_lines=True, pieces=(9,)),
    Style(ascii=True, pieces=(2, 11)),
    Style(multi_line_data=True, space=False, pieces=(12,)),
)
PARTITIONS = {"v1": 2, "v1-parts": 2}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--force", action="store_true", help="replace files that exist")
    options = parser.parse_args()
    texts = {EVENTS / name: text for name, text in sample_files().items()}
    texts |= {OPERATIONS / name: text for name, text in operation_files().items()}
    in_the_way = [path for path in texts if path.exists()]
    if in_the_way and not options.force:
        print(f"{in_the_way[0].relative_to(ROOT)} exists; --force replaces all {len(in_the_way)} files")
        return 1
    for folder in (EVENTS, OPERATIONS):
        folder.mkdir(parents=True, exist_ok=True)
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8", newline="\n")
        print(f"{path.relative_to(ROOT)}: {text.count(chr(10))} events")
    return 0


def sample_files() -> dict[str, str]:
    """Return the text of each file by its name."""
    return {
        name: "".join(f"{line}\n" for line in _lines(form, captured()[form], first=10_000 * number))
        for number, (form, name) in enumerate(FILES.items(), 1)
    }


def operation_files() -> dict[str, str]:
    """Return the text of each file of operations by its name; a line is a bare event."""
    return {
        f"{name}.jsonl": "".join(f"{_line(event)}\n" for event in events)
        for name, events in operations().items()
    }


def _lines(form: Format, calls: list[Captured], *, first: int) -> Iterator[str]:
    if form == "F2":
        yield from (_line(json.loads(body)) for each in calls for body in _bodies(each, form))
        return
    # Sequence numbers of a file start where no other file's do, as if all came from one hub.
    next_number = Counter({str(partition): first for partition in range(PARTITIONS.get(form, 1))})
    for place, each in enumerate(calls):
        envelopes = [_envelope(each, body, form, next_number) for body in _bodies(each, form)]
        yield from map(_line, envelopes)
        if each.repeat == "delivery":  # the hub hands out the very same event again
            yield from map(_line, envelopes)
        if form == "F1" and place == len(calls) // 2:
            yield _line(_envelope(each, UNREADABLE.encode(), form, next_number))


def _bodies(each: Captured, form: Format) -> list[bytes]:
    style = STYLES[int(hashlib.sha256(each.call.request_id.encode()).hexdigest(), 16) % len(STYLES)]
    if each.identity_only:
        return [v1_identity(each.call)]
    if each.cut_after_deltas is not None:
        return [cut_stream(each.call, form, each.cut_after_deltas)[0]]
    if form == "v1-parts":
        style = Style(**{**vars(style), "slice_size": 1_500})
    bodies = render(each.call, form, style)
    return bodies * 2 if each.repeat == "event" else bodies


def _envelope(each: Captured, body: bytes, form: Format, next_number: Counter[str]) -> dict[str, Any]:
    partitions = len(next_number)
    partition = str(int(hashlib.sha256(each.call.request_id.encode()).hexdigest(), 16) // 7 % partitions)
    number = next_number[partition]
    next_number[partition] += 1
    enqueued = each.call.at + timedelta(milliseconds=900 + number % 1_000)
    text = body.decode()
    return {
        "partition": partition,
        "sequence_number": number,
        "offset": str(number * 512),
        "enqueued_time": f"{enqueued:%Y-%m-%dT%H:%M:%S}.{enqueued.microsecond // 1000:03d}Z",
        **({"partition_key": each.call.request_id} if form in PARTITIONS else {}),
        # An object reads better; the other files keep the gateway's bytes, line ends and all.
        "body": json.loads(text) if form == "v1" else text,
    }


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    sys.exit(main())
