"""Write docs/formats.md from the table of formats; a test fails when the page is stale.

python scripts/format_docs.py
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from chargeback.facts import FACT_FIELDS
from chargeback.formats import TABLE
from chargeback.formats.row import Row

PAGE = ROOT / "docs" / "formats.md"
PAGES = ROOT / "docs" / "formats"
FROM_URL = ("account", "deployment", "operation", "api_version")

HEAD = """# Capture formats

What the worker understands on an Event Hub, and what each event tells it.
This page is written by `scripts/format_docs.py` from the rows that read the events (`chargeback/formats`).

Names of members are compared without regard to case, words for "missing" (`NA`, `N/A`, `null`, `unknown`, `NA-HEADER`, empty) are no
values, and a count that is no whole number is unknown, never 0.
An event that fits no row is rejected with the names of its members and the nearest format; its bytes are kept as a dead letter.
What an event does not tell (a deployment, a caller) comes from the rate table's `defaults` and `subscriptions`, or the call is `unpriced`.

An event belongs to the first row that fits, from top to bottom.
"Told by" lists the members that must be there; one of those in parentheses is enough.

| format | events | told by | fields | usage from |
|---|---|---|---|---|
"""
FOOT = """
## What the columns mean

- *Fields* are those of a charge (`docs/schemas/charge.json`).
- *Usage from* `counts`: numbers in the event; `gateway counts`: numbers of API Management's log; `usage block`: the service's own block in the
  event; `bodies`: the block inside the answer or, without one, what was captured is counted and the charge says `estimated`.
- **experimental**: nobody has verified the named part on a running system; it is read as documented.

## Sentinels

- `Portal-Admin` (F7) stays visible as the name of a consumer: these are calls of the portal's test console.
- 1/0/1 (F7) is what its policy writes when it found no usage: unknown, except for an embedding.
- `"null"` (F6) and three zeros (F16) are unknown, too.
"""


def main() -> int:
    PAGE.write_text(page(), encoding="utf-8", newline="\n")
    print(PAGE.relative_to(ROOT))
    return 0


def page() -> str:
    """Return the whole page."""
    rows = "".join(f"| {' | '.join(_cells(row))} |\n" for row in TABLE)
    notes = "".join(
        f"- **{row.name}** is experimental: {row.experimental}.\n" for row in TABLE if row.experimental
    )
    return f"{HEAD}{rows}\n## Experimental\n\n{notes}{FOOT}"


def fields_of(row: Row) -> tuple[str, ...]:
    """Return the fields of a charge an event of this row can tell."""
    known = {*row.facts, *(FROM_URL if row.url else ()), *row.yields}
    known |= {"operation"} if row.title_of else set()
    known |= {"subscription_key_id"} if row.key else set()
    known |= {"streamed"} if row.streamed is not None else set()
    return tuple(name for name in FACT_FIELDS if name in known)


def usage_of(row: Row) -> str:
    bodies = row.request or row.response or any(name.endswith("body") for name in row.yields)
    told = (
        ("gateway counts" if row.name == "F15" else "counts") if row.counts or "counts" in row.yields else "",
        "usage block" if row.usage else "",
        "bodies" if bodies else "",
    )
    return ", ".join(word for word in told if word) or "nothing"


def _cells(row: Row) -> tuple[str, ...]:
    page = PAGES / f"{row.name}.md"
    name = f"[{row.name}](formats/{page.name})" if page.exists() else row.name
    label = " **experimental**" if row.experimental else ""
    return (name, f"{row.title}{label}", _marks(row), _code(fields_of(row)), usage_of(row))


def _marks(row: Row) -> str:
    told = [f"`{name}`" for name in sorted(row.needs - row.says.keys())]
    told += [f"`{name}` begins with {_either(words)}" for name, words in row.says.items()]
    told += [f"({_code(tuple(sorted(some)))})" for some in row.one_of]
    told += [f"(`{name}` in its first element)" for name in sorted(row.in_records)]
    told += [f"or any `{row.prefix}*`"] if row.prefix else []
    return ", ".join(told)


def _either(words: tuple[str, ...]) -> str:
    return " or ".join(f"`{word}`" for word in words)


def _code(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    sys.exit(main())
