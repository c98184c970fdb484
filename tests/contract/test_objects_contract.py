"""Objects are replaced whole, and only by who has seen the last one when asked to."""

import pytest

from chargeback.errors import StopError
from chargeback.ports import ABSENT, MovedError


class TestObjects:
    def test_nothing_is_there_before_the_first_write(self, storage):
        assert storage.objects.get("a/b") is None
        assert storage.objects.names("a/") == []
        storage.objects.delete("a/b")

    @pytest.mark.parametrize(
        "body", [b"", b"\x00\xff\r\n", b"x" * 5_000_000], ids=["empty", "binary", "large"]
    )
    def test_keeps_every_byte(self, storage, body):
        tag = storage.objects.put("a/b", body)
        found = storage.objects.get("a/b")

        assert (found.body, found.about, found.tag) == (body, {}, tag)

    def test_keeps_what_it_is_about(self, storage):
        about = {"reason": "not_json", "message": " Größe: 100% of “that”\n\t ", "path": "a/b=c;d,e"}
        storage.objects.put("a/b", b"x", about=about)

        assert storage.objects.get("a/b").about == about
        assert storage.objects.names("") == ["a/b"]

    def test_the_last_write_wins_without_a_condition(self, storage):
        storage.objects.put("a", b"1", about={"n": "1"})
        storage.objects.put("a", b"2", about={"n": "2"})

        found = storage.objects.get("a")
        assert (found.body, found.about) == (b"2", {"n": "2"})

    def test_a_new_object_is_about_nothing_of_the_old_one(self, storage):
        storage.objects.put("a", b"1", about={"n": "1"})
        storage.objects.put("a", b"2")

        assert storage.objects.get("a").about == {}

    def test_one_writer_of_two_replaces_what_both_saw(self, storage):
        seen = storage.objects.put("a", b"1", tag=ABSENT)
        fresh = storage.objects.put("a", b"2", tag=seen)

        with pytest.raises(MovedError):
            storage.objects.put("a", b"3", tag=seen)
        assert storage.objects.get("a").body == b"2"
        assert storage.objects.put("a", b"4", tag=fresh) != fresh

    def test_a_tag_never_stands_for_nothing(self, storage):
        tag = storage.objects.put("a", b"1")
        storage.objects.delete("a")

        with pytest.raises(MovedError):
            storage.objects.put("a", b"2", tag=tag)

    def test_only_one_is_first(self, storage):
        storage.objects.put("a", b"1", tag=ABSENT)

        with pytest.raises(MovedError):
            storage.objects.put("a", b"1", tag=ABSENT)

    def test_names_ascend_below_a_folder(self, storage):
        for path in ("b/2", "b/1/x=1", "c/1", "b/1/x%2F1"):
            storage.objects.put(path, b"")

        assert storage.objects.names("b/") == ["b/1/x%2F1", "b/1/x=1", "b/2"]

    def test_deleting_leaves_nothing(self, storage):
        storage.objects.put("a/b", b"1", about={"n": "1"})
        storage.objects.delete("a/b")
        storage.objects.put("a/b", b"2")

        assert storage.objects.get("a/b").about == {}

    @pytest.mark.parametrize(
        "path", ["", "/a", "a//b", "a/", "../a", "a/..", "a/.b", "a\\b", "a b", "ä", "a\n"]
    )
    def test_refuses_a_path_that_needs_escaping(self, storage, path):
        with pytest.raises(StopError, match="storage path"):
            storage.objects.put(path, b"")
