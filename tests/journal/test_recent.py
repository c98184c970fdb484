"""The memory of what was just appended: the same bytes as the storage's, or none."""

import itertools

import pytest

from chargeback.journal import recent
from chargeback.journal.recent import RecentSegments
from chargeback.ports import Extent, MovedError


class Counting:
    """Segments in memory that count how often they are read."""

    max_append, max_appends = 1000, 1000

    def __init__(self):
        self.held = {}
        self.reads = 0

    def append(self, name, data, at):
        if len(self.held.get(name, b"")) != at:
            raise MovedError("moved")
        self.held[name] = self.held.get(name, b"") + data
        return Extent(at + len(data), 0)

    def read(self, name, start, stop):
        self.reads += 1
        return self.held[name][start:stop]


@pytest.fixture
def inner():
    return Counting()


@pytest.fixture
def segments(inner):
    found = RecentSegments(inner)
    for at, data in ((0, b"aaaa"), (4, b"bbbb"), (8, b"cccc")):
        found.append("s", data, at)
    return found


def test_every_range_is_what_the_storage_holds(inner):
    pieces = ((0, b"aaaa"), (4, b"bbbb"), (8, b"cccc"))
    for start, stop in itertools.combinations(range(13), 2):
        inner.held.clear()
        segments = RecentSegments(inner)
        for at, data in pieces:
            segments.append("s", data, at)

        assert segments.read("s", start, stop) == b"aaaabbbbcccc"[start:stop]
    assert inner.reads == 0


def test_what_was_read_past_is_asked_of_the_storage_again(segments, inner):
    segments.read("s", 6, 12)

    assert segments.read("s", 4, 8) == b"bbbb"
    assert inner.reads == 0
    assert segments.read("s", 0, 12) == b"aaaabbbbcccc"
    assert inner.reads == 1


def test_an_append_that_failed_is_not_remembered(segments, inner):
    with pytest.raises(MovedError):
        segments.append("s", b"ours", 4)

    assert segments.read("s", 4, 8) == b"bbbb"


def test_after_a_rival_s_append_only_what_follows_it_is_remembered(segments, inner):
    inner.append("s", b"rival", 12)
    segments.append("s", b"ours", 17)

    assert segments.read("s", 12, 21) == b"rivalours"
    assert inner.reads == 1
    assert segments.read("s", 17, 21) == b"ours"
    assert inner.reads == 1


def test_a_new_segment_replaces_the_old_one(segments, inner):
    segments.append("t", b"dddd", 0)

    assert segments.read("s", 0, 4) == b"aaaa"
    assert segments.read("t", 0, 4) == b"dddd"
    assert inner.reads == 1


def test_memory_is_bounded(segments, inner, monkeypatch):
    monkeypatch.setattr(recent, "KEPT_BYTES", 8)
    segments.append("s", b"dddd", 12)

    assert segments.read("s", 8, 16) == b"ccccdddd"
    assert inner.reads == 0
    segments.append("s", b"e" * 9, 16)
    assert segments.read("s", 16, 25) == b"e" * 9
    assert inner.reads == 1
