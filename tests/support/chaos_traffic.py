"""The traffic of a chaos run: every event of every partition, and what must be on the bill for it."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from tests.support import oracle
from tests.support.azure_bodies import Style
from tests.support.calls import Answer, Call, Counts, Message
from tests.support.render import as_captured, render
from tests.support.sample_calls import CALLERS, ROUTES, a_call

PARTITIONS = 4
SLAB = 250
"""Events put on a partition at once: what belongs together is enqueued together."""


@dataclass
class Expected:
    """What must come of one partition's events, by sequence number."""

    bodies: dict[int, bytes] = field(default_factory=dict)
    calls: dict[int, str] = field(default_factory=dict)
    """Number of every event that may give its place to a call's row: the call's id."""
    poison: dict[int, bytes] = field(default_factory=dict)


class Traffic:
    """Seeded; ``slabs`` of a partition are drawn one after the other, so memory holds what was drawn."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._number = 0
        self.partitions = [Expected() for _ in range(PARTITIONS)]
        self.cost: dict[str, Fraction | None] = {}
        """By call id; None: no rate applies."""
        self.truncated: set[str] = set()
        """Calls whose last part never comes; what they cost is not predicted here."""

    @property
    def events(self) -> int:
        return sum(len(each.bodies) for each in self.partitions)

    def slab(self, partition: int) -> list[bytes]:
        """Draw the next events of a partition."""
        expected = self.partitions[partition]
        first = len(expected.bodies)
        lanes: list[list[tuple[bytes, str | None, bool]]] = []
        count = 0
        while count < SLAB:
            lane = list(self._one())
            lanes.append(lane)
            count += len(lane)
        bodies = []
        for number, (body, call, is_poison) in enumerate(self._interleaved(lanes), first):
            bodies.append(body)
            expected.bodies[number] = body
            if call is not None:
                expected.calls[number] = call
            if is_poison:
                expected.poison[number] = body
        return bodies

    def _interleaved(self, lanes: list[list[tuple[bytes, str | None, bool]]]) -> Iterator:
        """Mix the events of neighbouring calls, each call's in order."""
        waiting = [iter(lane) for lane in lanes]
        window: list[Iterator] = []
        while waiting or window:
            while waiting and len(window) < 12:
                window.append(waiting.pop(0))
            lane = self._random.choice(window)
            event = next(lane, None)
            if event is None:
                window.remove(lane)
            else:
                yield event

    def _one(self) -> Iterator[tuple[bytes, str | None, bool]]:
        """One call's events: (body, id of the call whose row may stand here, poison)."""
        self._number += 1
        number, draw = self._number, self._random.random()
        if draw < 0.015:
            yield b'{"poison": %d, "broken": \xff' % number, None, True
            return
        form = "v1-parts" if draw < 0.10 else self._random.choices(("v1", "F1", "F4", "F5"), (6, 2, 1, 1))[0]
        call = self._call(number)
        name = f"{form}/{number}"
        style = Style(slice_size=420)
        bodies = render(call, form, style)
        self.cost[name] = oracle.expected_cost(as_captured(call, form, style), oracle.sample_rates())
        if form == "v1-parts" and draw < 0.018:
            bodies = bodies[:-1]
            self.truncated.add(name)
        for body in bodies:
            yield body, name, False
        if form == "v1" and self._random.random() < 0.03:
            yield bodies[0], name, False  # a second event about one call

    def _call(self, number: int) -> Call:
        prompt, completion = self._random.randint(1, 50_000), self._random.randint(1, 2_000)
        caller = CALLERS[self._random.choice(("shop", "claims", "legal"))]
        at = datetime(2026, 11, 18, tzinfo=UTC) + timedelta(seconds=number % 80_000)
        return a_call(
            caller,
            ROUTES[self._random.choice(("mini", "chat"))],
            at,
            number,
            usage=Counts(prompt=prompt, completion=completion),
            messages=(Message(text=f"Question {number}, please."),),
            answers=(Answer(text=f"Answer {number}."),),
        )
