"""Segments grow only at the end the caller knows."""

import pytest

from chargeback.ports import Extent, MovedError


@pytest.fixture
def segments(storage):
    return storage.segments("journal/kind=source/source=3f2a")


FIRST, SECOND = "date=1970-01-01/000000.ndjson", "date=2026-05-24/000001.ndjson"


class TestSegments:
    def test_nothing_is_there_before_the_first_write(self, segments):
        assert segments.names() == []
        assert segments.extent(FIRST) is None

    def test_only_one_creates(self, segments):
        assert segments.create(FIRST) is True
        assert segments.create(FIRST) is False
        assert segments.extent(FIRST) == Extent(0, 0)

    def test_creating_again_keeps_what_was_appended(self, segments):
        segments.create(FIRST)
        segments.append(FIRST, b"row\n", 0)
        segments.create(FIRST)

        assert segments.read(FIRST, 0, 4) == b"row\n"

    def test_names_ascend(self, segments):
        segments.create(SECOND)
        segments.create(FIRST)

        assert segments.names() == [FIRST, SECOND]

    def test_appends_where_the_caller_knows_the_end(self, segments):
        segments.create(FIRST)

        assert segments.append(FIRST, b"one\n", 0).size == 4
        assert segments.append(FIRST, b"two\nthree\n", 4).size == 14
        assert segments.extent(FIRST).size == 14
        assert segments.read(FIRST, 0, 14) == b"one\ntwo\nthree\n"

    @pytest.mark.parametrize("at", [0, 3, 5, 99])
    def test_appends_nowhere_else(self, segments, at):
        segments.create(FIRST)
        segments.append(FIRST, b"one\n", 0)

        with pytest.raises(MovedError):
            segments.append(FIRST, b"two\n", at)
        assert segments.read(FIRST, 0, 99) == b"one\n"

    def test_a_missing_segment_has_moved(self, segments):
        with pytest.raises(MovedError):
            segments.append(FIRST, b"one\n", 0)

    def test_a_lost_segment_has_moved(self, segments):
        segments.create(FIRST)

        with pytest.raises(MovedError):
            segments.append(SECOND, b"one\n", 0)

    @pytest.mark.parametrize(
        ("start", "stop", "found"),
        [(0, 0, b""), (4, 8, b"two\n"), (4, 99, b"two\n"), (8, 8, b""), (2, 5, b"e\nt")],
    )
    def test_reads_ranges(self, segments, start, stop, found):
        segments.create(FIRST)
        segments.append(FIRST, b"one\ntwo\n", 0)

        assert segments.read(FIRST, start, stop) == found

    def test_takes_the_largest_append(self, segments):
        data = b"x" * (segments.max_append - 1) + b"\n"
        segments.create(FIRST)

        assert segments.append(FIRST, data, 0).size == len(data)
        assert segments.read(FIRST, 0, len(data)) == data

    def test_counts_appends_or_none(self, segments):
        segments.create(FIRST)
        counts = [segments.append(FIRST, b"row\n", at).appends for at in (0, 4, 8)]

        assert counts in ([1, 2, 3], [0, 0, 0])
        assert segments.extent(FIRST).appends == counts[-1]
