"""Writers that race, crash and lose answers: every event once, in order, and its join state with it."""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from chargeback.errors import RetryError
from chargeback.journal.journal import SegmentedJournal
from chargeback.journal.rows import Ignored
from chargeback.ports import Entry
from chargeback.sinks.pending import Pending
from tests.contract.memory import FaultySegments, MemoryObjects, MemorySegments

NAME = "stream/contoso/usage/1/0"
FAULTS = ("well", "well", "lost", "applied", "torn", "late", "rival")


class Writer:
    """A worker in small: its join state is the list of everything it believes committed."""

    def __init__(self, name, shared, pending, machine):
        self.name = name
        self.faults = FaultySegments(shared)
        self.pending = pending
        self.machine = machine
        self.restart()

    def restart(self):
        self.journal = SegmentedJournal(
            NAME, self.faults, writer=self.name, now=lambda: self.machine.now, segment_bytes=3000
        )

    def deliver(self, count, sizes):
        """Take the next events, as the writer sees them; return how far it was told they are safe."""
        after = self.journal.watermark()
        first = 1 if after is None else after.last_seq + 1
        batch_id = self.machine.fresh_id()
        known = json.loads(self.pending.load(NAME, after) or b"[]")
        made = [entry(first + step, batch_id, sizes[step % len(sizes)]) for step in range(count)]

        def prepare(through):
            new = [[row.row_id, row.reason] for each in made if each.position <= through for row in each.rows]
            self.pending.save(NAME, through, batch_id, json.dumps(known + new).encode())

        watermark = self.journal.append(made, after=after, batch_id=batch_id, prepare=prepare)
        assert watermark.last_seq >= made[-1].position
        return watermark.last_seq


def entry(position, batch_id, size):
    rows = 1 + size % 3
    made = (Ignored(row_id=f"{position}:{n}/{rows}", reason=f"{batch_id}{'x' * size}") for n in range(rows))
    return Entry(position=position, enqueued_at=None, rows=tuple(made))


class UnderFire(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.now = datetime(2026, 5, 24, tzinfo=UTC)
        self.ids = 0
        self.safe = 0
        self.shared = MemorySegments(max_append=1200, max_appends=5)
        self.pending = Pending(MemoryObjects())
        self.writers = [Writer(name, self.shared, self.pending, self) for name in "abc"]

    def fresh_id(self):
        self.ids += 1
        return f"batch{self.ids}"

    def told(self, writer, count, sizes):
        with suppress(RetryError):  # the host delivers it again, to whomever
            self.safe = max(self.safe, writer.deliver(count, sizes))

    @rule(
        who=st.integers(0, 2),
        other=st.integers(0, 2),
        count=st.integers(1, 5),
        sizes=st.lists(st.integers(0, 200), min_size=1, max_size=5),
        plan=st.lists(st.sampled_from(FAULTS), max_size=12),
    )
    def deliver(self, who, other, count, sizes, plan):
        writer, rival = self.writers[who], self.writers[other]
        writer.faults.plan = plan
        if rival is not writer:
            writer.faults.rivals = [lambda: self.told(rival, 1 + count // 2, sizes)] * plan.count("rival")
        self.told(writer, count, sizes)
        writer.faults.plan, writer.faults.rivals = [], []

    @rule(who=st.integers(0, 2))
    def late_requests_arrive(self, who):
        self.writers[who].faults.arrive()

    @rule(who=st.integers(0, 2))
    def a_process_dies_and_starts_again(self, who):
        self.writers[who].restart()

    @rule(who=st.integers(0, 2))
    def a_partition_changes_its_owner(self, who):
        self.writers[who].journal.refresh()

    @rule()
    def a_day_passes(self):
        self.now += timedelta(days=1)

    @invariant()
    def every_event_is_there_once_and_in_order(self):
        reader = SegmentedJournal(NAME, self.shared, writer="reader", now=lambda: self.now)
        watermark = reader.watermark()
        found = [(position, row) for position, row in reader.read()]
        by_event = {}
        for _, row in found:
            position, _, part = row.row_id.partition(":")
            by_event.setdefault(int(position), []).append((part, row.reason))

        assert list(by_event) == list(range(1, len(by_event) + 1))
        for parts in by_event.values():
            assert [part for part, _ in parts] == [f"{n}/{len(parts)}" for n in range(len(parts))]
            assert len({reason for _, reason in parts}) == 1  # of one attempt
        assert (watermark.last_seq if watermark else 0) == len(by_event) >= self.safe
        state = json.loads(self.pending.load(NAME, watermark) or b"[]")
        assert state == [[row.row_id, row.reason] for _, row in found]
        for index in {0, len(found) // 2, len(found) - 1} if found else ():
            assert list(reader.read(after=found[index][0])) == found[index + 1 :]


UnderFire.TestCase.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
TestUnderFire = UnderFire.TestCase
