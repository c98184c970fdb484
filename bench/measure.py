"""What the speed bench measures with: interleaved rounds, and the record of one figure.

A figure is our time beside others' times of the same run, and the checks that follow from them. The
modules of ``speed.GROUPS`` each have ``figures(options)``, which yields ``Figure`` after ``Figure``.
"""

import gc
import random
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

ROUNDS = 9


@dataclass(frozen=True)
class Options:
    """What the command line asked for."""

    rounds: int = ROUNDS
    only: tuple[str, ...] = ()
    """Names of figures; empty: all."""
    seed: int = 9

    def wants(self, name: str) -> bool:
        return not self.only or name in self.only


@dataclass(frozen=True)
class Check:
    """One number that must hold, mostly a ratio: ``x the floor`` at most 10."""

    what: str
    value: float | None
    """None: could not be measured here; ``note`` of the figure says why."""
    limit: float
    bound: Literal["at most", "at least"] = "at most"

    @property
    def verdict(self) -> str:
        if self.value is None:
            return "not measured"
        held = self.value <= self.limit if self.bound == "at most" else self.value >= self.limit
        return "holds" if held else "misses"


@dataclass(frozen=True)
class Figure:
    """One line of the table. ``ours`` and ``others`` are of one unit, medians of one run."""

    name: str
    """Short and fixed: ``--only`` and the markdown table use it."""
    what: str
    unit: str
    ours: float
    others: Mapping[str, float | None] = field(default_factory=dict[str, float | None])
    """Floors and peers by name; None: could not be measured here."""
    checks: tuple[Check, ...] = ()
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        checks = [{**asdict(check), "verdict": check.verdict} for check in self.checks]
        return {**asdict(self), "checks": checks}


class Seconds(float):
    """What a candidate returns that has timed itself, such as a peer in another process."""


def interleaved(
    candidates: Mapping[str, Callable[[], object]],
    rounds: int = ROUNDS,
    warm_up: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Return the median seconds of each candidate; every round runs each of them once, in turn.

    What disturbs the machine for a while disturbs them all. The turn is another one each round, the same in each
    run: whoever comes after a peer in a process of its own finds cold caches, and that must not always be the same
    one. A candidate that returns ``Seconds`` has timed itself. ``clock`` may be ``time.process_time``, where only a
    processor is used: then a long round does not pay for other programs more often than a short one. The collector
    runs between the rounds, never in them.
    """
    taken: dict[str, list[float]] = {name: [] for name in candidates}
    for number in range(warm_up + rounds):
        for name, run in random.Random(number).sample(list(candidates.items()), len(candidates)):
            gc.collect()
            gc.disable()
            start = clock()
            own = run()
            seconds = clock() - start
            gc.enable()
            if number >= warm_up:
                taken[name].append(own if isinstance(own, Seconds) else seconds)
    return {name: statistics.median(each) for name, each in taken.items()}


def ratio(one: float | None, other: float | None) -> float | None:
    """Return ``one / other``; None where either could not be measured."""
    return one / other if one is not None and other else None
