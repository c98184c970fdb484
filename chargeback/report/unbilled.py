"""Calls known only by who made them: an ``identity`` event came, and no event with usage.

Nothing is billed for them. Usage may still come (another hub, APIM's log), may be lost, or there is none
because the call failed: nobody knows, so reports count them and a close tells.
"""

import csv
from pathlib import Path
from typing import Any

from chargeback.report.books import Books
from chargeback.report.span import Span

COLUMNS = (
    "charge_id",
    "occurred_at",
    "subscription_id",
    "app_id",
    "product",
    "account",
    "deployment",
    "operation",
    "http_status",
    "request_id",
    "cost_centre",
)
MEANING = "Who made them is known, and no event brought their usage, so nothing is billed; `chargeback report --unbilled FILE` lists them."


def count(books: Books, span: Span) -> int:
    """Return how many there are; one without any time is in every span that is open."""
    return int(books.db.one(f"SELECT count(DISTINCT key) FROM {_relation(books, span)}"))


def write(file: Path, books: Books, span: Span) -> int:
    """List them as CSV, each once, and return how many."""
    told = ", ".join(f"any_value({name}) AS {name}" for name in COLUMNS[1:])
    rows = books.db.rows(
        f"SELECT charge_id, {told} FROM {_relation(books, span)} GROUP BY charge_id ORDER BY 2, 1"
    )
    with file.open("w", encoding="utf-8", newline="") as out:
        lines = csv.writer(out)
        lines.writerow(COLUMNS)
        lines.writerows(tuple(map(_cell, row)) for row in rows)
    return len(rows)


def _relation(books: Books, span: Span) -> str:
    where = span.condition.replace('"at"', "occurred_at")
    named = f"(SELECT * FROM identities WHERE {where})"
    # Most ledgers have no such events, and then ten million charges need not be looked at.
    if not books.db.one(f"SELECT count(*) FROM {named}"):
        return f"{named} AS named"
    return f"{named} AS named ANTI JOIN charges USING (key)"


def _cell(value: Any) -> object:
    return f"{value.isoformat()}Z" if hasattr(value, "isoformat") else value
