"""Local files through full disks, missing rights and killed processes."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chargeback.errors import RetryError, StopError
from chargeback.journal import local
from chargeback.journal.rows import Ignored
from chargeback.ports import Entry, InDoubtError

NOON = datetime(2026, 5, 24, 12, tzinfo=UTC)
SEGMENT = "date=2026-05-24/000001.ndjson"


def entry(position):
    return Entry(position=position, enqueued_at=None, rows=(Ignored(row_id=str(position), reason="metric"),))


def opened(root, name="source/a"):
    return local.ledger(root, writer="w", now=lambda: NOON).journal(name)


def row_ids(root):
    return [row.row_id for _, row in opened(root).read()]


def test_the_layout_is_hive_style(tmp_path):
    opened(tmp_path, "stream/ns/hub/1/0").append([entry(1)], after=None, batch_id="b")
    folder = tmp_path / "journal/kind=stream/namespace=ns/hub=hub/generation=1/partition=0"

    rows = [json.loads(line) for line in (folder / SEGMENT).read_bytes().splitlines()]
    assert [row["row"] for row in rows] == ["ignored", "commit"]


def test_opening_and_reading_leaves_no_trace(tmp_path):
    ledger = local.ledger(tmp_path / "ledger", writer="w", now=lambda: NOON)
    ledger.journal("source/a").watermark()

    assert (ledger.journals(), ledger.pending.journals(), ledger.fetch("rates/a.json")) == ([], [], None)
    assert not (tmp_path / "ledger").exists()


def test_the_commit_is_written_when_its_rows_are_on_disk(tmp_path, monkeypatch):
    """A power cut may lose an earlier page and keep a later one of the same file."""
    segments = local.LocalSegments(tmp_path)
    segments.create(SEGMENT)
    done = []
    monkeypatch.setattr(os, "write", lambda handle, data: done.append(bytes(data)) or len(data))
    monkeypatch.setattr(os, "fsync", lambda handle: done.append("flushed"))
    segments.append(SEGMENT, b"row\nrow\ncommit\n", 0)

    assert done == [b"row\nrow\n", "flushed", b"commit\n", "flushed"]


def test_short_writes_are_completed(tmp_path, monkeypatch):
    segments = local.LocalSegments(tmp_path)
    segments.create(SEGMENT)
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[:3]))
    segments.append(SEGMENT, b"row one\nrow two\n", 0)

    assert segments.read(SEGMENT, 0, 99) == b"row one\nrow two\n"


def test_a_disk_that_fills_up_in_the_middle_leaves_a_torn_tail(tmp_path, monkeypatch):
    journal = opened(tmp_path)
    watermark = journal.append([entry(1)], after=None, batch_id="b1")
    write = os.write

    def full(handle, data):
        if len(data) < 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(handle, data[: len(data) // 2])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(RetryError, match=r"No space left on device.*must be delivered again"):
        journal.append([entry(2)], after=watermark, batch_id="b2")
    monkeypatch.setattr(os, "write", write)

    assert row_ids(tmp_path) == ["1"]
    journal.append([entry(2)], after=watermark, batch_id="b3")
    assert row_ids(tmp_path) == ["1", "2"]


@pytest.mark.parametrize(
    ("number", "expected"), [(errno.EACCES, StopError), (errno.EROFS, StopError), (errno.EIO, RetryError)]
)
def test_the_system_says_who_must_act(tmp_path, monkeypatch, number, expected):
    def failing(*args):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", failing)
    for act in (
        lambda: local.LocalSegments(tmp_path).create(SEGMENT),
        lambda: local.LocalObjects(tmp_path).put("a/b", b""),
        lambda: local.LocalLeases(tmp_path).hold("a", 15),
    ):
        with pytest.raises(expected, match=os.strerror(number)) as raised:
            act()
        assert not isinstance(raised.value, InDoubtError)


def test_a_file_in_the_place_of_the_folder_stops(tmp_path):
    (tmp_path / "ledger").write_text("")

    with pytest.raises(StopError, match=r"ledger.*choose a folder"):
        opened(tmp_path / "ledger").append([entry(1)], after=None, batch_id="b")


def test_leftovers_of_a_killed_process_are_no_objects(tmp_path):
    objects = local.LocalObjects(tmp_path)
    objects.put("a/b", b"whole", about={"n": "1"})
    (tmp_path / "a/.b.new").write_bytes(b"ha")

    assert objects.names("a/") == ["a/b"]
    objects.put("a/b", b"next")
    assert (objects.get("a/b").body, objects.names("a/")) == (b"next", ["a/b"])


CHILD = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from chargeback.journal import local
from chargeback.journal.rows import Ignored
from chargeback.ports import Entry, OvertakenError

writer, root, upto = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
now = datetime(2026, 5, 24, 12, tzinfo=UTC)
journal = local.ledger(root, writer=writer, now=lambda: now, segment_bytes=20_000).journal("source/a")
while (last := watermark.last_seq if (watermark := journal.watermark()) else 0) < upto:
    made = [
        Entry(position=n, enqueued_at=None, rows=(Ignored(row_id=str(n), reason="x" * 200),))
        for n in range(last + 1, last + 1 + n_events)
    ] if (n_events := 1 + last % 7) else []
    try:
        journal.append(made, after=watermark, batch_id=f"{writer}/{last}")
    except OvertakenError:
        pass
    print(journal.watermark().last_seq, flush=True)
"""


def test_killed_and_rivalling_processes_write_each_event_once(tmp_path):
    """Four processes, two of them killed with SIGKILL at work; what one was told is safe, is there."""
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, f"w{number}", str(tmp_path), "400"],
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    told = 0
    for child in children[:2]:
        told = max(told, int(child.stdout.readline()))
        time.sleep(random.Random(child.args[3]).uniform(0, 0.05))
        child.send_signal(signal.SIGKILL)
    for child in children:
        told = max([told, *map(int, child.communicate(timeout=60)[0].split())])
    found = row_ids(tmp_path)

    assert [child.returncode for child in children[2:]] == [0, 0]
    assert found == [str(position) for position in range(1, len(found) + 1)]
    assert len(found) >= max(told, 400)
