"""Nothing lost, nothing twice, under fire: real storage, real wires, processes that are killed while they work.

``run(Plan(...))`` starts Azurite on disk, the broker, the ingestion endpoint and consumers; feeds events; kills
consumers at named points, pauses them, and takes storage, hub and telemetry away; lets everything come to rest;
then compares what is in the ledger and at the endpoint with what was sent. ``Report.problems`` is empty when
every promise held and every required count was reached.
"""

import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from chargeback.charge import Charge
from chargeback.errors import ChargebackError
from chargeback.journal import blob
from chargeback.journal.rows import BillingRow, Gap, Identity, Ignored, Part, Reject
from chargeback.journal.winner import calls
from chargeback.ports import Ledger
from chargeback.report import ledger_rows
from chargeback.wiring import now
from tests.support import azurite, oracle
from tests.support.broker import Broker
from tests.support.chaos_traffic import PARTITIONS, SLAB, Traffic
from tests.support.chaos_worker import POINTS
from tests.support.ingestion import IngestionEndpoint, always, status
from tests.support.proxy import Proxy

ROOT = Path(__file__).parents[2]
HUB, LEDGER = "usage", "chaos-ledger"
CONSUMERS = 3
LEAD = 6 * SLAB
"""Events of a partition that may wait before more are put."""
OUTAGES = (
    "storage refuses",
    "storage is deaf",
    "ingestion refuses",
    "ingestion is deaf",
    "ingestion says 503",
)
REST_S = 80
"""Kept for coming to rest."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    seed: int = 1
    events: int = 50_000
    kills: int = 60
    each_point: int = 3
    outages: int = 20
    pauses: int = 8
    storage_restarts: int = 2
    broken: str = ""
    """A guard to switch off; the run must then find problems."""
    seconds: float = 570
    """For everything until the last check."""


def short(seed: int, broken: str = "") -> Plan:
    """A run of about a minute, with everything in it."""
    return Plan(
        seed=seed,
        events=3_000,
        kills=8,
        each_point=1,
        outages=5,
        pauses=3,
        storage_restarts=1,
        broken=broken,
        seconds=150,
    )


def unguarded(seed: int, broken: str) -> Plan:
    """A run of about two minutes with one guard off, and plenty of what that guard is for."""
    return Plan(
        seed=seed,
        events=10_000,
        kills=12,
        each_point=1,
        outages=14,
        pauses=8,
        storage_restarts=1,
        broken=broken,
        seconds=240,
    )


@dataclass
class Report:
    plan: Plan
    figures: dict[str, Any] = field(default_factory=dict)
    hits: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        for name, value in self.figures.items():
            yield f"  {name:<44} {value}"
        for point in POINTS:
            yield f"  {'killed at ' + point:<44} {self.hits[point]}"
        yield from (f"  PROBLEM: {problem}" for problem in self.problems)


class Zygote:
    """The process all consumers are forked from; its children are ours to kill, and nobody else is."""

    def __init__(self, env: dict[str, str]) -> None:
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.chaos_worker"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**inherited, **env, "PYTHONPATH": str(ROOT)},
            text=True,
        )
        self._news = threading.Condition()
        self._started: list[int] = []
        self.codes: dict[int, int] = {}
        threading.Thread(target=self._read, daemon=True).start()

    def fork(self, env: dict[str, str], log: Path) -> int:
        with self._news:
            count = len(self._started)
            self._process.stdin.write(json.dumps({"env": env, "log": str(log)}) + "\n")
            self._process.stdin.flush()
            if not self._news.wait_for(lambda: len(self._started) > count, 60):
                raise TimeoutError("no consumer was forked")
            return self._started[-1]

    def ended(self, pid: int) -> int | None:
        with self._news:
            return self.codes.get(pid)

    def signal(self, pid: int, number: signal.Signals) -> bool:
        """False when it has ended. It is our child's child, and not yet another's pid while unreported."""
        with self._news:
            if pid in self.codes:
                return False
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            return True

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()

    def _read(self) -> None:
        with contextlib.suppress(ValueError):  # closed
            for line in self._process.stdout:
                told = json.loads(line)
                with self._news:
                    if "started" in told:
                        self._started.append(told["started"])
                    else:
                        self.codes[told["ended"]] = told["code"]
                    self._news.notify_all()


class Storage:
    """Azurite on disk, that may be stopped (SIGTERM only) and started again at the same port."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = contextlib.ExitStack()
        self.connection = self._stack.enter_context(azurite.running(folder))
        self.port = int(re.search(r":(\d+)/", self.connection)[1])

    def restart(self) -> None:
        self._stack.close()
        self._stack.enter_context(azurite.running(self._folder, self.port))

    def close(self) -> None:
        self._stack.close()


