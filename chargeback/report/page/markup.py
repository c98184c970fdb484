"""The page's HTML around the charts: every text of strangers is escaped, and nothing is loaded from anywhere."""

import re
from decimal import Decimal
from html import escape
from importlib import resources

import msgspec

from chargeback.pools import to_cents
from chargeback.report.bill import Group, share
from chargeback.report.page.charts import COLOURS, Bar, bars, colour, columns, legend
from chargeback.report.page.content import MOST_ROWS, TABLE_KEYS, Content, json_row
from chargeback.report.query import plain

TOP = 12
"""Consumers of the chart; the table has all."""


def page(content: Content) -> str:
    """Return the whole page."""
    cards = [
        _card("Cost over time by cost centre", _over_time(content), wide=True),
        _card("Top consumers", _consumers(content)),
        _card("Tokens by model", _models(content)),
        _card("How usage is known", _sources(content)),
        _card("Pools: used and idle", _pools(content)),
        _card("Budget and actual", _budgets(content)),
        _card("Open questions", _questions(content)),
        _card("All lines", _table(content), wide=True),
    ]
    about = _about(content)
    title = f"Azure OpenAI chargeback, {about}"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        # The page promises to need no network; this keeps the promise even if a name carried markup.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        "script-src 'unsafe-inline'; img-src data:\">"
        f"<title>{escape(title)}</title><style>{_part('page.css')}</style></head><body>"
        f"<header><h1>Azure OpenAI chargeback</h1><p>{escape(about)}; amounts in "
        f"{escape(content.currency) or 'no currency yet'}; rate table {escape(content.version)}</p>"
        '<button id="theme" type="button" hidden>Light or dark</button></header>'
        f"<main>{_tiles(content)}{''.join(cards)}</main>"
        "<footer>Amounts are rounded for reading only; tooltips and the CSV of <code>chargeback report</code> "
        "have every digit.</footer>"
        f'<script type="application/json" id="rows">{_json(content)}</script>'
        f"<script>{_part('page.js')}</script></body></html>\n"
    )


def _about(content: Content) -> str:
    if (content.span.start and content.span.end) or content.first is None or content.last is None:
        return content.span.told
    return f"{content.first:%Y-%m-%d} to {content.last:%Y-%m-%d} (UTC)"


def _part(name: str) -> str:
    return resources.files("chargeback.report.page").joinpath(name).read_text("utf-8")


def _json(content: Content) -> str:
    rows = [json_row(group) for group in content.rows[:MOST_ROWS]]
    # `</script>` in a stranger's name would end the element.
    return msgspec.json.encode(rows).decode().replace("<", "\\u003c")


def _card(title: str, body: str, *, wide: bool = False) -> str:
    return f'<section class="card{" wide" if wide else ""}"><h2>{escape(title)}</h2>{body}</section>'


def money(amount: Decimal, currency: str = "") -> str:
    """Show an amount with cents, or with its first digits where cents would hide it."""
    shown = to_cents(amount)
    if not shown and amount:
        return (
            f"{amount:.2g} {currency}".strip() if abs(amount) >= Decimal("0.00001") else f"< 0.01 {currency}"
        )
    return f"{shown:,} {currency}".strip()


def _tiles(content: Content) -> str:
    whole = content.whole
    tiles = (
        (f"billed {content.currency}".strip(), money(whole.billed), f"{plain(whole.billed):f}"),
        ("calls", f"{whole.calls:,}", ""),
        ("tokens", f"{whole.prompt_tokens + whole.completion_tokens:,}", "prompt and completion"),
        (
            "estimated",
            share(whole.estimated, whole.calls),
            f"{share(whole.estimated_cost, whole.cost)} of the cost",
        ),
        ("truncated", share(whole.truncated, whole.calls), "of the calls"),
        ("lower bound", share(whole.lower_bound, whole.calls), "of the calls may cost more"),
        ("upper bound", share(whole.upper_bound, whole.calls), "of the calls may cost less"),
        ("unpriced", f"{whole.unpriced:,}", share(whole.unpriced, whole.calls)),
    )
    return (
        '<div class="tiles">'
        + "".join(
            f'<div class="tile" title="{escape(tip)}"><b>{escape(value)}</b><span>{name}</span><small>{escape(tip)}</small></div>'
            for name, value, tip in tiles
        )
        + "</div>"
    )


def _over_time(content: Content) -> str:
    ranked = sorted(content.by_step, key=lambda centre: -sum(content.by_step[centre].values(), Decimal(0)))
    own, rest = ranked[:COLOURS], ranked[COLOURS:]
    series = {centre: content.by_step[centre] for centre in own}
    told = {centre: _named(content, centre) for centre in own}
    if rest:
        others: dict[str, Decimal] = {}
        for centre in rest:
            for step, amount in content.by_step[centre].items():
                others[step] = others.get(step, Decimal(0)) + amount
        series["…"], told["…"] = others, f"{len(rest)} others"
    return columns("Cost by day and cost centre", content.steps, series, told) if series else _none()


def _named(content: Content, centre: str) -> str:
    name = content.names.get(centre, centre)
    return centre if name == centre else f"{centre} {name}"


