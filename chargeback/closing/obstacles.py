"""What keeps a month from being closed: each with an id that a waiver can name."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from chargeback.journal.gaps import OpenGap, without
from chargeback.ports import Ledger
from chargeback.report.books import Books
from chargeback.report.span import Span, instant

GRACE = timedelta(days=3)
"""Events reach the hub late, and hubs keep them for days: so long a month stays a draft."""
UNALLOCATED = "UNALLOCATED"


class Obstacle(Struct, frozen=True, kw_only=True):
    """``id`` is what a waiver names: a charge id, or kind and place."""

    id: str
    kind: str
    told: str


def obstacles(books: Books, ledger: Ledger, span: Span, grace: timedelta = GRACE) -> list[Obstacle]:
    """Return everything that must be mended, or waived by somebody, before the month can be closed."""
    return [
        *_watermarks(books, ledger, span, grace),
        *_gaps(books),
        *_calls(books, span),
        *_pools(books, span),
        *_pending(ledger),
        *_dead_letters(books, ledger, span),
    ]


def _watermarks(books: Books, ledger: Ledger, span: Span, grace: timedelta) -> Iterator[Obstacle]:
    """A stream whose last event is younger than period end and grace holds nothing more of the month."""
    if span.end is None:
        return
    wanted = span.end + grace
    for cached in books.cache.journals:
        if not cached.name.startswith("stream/"):
            continue
        watermark = ledger.journal(cached.name).watermark()
        reached = watermark.last_enqueued_time if watermark else None
        if reached is None or reached < wanted:
            told = (
                "nothing is known of its time"
                if reached is None
                else f"its last event is of {_told(reached)}"
            )
            yield Obstacle(
                id=f"journal:{cached.name}",
                kind="watermark",
                told=f"{told}; expected one of {_told(wanted)} or later, or somebody who knows that the partition is drained",
            )


def _gaps(books: Books) -> Iterator[Obstacle]:
    """A gap that a former close waived is settled."""
    waived = {each.id for manifest in books.closed for each in manifest.waivers}
    for gap in gaps(books):
        name = f"gap:{gap}"
        if name not in waived:
            told = f"{gap.count} events were skipped by the platform; run `chargeback repair`"
            yield Obstacle(id=name, kind="gap", told=told)


def gaps(books: Books) -> list[OpenGap]:
    """Return what ``journal.gaps`` finds, from the books: without reading every journal again."""
    repaired: dict[str, list[tuple[int, int]]] = {}
    found: dict[str, list[tuple[int, int]]] = {}
    for journal, kind, first, last in books.db.rows(
        "SELECT journal, kind, \"first\", \"last\" FROM trouble WHERE kind IN ('gap', 'repaired') ORDER BY ALL"
    ):
        (found if kind == "gap" else repaired).setdefault(journal.partition("/")[2], []).append((first, last))
    return sorted(
        OpenGap(stream, *rest)
        for stream, each in found.items()
        for gap in each
        for rest in without(gap, repaired.get(stream, ()))
    )


# The first that holds is told.
_BAD_CALLS = (
    ("conflict", "conflict", "several events report different usage for it; the journal shows which"),
    ("unpriced", "rating = 'unpriced'", "it has no price ({reason}); `chargeback explain {id}` tells why"),
    (
        "no time",
        '"at" IS NULL',
        "nobody knows when it was, so it belongs to no month",
    ),
)


def _calls(books: Books, span: Span) -> Iterator[Obstacle]:
    which = " ".join(f"WHEN {condition} THEN {place}" for place, (_, condition, _) in enumerate(_BAD_CALLS))
    for place, charge_id, reason in books.db.rows(
        f"SELECT min(CASE {which} END) AS which, charge_id, min(coalesce(rating_reason, '-')) FROM due "
        f"WHERE ({' OR '.join(condition for _, condition, _ in _BAD_CALLS)}) AND {in_month(span)} "
        "GROUP BY charge_id ORDER BY ALL"
    ):
        kind, _, text = _BAD_CALLS[int(place)]
        yield Obstacle(id=charge_id, kind=kind, told=text.format(id=charge_id, reason=reason))


def in_month(span: Span) -> str:
    """Return what a close takes: the month's own calls, and those without a time nobody has settled."""
    return f'(({span.condition}) OR "at" IS NULL)'


def _pools(books: Books, span: Span) -> Iterator[Obstacle]:
    known = _pooled_deployments(books)
    for account, deployment, count in books.db.rows(
        "SELECT coalesce(account, '-'), coalesce(deployment, '-'), count(*) FROM due "
        f"WHERE rating = 'pooled' AND {span.condition} GROUP BY ALL ORDER BY ALL"
    ):
        if (account.lower(), deployment.lower()) not in known:
            yield Obstacle(
                id=f"pool:{account}/{deployment}",
                kind="pool",
                told=f"{count} calls of a provisioned deployment that no pool of the rate table pays for",
            )


def _pooled_deployments(books: Books) -> set[tuple[str, str]]:
    pools = books.table.rows.pools if books.table else ()
    return {(each.account.lower(), each.deployment.lower()) for pool in pools for each in pool.deployments}


def _pending(ledger: Ledger) -> Iterator[Obstacle]:
    for journal in ledger.pending.journals():
        yield Obstacle(
            id=f"pending:{journal}",
            kind="pending",
            told="parts of calls still wait for the rest; they are billed as truncated when they expire",
        )


def _dead_letters(books: Books, ledger: Ledger, span: Span) -> Iterator[Obstacle]:
    """A letter that was requeued or deleted is reviewed; one that lies there is not."""
    start = instant(span.start) if span.start else "TIMESTAMP '0001-01-01'"
    end = instant(span.end + GRACE) if span.end else "TIMESTAMP '9999-12-31'"
    rows = books.db.rows(
        "SELECT DISTINCT dead_letter, reason FROM trouble LEFT JOIN frozen USING (journal) WHERE kind = 'reject' "
        f'AND seq > coalesce(frozen.rows, 0) AND ("at" IS NULL OR ("at" >= {start} AND "at" < {end})) ORDER BY ALL'
    )
    if not rows:
        return
    there = set(ledger.dead_letters.list())
    for path, reason in rows:
        if path in there:
            yield Obstacle(
                id=f"dead:{path}",
                kind="dead letter",
                told=f"an event was rejected ({reason}); `chargeback dead-letters show` and requeue or delete it",
            )


def _told(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def remaining(found: Iterable[Obstacle], waived: Sequence[str]) -> list[Obstacle]:
    """Return the obstacles nobody answers for."""
    ids = frozenset(waived)
    return [each for each in found if each.id not in ids]
