"""A statement for each cost centre: its own lines and nobody else's, proved to add up to the whole.

Lines are exact. The amount due is rounded once, at the end, and what rounding took or gave is told.
"""

import csv
from collections.abc import Iterator, Sequence
from decimal import Decimal
from html import escape
from importlib import resources
from pathlib import Path

from msgspec import Struct

from chargeback.errors import StopError
from chargeback.journal.paths import escape as safe
from chargeback.pools import to_cents
from chargeback.report.bill import Group
from chargeback.report.books import Books
from chargeback.report.closed import Manifest
from chargeback.report.columns import text
from chargeback.report.lines import WITH_LINES
from chargeback.report.query import currency, exact_sum, groups, plain
from chargeback.report.span import Span

COLUMNS = (
    "kind",
    "subscription",
    "subscription_name",
    "app",
    "product",
    "account",
    "deployment",
    "model",
    "meter",
    "calls",
    "quantity",
    "unit",
    "price",
    "per",
    "amount",
    "of_month",
    "remark",
)
_WHO = "subscription_id, subscription_name, app_id, product, account, deployment, model"
_NOBODY = "UNALLOCATED"


class Statement(Struct, frozen=True, kw_only=True):
    """What one cost centre gets."""

    cost_centre: str
    name: str
    lines: list[tuple[object, ...]]
    billed: Decimal
    due: Decimal

    @property
    def residual(self) -> Decimal:
        """What rounding took (above zero) or gave."""
        return exact_sum(self.billed, -self.due)


def statements(books: Books, span: Span) -> list[Statement]:
    """Return a statement for each cost centre. Raises StopError when they do not add up to the whole."""
    centres = groups(books, ("cost-centre",), span)
    names = {row.id: row.name for row in books.table.rows.cost_centres} if books.table else {}
    made = [_statement(books, span, group, names) for group in centres]
    _prove(made, centres)
    return sorted(made, key=lambda each: each.cost_centre)


def _statement(books: Books, span: Span, group: Group, names: dict[str, str | None]) -> Statement:
    centre = group.keys[0] or _NOBODY
    lines = list(_lines(books, span, group.keys[0]))
    return Statement(
        cost_centre=centre,
        name=names.get(centre) or centre,
        lines=lines,
        billed=exact_sum(*(Decimal(str(line[COLUMNS.index("amount")] or 0)) for line in lines)),
        due=to_cents(group.billed),
    )


def _prove(made: Sequence[Statement], centres: Sequence[Group]) -> None:
    whole = {group.keys[0] or _NOBODY: group.billed for group in centres}
    for each in made:
        if each.billed != whole[each.cost_centre]:
            raise StopError(
                f"statement of {each.cost_centre}: its lines are {each.billed:f}, the ledger says "
                f"{whole[each.cost_centre]:f}; this is a fault of the program, nothing was written"
            )


def check_manifest(made: Sequence[Statement], manifest: Manifest) -> None:
    """Raise StopError unless statements and closed month are the same, to the last digit."""
    theirs = {each.cost_centre: (each.billed, each.invoiced) for each in manifest.sums}
    ours = {each.cost_centre: (each.billed, each.due) for each in made}
    if ours != theirs:
        different = sorted(
            centre for centre in ours.keys() | theirs.keys() if ours.get(centre) != theirs.get(centre)
        )
        raise StopError(f"{manifest.period}: statements and manifest differ for {', '.join(different)}")


def _lines(books: Books, span: Span, centre: str | None) -> Iterator[tuple[object, ...]]:
    mine = "cost_centre IS NULL" if centre is None else f"cost_centre = {text(centre)}"
    where = f"{mine} AND {span.condition}"
    for row in books.db.rows(_QUERY.format(where=where, who=_WHO, with_lines=WITH_LINES)):
        yield tuple(_cell(value) for value in row)