def _consumers(content: Content) -> str:
    consumers = [group for group in content.consumers if group.calls or any(group.keys)]
    rows = [
        Bar(
            " / ".join(key or "-" for key in group.keys),
            (
                (
                    max(group.billed, Decimal(0)),
                    colour(0),
                    f"{group.billed:f} {content.currency}, {group.calls:,} calls",
                ),
            ),
            money(group.billed),
        )
        for group in consumers[:TOP]
    ]
    more = len(consumers) - TOP
    return (bars("Top consumers by cost", rows) if rows else _none()) + (
        f"<p>and {more} more</p>" if more > 0 else ""
    )


def _models(content: Content) -> str:
    models = [group for group in content.models if group.calls]
    found = sorted(models, key=lambda group: -(group.prompt_tokens + group.completion_tokens))
    rows = [
        Bar(
            group.keys[0] or "-",
            (
                (group.prompt_tokens, colour(0), f"prompt {group.prompt_tokens:,}"),
                (group.completion_tokens, colour(1), f"completion {group.completion_tokens:,}"),
            ),
            f"{group.prompt_tokens + group.completion_tokens:,}",
        )
        for group in found[:TOP]
    ]
    key = legend([("prompt", colour(0)), ("completion", colour(1))])
    return bars("Tokens by model", rows) + key if rows else _none()


_SOURCE_WORDS = {
    "reported": "counted by the service",
    "gateway": "counted by the gateway",
    "estimated": "estimated",
    "missing": "not known",
}


def _sources(content: Content) -> str:
    rows = [
        Bar(
            _SOURCE_WORDS.get(group.keys[0] or "", group.keys[0] or "pools"),
            ((group.calls, colour(place), f"{group.calls:,} calls, {group.billed:f} {content.currency}"),),
            f"{share(group.calls, content.whole.calls)} of calls",
        )
        for place, group in enumerate(group for group in content.sources if group.calls)
    ]
    return bars("Calls by how their usage is known", rows) if rows else _none()


def _pools(content: Content) -> str:
    rows = [
        Bar(
            pool.pool,
            (
                (pool.used, colour(4), f"used {pool.used:f}"),
                (pool.idle, "var(--rest)", f"idle {pool.idle:f}"),
            ),
            money(pool.used + pool.idle),
        )
        for pool in content.pools
    ]
    if not rows:
        return '<p class="none">The rate table has no pools.</p>'
    return bars("Cost of pools, used and idle", rows) + legend([("used", colour(4)), ("idle", "var(--rest)")])


def _budgets(content: Content) -> str:
    """Every bar is in percent of its own budget; the line is at 100."""
    rows = [
        Bar(
            f"{_named(content, each.cost_centre)}, {each.month}",
            (
                (
                    max(0, min(round(each.percent), _MOST_PERCENT)),
                    "var(--bad)" if each.exceeded else colour(4),
                    f"spent {plain(each.spent):f} of {each.amount:f}",
                ),
            ),
            f"{each.percent:.0f} %",
            mark=100,
        )
        for each in content.budgets
    ]
    if not rows:
        return '<p class="none">The rate table has no budgets.</p>'
    return bars("Spending in percent of budgets", rows)


_MOST_PERCENT = 150
"""A bar is cut here; its number is not."""


def _questions(content: Content) -> str:
    if not content.questions:
        return '<p class="none">Nothing is open.</p>'
    items = "".join(
        f"<li><b>{each.count:,} {escape(each.what)}</b><br>{_code(escape(each.meaning))}</li>"
        for each in content.questions
    )
    return f'<ul class="questions">{items}</ul>'


def _code(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", text)


def _table(content: Content) -> str:
    heads = [key.replace("-", " ") for key in TABLE_KEYS]
    numbers = ("calls", "prompt", "completion", f"billed {content.currency}".strip())
    cells = "".join(f'<th data-kind="text">{escape(head)}</th>' for head in heads)
    cells += "".join(f'<th data-kind="number">{escape(head)}</th>' for head in numbers)
    rows = "".join(_row(group) for group in content.rows[:MOST_ROWS])
    over = len(content.rows) - MOST_ROWS
    more = f"<p>{over:,} more lines are in the CSV.</p>" if over > 0 else ""
    return (
        '<p class="tools"><input id="filter" type="search" placeholder="Filter: words that must all occur" '
        'aria-label="Filter lines" hidden><output id="found"></output></p>'
        f'<div class="scroll"><table id="lines"><thead><tr>{cells}</tr></thead><tbody>{rows}</tbody></table></div>{more}'
    )


def _row(group: Group) -> str:
    texts = "".join(f"<td>{escape(key or '-')}</td>" for key in group.keys)
    numbers = (group.calls, group.prompt_tokens, group.completion_tokens)
    counts = "".join(f'<td class="n">{number:,}</td>' for number in numbers)
    return f'<tr>{texts}{counts}<td class="n" title="{group.billed:f}">{money(group.billed)}</td></tr>'


def _none() -> str:
    return '<p class="none">No calls in this time.</p>'
