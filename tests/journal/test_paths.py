"""Names of journals survive the way into a folder and back."""

import re

from hypothesis import given
from hypothesis import strategies as st

from chargeback.journal import paths


def test_a_stream_has_a_column_for_each_part():
    folder = paths.folder("stream/contoso.servicebus.windows.net/usage/1/0")

    assert folder == "kind=stream/namespace=contoso.servicebus.windows.net/hub=usage/generation=1/partition=0"


def test_an_unknown_kind_has_numbered_columns():
    assert paths.folder("run/a/b") == "kind=run/part0=a/part1=b"
    assert paths.folder("source/a/b") == "kind=source/source=a/part1=b"


parts = st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), min_size=1)


@given(st.lists(parts, min_size=1, max_size=6))
def test_every_name_comes_back_from_a_safe_path(names):
    name = "/".join(names)

    assert paths.journal(paths.folder(name)) == name
    paths.check(paths.folder(name))


@given(st.lists(parts, min_size=1, max_size=4))
def test_every_escaped_path_is_safe_and_comes_back(names):
    path = "/".join(names)
    paths.check(paths.escape_all(path))

    assert paths.unescape_all(paths.escape_all(path)) == path
    assert not re.search(r"(^|/)\.", paths.escape_all(path))