class Run:
    def __init__(self, plan: Plan, folder: Path, say: Callable[[str], None]) -> None:
        self.plan = plan
        self.folder = folder
        self.say = say
        self.random = random.Random(plan.seed)
        self.traffic = Traffic(plan.seed)
        self.report = Report(plan)
        self.outages: Counter[str] = Counter()
        self.pauses = self.restarts = self.cuts = 0
        self.started_at = time.monotonic()
        self.crashed: Counter[int] = Counter()
        self._armed = 0
        self._paused: list[tuple[float, int]] = []
        self._outage: tuple[float, Callable[[], None]] | None = None
        self._told_at = self._looked_at = self._calm_until = 0.0
        self._seen = [0] * PARTITIONS

    # ------------------------------------------------------------ the stage

    def __call__(self) -> Report:
        with contextlib.ExitStack() as stack:
            self.storage = Storage(self.folder / "azurite")
            stack.callback(self.storage.close)
            self.gate = stack.enter_context(Proxy(self.storage.port))
            self.endpoint = stack.enter_context(IngestionEndpoint())
            port = int(re.search(r":(\d+)", self.endpoint.url)[1])
            self.wire = stack.enter_context(Proxy(port))
            self.broker = stack.enter_context(Broker({HUB: PARTITIONS}))
            self.zygote = Zygote(self._environment())
            stack.callback(self.zygote.close)
            client = blob.by_connection_string(self.storage.connection, LEDGER)
            stack.callback(client.close)
            self.ledger = blob.ledger(client, writer="chaos", now=now)
            self.consumers: dict[int, int] = {}
            self._act()
            self._rest()
            self._stop()
            self.report.figures["seconds until the last check"] = round(self._age())
            Check(self)()
        self.report.figures["seconds in all"] = round(self._age())
        return self.report

    def _environment(self) -> dict[str, str]:
        telemetry = self.endpoint.connection_string.replace(
            self.endpoint.url, f"http://127.0.0.1:{self.wire.port}"
        )
        return {
            "EVENT_HUB_CONNECTION": self.broker.connection_string(),
            "EVENT_HUB_NAME": HUB,
            "AzureWebJobsStorage": azurite.connection_string(self.gate.port),
            "APPLICATIONINSIGHTS_CONNECTION_STRING": telemetry,
            "CHARGEBACK_LEDGER": LEDGER,
            "CHARGEBACK_RATES": str(oracle.SAMPLE_RATES),
            "CHARGEBACK_BALANCING_INTERVAL": "0.5",
            "CHARGEBACK_OWNERSHIP_EXPIRY": "2",
            "CHARGEBACK_SETTLE_INTERVAL": "1",
            "CHARGEBACK_TELEMETRY_DEADLINE": "2",
            "CHARGEBACK_BATCH_EVENTS": "100",
            "CHARGEBACK_JOIN_TIMEOUT": "6",
            "CHAOS_HITS": str(self.folder / "hits"),
            "CHAOS_BREAK": self.plan.broken,
        }

    def _age(self) -> float:
        return time.monotonic() - self.started_at

    # ------------------------------------------------------------ under fire

    def _act(self) -> None:
        """Feed, kill, pause and take away, all spread over the progress of the work."""
        while True:
            self._feed()
            self._keep_consumers()
            self._pause()
            self._take_away()
            if self.traffic.events >= self.plan.events and self._fire_is_over():
                break
            if self._age() > self.plan.seconds - min(REST_S, self.plan.seconds / 3):
                break
            self._tell()
            time.sleep(0.05)
        self._resume(everything=True)
        if self._outage:
            self._outage[1]()

    def _tell(self) -> None:
        if time.monotonic() - self._told_at > 15:
            self._told_at = time.monotonic()
            self.say(
                f"{self._age():4.0f} s: {sum(self._watermarks())} of {self.traffic.events} events committed, "
                f"{sum(self._hits().values())} kills, {sum(self.outages.values())} outages"
            )

    @property
    def _progress(self) -> float:
        return min(1.0, self.traffic.events / self.plan.events)

    def _fire_is_over(self) -> bool:
        return (
            sum(self._hits().values()) >= self.plan.kills
            and all(self._hits()[point] >= self.plan.each_point for point in POINTS)
            and sum(self.outages.values()) >= self.plan.outages
            and self._outage is None
        )

    def _feed(self) -> None:
        """Put more where little waits. When the plan's events are out but not its kills, go on in small steps."""
        done = self._watermarks()
        for partition in range(PARTITIONS):
            behind = len(self.traffic.partitions[partition].bodies) - done[partition]
            over = self.traffic.events >= self.plan.events
            if behind < (SLAB if over else LEAD):
                self.broker.put(HUB, partition, self.traffic.slab(partition))

    def _watermarks(self) -> list[int]:
        """How many events of each partition are committed; looked at without the proxy, and not too often."""
        if time.monotonic() - self._looked_at > 0.4:
            self._looked_at = time.monotonic()
            self._seen = []
            for partition in range(PARTITIONS):
                try:
                    found = self.ledger.journal(self._journal(partition)).refresh()
                except ChargebackError:
                    found = None
                self._seen.append(found.last_seq + 1 if found else 0)
        return self._seen

    def _journal(self, partition: int) -> str:
        return f"stream/{self.broker.namespace}/{HUB}/1/{partition}"

    def _hits(self) -> Counter[str]:
        file = self.folder / "hits"
        return Counter(file.read_text().split()) if file.exists() else Counter()

    def _keep_consumers(self) -> None:
        for pid in list(self.consumers):
            code = self.zygote.ended(pid)
            if code is not None:
                del self.consumers[pid]
                self.crashed[code] += 1
        while len(self.consumers) < CONSUMERS:
            env = self._fate()
            pid = self.zygote.fork(env, self.folder / f"consumer-{self._armed:03}.log")
            self._armed += 1
            self.consumers[pid] = self._armed

    def _fate(self) -> dict[str, str]:
        """Where the next consumer dies: at the point that was hit least; nowhere when kills are ahead of work."""
        hits = self._hits()
        kills = sum(hits.values())
        wanted = max(self.plan.kills + 4, self.plan.each_point * len(POINTS))
        if kills >= self.plan.kills and all(hits[point] >= self.plan.each_point for point in POINTS):
            return {}
        if kills > wanted * self._progress + CONSUMERS:
            return {"CHAOS_POINT": self.random.choice(POINTS), "CHAOS_VISIT": "12"}
        fewest = min(hits[point] for point in POINTS)
        point = self.random.choice([point for point in POINTS if hits[point] <= fewest + 1])
        often = {"in-roll-over": 1, "after-part-store": 3, "after-send": 2}.get(point, 5)
        return {"CHAOS_POINT": point, "CHAOS_VISIT": str(self.random.randint(1, often))}

    def _pause(self) -> None:
        """Stop a consumer for longer than it may own a partition: it comes back as a stale owner."""
        self._resume()
        due = self.plan.pauses * self._progress
        if self.pauses < due and self.consumers and not self._paused:
            pid = self.random.choice(list(self.consumers))
            if self.zygote.signal(pid, signal.SIGSTOP):
                self.pauses += 1
                self._paused.append((time.monotonic() + self.random.uniform(2.5, 5), pid))

    def _resume(self, *, everything: bool = False) -> None:
        for until, pid in list(self._paused):
            if everything or time.monotonic() > until or pid not in self.consumers:
                self.zygote.signal(pid, signal.SIGCONT)
                self._paused.remove((until, pid))

    def _take_away(self) -> None:
        if self._outage:
            until, end = self._outage
            if time.monotonic() > until:
                end()
                self._outage = None
                self._calm_until = time.monotonic() + self.random.uniform(0.5, 1.5)
            return
        if time.monotonic() < self._calm_until:
            return
        if self.restarts < self.plan.storage_restarts * self._progress - 0.4:
            self.restarts += 1
            self.outages["storage restarts"] += 1
            self.storage.restart()
        elif sum(self.outages.values()) < self.plan.outages * self._progress:
            kind = OUTAGES[sum(self.outages.values()) % len(OUTAGES)]
            self.outages[kind] += 1
            # Telemetry is away for longer than one send's deadline; storage for as long as one tries again.
            shortest, longest = (3, 5) if kind.startswith("ingestion") else (0.5, 3)
            self._outage = (time.monotonic() + self.random.uniform(shortest, longest), self._begin(kind))
        elif self.cuts < 6 * self._progress:
            self.cuts += 1
            self.broker.kill_connections()

    def _begin(self, kind: str) -> Callable[[], None]:
        """Take something away and return what brings it back."""
        proxy = self.gate if kind.startswith("storage") else self.wire
        if kind.endswith("503"):
            self.endpoint.script(always(status(503)))
            return self.endpoint.script
        proxy.mode = "refuse" if kind.endswith("refuses") else "deaf"

        def bring_back() -> None:
            proxy.mode = "open"

        return bring_back

    # ------------------------------------------------------------ coming to rest

    def _rest(self) -> None:
        """Wait until everything was committed, expired and confirmed, or time is up."""
        put = [len(each.bodies) for each in self.traffic.partitions]
        self.report.figures["seconds under fire"] = round(self._age())
        wanted: set[str] = set()
        look_at = 0.0
        while self._age() < self.plan.seconds:
            self._keep_consumers()
            self._tell()
            time.sleep(0.3)
            if self._watermarks() != put:
                look_at = time.monotonic() + 1
            elif len(wanted) < len(self.traffic.cost):
                if time.monotonic() > look_at:
                    wanted = {each.charge.charge_id for each in calls(ledger_rows(self.ledger))}
                    look_at = time.monotonic() + 5
            elif wanted <= set(self.endpoint.accepted):
                return

    def _stop(self) -> None:
        for pid in self.consumers:
            self.zygote.signal(pid, signal.SIGTERM)
        end = time.monotonic() + 20
        while any(self.zygote.ended(pid) is None for pid in self.consumers) and time.monotonic() < end:
            time.sleep(0.05)
        for pid in self.consumers:
            code = self.zygote.ended(pid)
            self.crashed[-999 if code is None else code] += 1
            self.zygote.signal(pid, signal.SIGKILL)


