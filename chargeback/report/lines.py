"""Entries taken apart into meters: what statements list and FOCUS exports, summed by whatever they need."""

from chargeback.report.columns import COST, MONEY

WITH_LINES = "(kind = 'call' AND rating = 'priced') OR kind = 'correction'"
"""A correction has lines whatever it is now: those that are taken back."""

CALLS = f"""
SELECT entries.* EXCLUDE (lines, pool_cost), l.meter, l.quantity, l.unit, l.price, l.per, l.rate_id,
    l.cost AS line_cost, l.cost * markup_factor AS line_markup, NULL::{MONEY} AS pool_cost
FROM (SELECT *, unnest(lines) AS l FROM entries WHERE {WITH_LINES}) AS entries
"""
"""A row for each meter of each priced call."""

POOLS = f"""
SELECT * EXCLUDE (lines), CASE kind WHEN 'idle' THEN 'idle' ELSE 'share' END AS meter, weight AS quantity,
    NULL::VARCHAR AS unit, NULL::{COST} AS price, NULL::BIGINT AS per, pool AS rate_id,
    NULL::{COST} AS line_cost, NULL::{MONEY} AS line_markup
FROM entries WHERE kind IN ('pool', 'idle')
"""
"""A row for each share of a pool."""

MARKUP_REST = """
SELECT date_trunc('month', "at")::DATE AS billed_in, cost_centre, corrects,
    coalesce(sum(markup), 0) - coalesce(sum(total_cost * markup_factor), 0) AS rest
FROM entries WHERE kind = 'correction' AND {condition} GROUP BY ALL HAVING rest <> 0 ORDER BY ALL
"""
"""What a changed markup adds to or takes from the corrections of a closed month."""