# Meters, then markups, pools, and what has no price: every part of an entry's amount is in exactly one line.
_QUERY = """
WITH mine AS (FROM entries WHERE {where}),
meters AS (
    SELECT mine.* EXCLUDE (lines), unnest(lines) AS l FROM mine WHERE {with_lines}
)
SELECT kind, {who}, l.meter, count(*), sum(l.quantity), l.unit, l.price, l.per, sum(l.cost) AS amount, corrects, waiver
FROM meters GROUP BY ALL
UNION ALL
SELECT 'markup', {who}, NULL, count(*), NULL, NULL, NULL, NULL, sum(markup) AS amount, corrects, waiver
FROM mine WHERE markup <> 0 GROUP BY ALL
UNION ALL
SELECT kind, {who}, pool, NULL, sum(weight), NULL, NULL, NULL, sum(pool_cost) AS amount, corrects, waiver
FROM mine WHERE kind IN ('pool', 'idle') GROUP BY ALL
UNION ALL
SELECT rating, {who}, rating_reason, count(*), sum(total_tokens), 'tokens', NULL, NULL, sum(total_cost) AS amount,
    corrects, waiver
FROM mine WHERE rating <> 'priced' AND kind = 'call' GROUP BY ALL
UNION ALL
SELECT 'no tokens', {who}, NULL, count(*), NULL, NULL, NULL, NULL, sum(total_cost) AS amount, corrects, waiver
FROM mine WHERE ({with_lines}) AND coalesce(len(lines), 0) = 0 GROUP BY ALL
ORDER BY 1, 2, 4, 7, 8, 9
"""


def _cell(value: object) -> object:
    if isinstance(value, Decimal):
        return f"{plain(value):f}"
    return "" if value is None else value


def write(folder: Path, books: Books, period: str, span: Span) -> list[Statement]:
    """Write a CSV and a page for each cost centre; the books' manifest, if any, must agree."""
    made = statements(books, span)
    manifest = next((each for each in books.closed if each.period == period), None)
    if manifest is not None:
        check_manifest(made, manifest)
    folder.mkdir(parents=True, exist_ok=True)
    money = currency(books, span)
    for each in made:
        name = f"{period}-{safe(each.cost_centre)}"
        write_csv(folder / f"{name}.csv", each)
        page = _page(each, period, money, closed=manifest is not None)
        (folder / f"{name}.html").write_text(page, encoding="utf-8")
    return made


def write_csv(file: Path, statement: Statement) -> None:
    """Write the lines with ``COLUMNS`` as their head; amounts are plain decimals."""
    with file.open("w", encoding="utf-8", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(COLUMNS)
        rows.writerows(
            [_harmless(name, cell) for name, cell in zip(COLUMNS, line, strict=True)]
            for line in statement.lines
        )


def _harmless(column: str, cell: object) -> object:
    """Keep a name from being a formula: statements are opened in spreadsheets, and callers choose some names."""
    if column in _NUMBERS or not isinstance(cell, str):
        return cell
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _page(statement: Statement, period: str, money: str, *, closed: bool) -> str:
    css = resources.files("chargeback.report.page").joinpath("page.css").read_text("utf-8")
    state = "closed" if closed else "draft: the month is not closed, amounts may change"
    shown = [place for place in range(len(COLUMNS)) if any(line[place] != "" for line in statement.lines)]
    heads = "".join(f"<th>{escape(COLUMNS[place].replace('_', ' '))}</th>" for place in shown)
    rows = "".join(
        f"<tr>{''.join(_td(COLUMNS[place], line[place]) for place in shown)}</tr>" for line in statement.lines
    )
    title = f"Statement {period}, {statement.cost_centre} {statement.name}"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{css}</style></head><body><header><h1>{escape(title)}</h1>"
        f"<p>{escape(state)}; amounts in {escape(money)}</p></header><main>"
        f'<section class="card wide"><h2>Amount due: {statement.due:,} {escape(money)}</h2>'
        f"<p>Sum of the lines {statement.billed:f}, rounded once; residual {statement.residual:f}.</p>"
        f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
        "</section></main></body></html>\n"
    )


_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NUMBERS = frozenset({"calls", "quantity", "price", "per", "amount"})


def _td(name: str, value: object) -> str:
    kind = ' class="n"' if name in _NUMBERS else ""
    return f"<td{kind}>{escape(str(value))}</td>"
