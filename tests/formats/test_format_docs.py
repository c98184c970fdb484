"""The page of formats is the table in the code; every first-class format has a page of its own."""

import runpy
from pathlib import Path

import pytest

from chargeback.facts import FACT_FIELDS
from chargeback.formats import TABLE
from chargeback.formats.row import COUNTS

ROOT = Path(__file__).parents[2]
FIRST_CLASS = ("v1", "F1", "F2", "F4", "F5", "F7", "F9", "F10", "F15")
DOCS = runpy.run_path(str(ROOT / "scripts" / "format_docs.py"))


def test_the_page_is_fresh():
    assert DOCS["PAGE"].read_text("utf-8") == DOCS["page"](), "run `python scripts/format_docs.py`"


@pytest.mark.parametrize("name", FIRST_CLASS)
def test_a_first_class_format_has_a_page_that_the_table_links(name):
    assert (ROOT / "docs" / "formats" / f"{name}.md").read_text("utf-8").startswith(f"# {name}: ")
    assert f"[{name}](formats/{name}.md)" in DOCS["page"]()


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.title)
def test_a_row_says_only_what_a_charge_has(row):
    assert set(row.facts) <= set(FACT_FIELDS)
    assert set(row.counts) <= set(COUNTS)
    assert all(name == name.lower() for name in row.reads), "members are compared in lower case"