class Check:
    """What must hold at the end."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.report = run.report
        self.traffic = run.traffic

    def __call__(self) -> None:
        ledger = self.run.ledger
        self._counts()
        self._positions(ledger)
        rows = list(ledger_rows(ledger))
        self._calls(rows)
        self._dead_letters(ledger)

    def _problem(self, text: str, found: Iterable[object] = ()) -> None:
        some = list(found)
        self.report.problems.append(f"{text}{': ' + str(some[:4]) if some else ''}")

    def _counts(self) -> None:
        run, plan, figures = self.run, self.run.plan, self.report.figures
        self.report.hits = run._hits()
        kills = sum(self.report.hits.values())
        figures |= {
            "events": self.traffic.events,
            "kills while work was in flight": kills,
            "outages": f"{sum(run.outages.values())} {dict(run.outages)}",
            "pauses (stale owners)": run.pauses,
            "all connections to the hub cut": run.cuts,
            "partitions stolen": run.broker.thefts,
        }
        if self.traffic.events < plan.events:
            self._problem(f"only {self.traffic.events} of {plan.events} events were sent")
        if kills < plan.kills:
            self._problem(f"only {kills} of {plan.kills} kills")
        for point in POINTS:
            if self.report.hits[point] < plan.each_point:
                self._problem(f"only {self.report.hits[point]} of {plan.each_point} kills at {point}")
        if sum(run.outages.values()) < plan.outages:
            self._problem(f"only {sum(run.outages.values())} of {plan.outages} outages")
        odd = {code: count for code, count in run.crashed.items() if code not in (0, -9)}
        if odd:
            self._problem(f"consumers ended by themselves: {odd}; see {run.folder}")

    def _positions(self, ledger: Ledger) -> None:
        """Every event once in the committed rows of its stream, and no gap."""
        total = double = 0
        for partition, expected in enumerate(self.traffic.partitions):
            seen: Counter[str] = Counter()
            numbers: set[int] = set()
            for _, row in ledger.journal(self.run._journal(partition)).read():
                if isinstance(row, Gap):
                    self._problem(f"partition {partition}: a gap", [(row.first, row.last)])
                elif isinstance(row, Charge | Identity | Ignored | Part | Reject):
                    seen[row.row_id] += 1
                    if not (isinstance(row, Charge) and "join_timeout" in row.usage_notes):
                        numbers.add(int(row.row_id.split("/")[4]))
            twice = [row_id for row_id, count in seen.items() if count > 1]
            if twice:
                self._problem(f"partition {partition}: {len(twice)} events are committed twice", twice)
            missing = expected.bodies.keys() - numbers
            if missing:
                self._problem(
                    f"partition {partition}: {len(missing)} events are not committed", sorted(missing)
                )
            total, double = total + len(numbers), double + len(twice)
        self.report.figures["events in committed rows, once / twice"] = f"{total} / {double}"

    def _calls(self, rows: list[BillingRow]) -> None:
        by_place: dict[tuple[str, int], str] = {
            (str(partition), number): call
            for partition, expected in enumerate(self.traffic.partitions)
            for number, call in expected.calls.items()
        }
        found: Counter[str] = Counter()
        ids: dict[str, set[str]] = {}
        wrong: list[str] = []
        total = expected_total = Fraction(0)
        for each in calls(rows):
            charge = each.charge
            name = by_place.get((charge.partition, charge.sequence_number))
            if name is None:
                self._problem("a charge of no call", [charge.row_id])
                continue
            found[name] += 1
            ids.setdefault(name, set()).add(charge.charge_id)
            if name in self.traffic.truncated:
                wrong += [] if charge.truncated else [f"{name}: not truncated"]
                continue
            expected, cost = self.traffic.cost[name], charge.total_cost
            total += Fraction(cost or 0)
            expected_total += expected or 0
            if (expected is None) != (cost is None) or (cost is not None and Fraction(cost) != expected):
                wrong.append(f"{name}: {cost} instead of {expected}")
        self._compare_calls(found, ids, wrong)
        money = f"{float(total):.6f} / {float(expected_total):.6f}"
        self.report.figures["money billed / by the oracle (USD)"] = money
        if total != expected_total:
            self._problem(f"the money differs: {money}")
        accepted = self.run.endpoint.accepted
        charge_ids = {one for some in ids.values() for one in some}
        unconfirmed = charge_ids - set(accepted)
        strangers = set(accepted) - {row.charge_id for row in rows if isinstance(row, Charge)}
        self.report.figures["charges confirmed / expected"] = (
            f"{len(charge_ids) - len(unconfirmed)} / {len(self.traffic.cost)}"
        )
        self.report.figures["of those sent more than once"] = sum(
            1 for each in charge_ids if accepted[each] > 1
        )
        if unconfirmed:
            self._problem(f"{len(unconfirmed)} charges were never confirmed", sorted(unconfirmed))
        if strangers:
            self._problem(f"{len(strangers)} confirmed ids are no charge's", sorted(map(str, strangers)))

    def _compare_calls(self, found: Counter[str], ids: dict[str, set[str]], wrong: list[str]) -> None:
        wanted = self.traffic.cost.keys()
        once = sum(1 for name in wanted if found[name] == 1)
        self.report.figures["calls read once / made"] = f"{once} / {len(wanted)}"
        missing = [name for name in wanted if not found[name]]
        twice = [name for name in wanted if found[name] > 1]
        if missing:
            self._problem(f"{len(missing)} calls are on no bill", missing)
        if twice:
            self._problem(f"{len(twice)} calls are on the bill twice", twice)
        several = [name for name, some in ids.items() if len(some) > 1]
        if several:
            self._problem(f"{len(several)} calls have several ids", several)
        if wrong:
            self._problem(f"{len(wrong)} calls have another price than the oracle's", wrong)

    def _dead_letters(self, ledger: Ledger) -> None:
        stream = f"{self.run.broker.namespace}/{HUB}/1"
        wanted = {
            f"{stream}/{partition}/{number}": body
            for partition, expected in enumerate(self.traffic.partitions)
            for number, body in expected.poison.items()
        }
        kept = {path: ledger.dead_letters.get(path)[0] for path in ledger.dead_letters.list()}
        same = sum(1 for path, body in wanted.items() if kept.get(path) == body)
        self.report.figures["dead letters equal / poison events"] = f"{same} / {len(wanted)}"
        if kept != wanted:
            differing = [path for path in kept.keys() | wanted.keys() if kept.get(path) != wanted.get(path)]
            self._problem(f"{len(differing)} dead letters differ from the poison events", sorted(differing))


def run(plan: Plan, say: Callable[[str], None] = lambda _: None) -> Report:
    """Run a plan; its folder is kept when there are problems, for the logs of the consumers."""
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    (folder / "azurite").mkdir()
    report = Run(plan, folder, say)()
    if not report.problems or plan.broken:
        shutil.rmtree(folder, ignore_errors=True)
    return report
