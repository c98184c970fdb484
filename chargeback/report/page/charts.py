"""Charts as plain SVG: bars only, drawn to scale, every bar with its exact value as a tooltip.

Colours are the page's variables, so the same drawing is right in light and dark, on screen and on paper.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from html import escape

from msgspec import Struct

COLOURS = 8
"""The page defines --c0 to --c7; what has no colour of its own is --rest."""
WIDE, NARROW, STEP_HEIGHT = 1180, 560, 26


class Bar(Struct, frozen=True):
    """One bar: its parts from left to right, each with a colour and what to say about it."""

    label: str
    parts: tuple[tuple[Decimal | int, str, str], ...]
    """Amount, colour, tooltip."""
    told: str
    """Stands at the end of the bar."""
    mark: Decimal | int | None = None
    """A line across the bar, such as a budget."""


def colour(place: int) -> str:
    return f"var(--c{place})" if place < COLOURS else "var(--rest)"


def columns(
    title: str, steps: Sequence[str], series: Mapping[str, Mapping[str, Decimal]], told: Mapping[str, str]
) -> str:
    """Return stacked columns: one a step, one colour a series. ``told``: series -> text of the legend."""
    high = max(
        (sum((row.get(step, Decimal(0)) for row in series.values()), Decimal(0)) for step in steps),
        default=Decimal(0),
    )
    scale = _nice(high)
    marks = [_short(scale * share / 4) for share in range(5)]
    left, top, height = max(64, 8 * max(map(len, marks))), 8, 230  # 8: a digit of this size, and some air
    gap = (WIDE - left) / max(len(steps), 1)
    out = [f'<svg viewBox="0 0 {WIDE} {height + top + 34}" role="img" aria-label="{escape(title)}">']
    for share, mark in enumerate(marks):
        y = top + height - height * share / 4
        out.append(f'<line class="grid" x1="{left}" x2="{WIDE}" y1="{y:.1f}" y2="{y:.1f}"/>')
        out.append(f'<text class="axis" x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{mark}</text>')
    for place, step in enumerate(steps):
        x, base = left + gap * place + gap * 0.12, Decimal(top + height)
        for number, (name, row) in enumerate(series.items()):
            amount = row.get(step, Decimal(0))
            if amount <= 0:
                continue
            size = amount / scale * height
            base -= size
            tip = escape(f"{step} {told[name]}: {amount:,f}")
            out.append(
                f'<rect x="{x:.1f}" y="{base:.2f}" width="{gap * 0.76:.1f}" height="{size:.2f}" '
                f'fill="{colour(number)}"><title>{tip}</title></rect>'
            )
        if _shown(place, len(steps)):
            out.append(
                f'<text class="axis" x="{x + gap * 0.38:.1f}" y="{top + height + 18}" text-anchor="middle">'
                f"{escape(step[5:] or step)}</text>"
            )
    out.append("</svg>")
    return "".join(out) + legend([(told[name], colour(number)) for number, name in enumerate(series)])


def bars(title: str, rows: Sequence[Bar]) -> str:
    """Return horizontal bars with their labels left and their values right."""
    high = max((max(sum(part[0] for part in row.parts), row.mark or 0) for row in rows), default=0) or 1
    left, right = 205, 105
    room = NARROW - left - right
    out = [
        f'<svg viewBox="0 0 {NARROW} {len(rows) * STEP_HEIGHT + 4}" role="img" aria-label="{escape(title)}">'
    ]
    for place, row in enumerate(rows):
        y, x = place * STEP_HEIGHT + 4, float(left)
        out.append(
            f'<text class="label" x="{left - 8}" y="{y + 14}" text-anchor="end">{escape(_cut(row.label))}'
            f"<title>{escape(row.label)}</title></text>"
        )
        for amount, fill, tip in row.parts:
            size = float(Decimal(amount) / Decimal(high)) * room
            out.append(
                f'<rect x="{x:.1f}" y="{y}" width="{max(size, 0.5 if amount else 0):.2f}" height="18" rx="2" '
                f'fill="{fill}"><title>{escape(tip)}</title></rect>'
            )
            x += size
        if row.mark is not None:
            at = left + float(Decimal(row.mark) / Decimal(high)) * room
            out.append(f'<line class="mark" x1="{at:.1f}" x2="{at:.1f}" y1="{y - 2}" y2="{y + 20}"/>')
        out.append(f'<text class="value" x="{NARROW - right + 6}" y="{y + 14}">{escape(row.told)}</text>')
    return "".join(out) + "</svg>"


def legend(entries: Sequence[tuple[str, str]]) -> str:
    items = "".join(f'<li><i style="background:{fill}"></i>{escape(text)}</li>' for text, fill in entries)
    return f'<ul class="legend">{items}</ul>'


_STEPS = tuple(Decimal(step) for step in ("1", "1.2", "1.6", "2", "2.4", "3.2", "4", "6", "8", "10"))


def _nice(high: Decimal) -> Decimal:
    """Return a round number at or above ``high`` whose quarters are round too."""
    if high <= 0:
        return Decimal(1)
    power = Decimal(10) ** high.adjusted()
    return next(power * step for step in _STEPS if power * step >= high)


def _short(amount: Decimal) -> str:
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if amount >= size:
            return f"{(amount / size).normalize():f}{letter}"
    return f"{amount.normalize():f}" if amount else "0"


def _shown(place: int, steps: int) -> bool:
    return place % (steps // 16 + 1) == 0


def _cut(text: str) -> str:
    return text if len(text) <= 26 else f"{text[:15]}…{text[-9:]}"
