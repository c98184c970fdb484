"""Seeded traffic of the hosts' figures: 4 KB chat events, calls split over several events, events sent twice.

96 of 100 calls are one event of about 4 KB with bodies and reported usage (format F1), 4 come in parts (own
format, three to five events) that are spread over some hundred events, so that calls wait across batches. 2 of 100
events come a second time, up to a thousand events later. Nothing is rejected.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from tests.support.azure_bodies import Style
from tests.support.calls import Answer, Call, Counts, Message
from tests.support.render import render
from tests.support.sample_calls import CALLERS, ROUTES, a_call

WORDS = [
    "order",
    "parcel",
    "refund",
    "customer",
    "address",
    "delivery",
    "invoice",
    "shelf",
    "garden",
    "chair",
    "lamp",
    "price",
    "table",
    "colour",
    "return",
    "tracking",
    "label",
    "warehouse",
    "supplier",
    "discount",
    "payment",
    "receipt",
    "warranty",
    "pickup",
    "weekend",
]
_STYLE = Style(slice_size=1000)
_SPREAD = (20, 400)
_LATER = (50, 1000)


@dataclass
class Traffic:
    """Bodies by partition, and what must come of them."""

    partitions: list[list[bytes]] = field(default_factory=list)
    calls: int = 0
    prompt_tokens: int = 0

    @property
    def events(self) -> int:
        return sum(map(len, self.partitions))


def traffic(seed: int, events: int, partitions: int = 4, words: int = 185, in_parts: float = 0.04) -> Traffic:
    """Draw at least ``events`` events; ``words`` sets their size (185: 4 KB), ``in_parts`` the share of split calls."""
    made = Traffic()
    for number in range(partitions):
        draw = random.Random(f"{seed}/{number}")
        bodies = list(_bodies(draw, number, events // partitions, words, made, in_parts))
        made.partitions.append(bodies)
    return made


def large(size: int) -> bytes:
    """Return one event of about ``size`` bytes; below the 1 MiB a hub takes."""
    draw = random.Random(size)
    return render(_call(draw, 1, size // 15), "F1", _STYLE)[0]


def _bodies(
    draw: random.Random, partition: int, events: int, words: int, made: Traffic, in_parts: float
) -> Iterator[bytes]:
    """One partition's, in order; what comes later waits in ``due`` under its place."""
    due: dict[int, list[bytes]] = {}
    place = number = 0
    while place < events or due:
        later = due.get(place)
        if later:
            yield later.pop(0)
            if not later:
                del due[place]
                place += 1
            continue
        due.pop(place, None)
        if place >= events:
            place += 1
            continue
        number += 1
        call = _call(draw, partition * 10_000_000 + number, words)
        made.calls += 1
        made.prompt_tokens += call.usage.prompt if call.usage else 0
        first, *rest = render(call, "v1-parts" if draw.random() < in_parts else "F1", _STYLE)
        yield first
        if draw.random() < 0.02:
            rest_at = place + draw.randint(*_LATER)
            due.setdefault(rest_at, []).append(first)
        at = place
        for body in rest:
            at += draw.randint(*_SPREAD)
            due.setdefault(at, []).append(body)
        place += 1


def _call(draw: random.Random, number: int, words: int) -> Call:
    def text() -> str:
        return " ".join(draw.choices(WORDS, k=words))

    at = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
    return a_call(
        CALLERS[draw.choice(("shop", "claims", "legal"))],
        ROUTES[draw.choice(("mini", "chat"))],
        at + timedelta(seconds=number % 3600),
        number,
        usage=Counts(prompt=draw.randint(1, 50_000), completion=draw.randint(1, 2_000)),
        messages=(Message(text=text()),),
        answers=(Answer(text=text()),),
    )
