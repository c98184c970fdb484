"""Our side of a comparison, from the books, and what of it is known to be missing there or here."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal

from msgspec import Struct

from chargeback.reconcile.counts import Cell, Count
from chargeback.report.books import Books
from chargeback.report.lines import CALLS
from chargeback.report.query import plain
from chargeback.report.span import Span


class Known(Struct, frozen=True, kw_only=True):
    """What our ledger says of itself, for one day and deployment: gaps that explain a difference."""

    unmetered: int = 0
    """Charged by Azure, quantity unknown: 400, 408, answers without usage."""
    estimated: int = 0
    aborted: int = 0
    batch: int = 0
    conflicts: int = 0


def tokens(books: Books, span: Span) -> Iterator[tuple[Cell, Count]]:
    """Yield what the calls counted, by day and deployment."""
    for day, deployment, prompt, completion, calls in books.db.rows(
        "SELECT \"at\"::DATE, coalesce(lower(deployment), '*'), coalesce(sum(prompt_tokens), 0), "
        "coalesce(sum(completion_tokens), 0), count(*) FROM entries "
        f"WHERE kind = 'call' AND NOT rival AND {span.condition} GROUP BY ALL ORDER BY ALL"
    ):
        yield Cell(day, deployment, "prompt"), Count(Decimal(prompt))
        yield Cell(day, deployment, "completion"), Count(Decimal(completion))
        yield Cell(day, deployment, "total"), Count(Decimal(prompt + completion))
        yield Cell(day, deployment, "requests"), Count(Decimal(calls))


def meters(books: Books, span: Span) -> Iterator[tuple[Cell, Count]]:
    """Yield priced quantities and list cost, by day, deployment and meter."""
    for day, deployment, meter, quantity, cost in books.db.rows(
        f"SELECT \"at\"::DATE, coalesce(lower(deployment), '*'), meter, sum(quantity), sum(line_cost) FROM ({CALLS}) "
        f"WHERE NOT coalesce(rival, false) AND {span.condition} GROUP BY ALL ORDER BY ALL"
    ):
        yield Cell(day, deployment, meter), Count(plain(Decimal(quantity)), plain(Decimal(cost)))


def known(books: Books, span: Span) -> dict[tuple[date, str], Known]:
    """Return the gaps our ledger knows of."""
    return {
        (row[0], row[1]): Known(
            unmetered=row[2], estimated=row[3], aborted=row[4], batch=row[5], conflicts=row[6]
        )
        for row in books.db.rows(
            "SELECT \"at\"::DATE, coalesce(lower(deployment), '*'), count(*) FILTER (rating = 'unmetered'), "
            "count(*) FILTER (usage_source = 'estimated'), count(*) FILTER (truncated OR list_contains(usage_notes, 'aborted')), "
            "count(*) FILTER (operation = 'batch' OR deployment_type LIKE '%Batch'), count(*) FILTER (conflict) FROM entries "
            f"WHERE kind = 'call' AND {span.condition} GROUP BY ALL"
        )
    }
