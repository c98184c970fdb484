"""A span of time a report is about: read from options, written as SQL and for people. Always UTC."""

from datetime import UTC, datetime

from msgspec import Struct

from chargeback.errors import UsageError


class Span(Struct, frozen=True):
    """``[start, end)`` in UTC; None is open."""

    start: datetime | None = None
    end: datetime | None = None

    @property
    def condition(self) -> str:
        """The span as a condition on entries; one without any time is in every span that is open."""
        parts = [f'"at" >= {instant(self.start)}'] if self.start else []
        parts += [f'"at" < {instant(self.end)}'] if self.end else []
        return " AND ".join(parts) or "true"

    @property
    def told(self) -> str:
        start = "the beginning" if self.start is None else _told(self.start)
        return f"{start} to {'now' if self.end is None else _told(self.end)} (UTC, end exclusive)"


EVER = Span()


def _told(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z").removesuffix("T00:00:00Z")


def span_of(start: str | None, end: str | None) -> Span:
    """Read ``--from`` and ``--to``: dates or instants. Raises UsageError."""
    span = Span(_instant("--from", start), _instant("--to", end))
    if span.start and span.end and span.start >= span.end:
        raise UsageError(f"--from {start} --to {end}: expected an end after the start (the end is exclusive)")
    return span


def month(period: str) -> Span:
    """Read a period such as 2026-11. Raises UsageError."""
    try:
        start = datetime.strptime(period, "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        raise UsageError(f"period {period!r}: expected a calendar month such as 2026-11") from None
    return Span(start, datetime(start.year + start.month // 12, start.month % 12 + 1, 1, tzinfo=UTC))


def _instant(option: str, value: str | None) -> datetime | None:
    if value is None:
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        raise UsageError(
            f"{option} {value!r}: expected a date such as 2026-11-01 or an instant such as 2026-11-01T12:00:00Z"
        ) from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def instant(at: datetime) -> str:
    """Return an aware instant as a SQL literal; a TIMESTAMP has no zone, and all of ours are UTC."""
    return f"TIMESTAMP '{at.astimezone(UTC).replace(tzinfo=None).isoformat(sep=' ')}'"
