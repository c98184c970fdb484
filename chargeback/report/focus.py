"""The bill in FOCUS 1.2, the FinOps Foundation's open format.

One row a day, payer, deployment and meter, and one a day and share of a pool. Usage without a price is never
exported: the format has no way to say "unknown", and a cost of 0 would be a lie.
"""

import csv
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from chargeback.pools import allocate
from chargeback.rates.words import PROVISIONED_TYPES
from chargeback.rating import EXACT
from chargeback.report.books import Books
from chargeback.report.lines import CALLS, MARKUP_REST, POOLS
from chargeback.report.query import currency, exact_sum, plain
from chargeback.report.span import Span

MANDATORY = [
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "ContractedCost",
    "EffectiveCost",
    "InvoiceIssuerName",
    "ListCost",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "ServiceCategory",
    "ServiceName",
]
OTHERS = [
    "ChargeFrequency",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedUnitPrice",
    "ListUnitPrice",
    "PricingCategory",
    "RegionId",
    "RegionName",
    "ResourceId",
    "ResourceName",
    "ResourceType",
    "ServiceSubcategory",
    "SkuId",
    "SkuMeter",
    "SkuPriceDetails",
    "SkuPriceId",
    "SubAccountId",
    "SubAccountName",
    "SubAccountType",
    "Tags",
    "AllocatedMethodId",
    "AllocatedMethodDetails",
    "AllocatedResourceId",
    "AllocatedResourceName",
    "x_CostCentre",
    "x_Corrects",
    "x_EstimatedQuantity",
    "x_Markup",
    "x_RateTableVersion",
    "x_RequestCount",
]
COLUMNS = (*MANDATORY, *OTHERS)

_METERS = {
    "input_text": "Input Tokens",
    "input_cached_text": "Cached Input Tokens",
    "cache_write_text": "Cache Write Tokens",
    "output_text": "Output Tokens",
    "input_audio": "Audio Input Tokens",
    "input_cached_audio": "Cached Audio Input Tokens",
    "output_audio": "Audio Output Tokens",
    "input_image": "Image Input Tokens",
    "input_cached_image": "Cached Image Input Tokens",
    "output_image": "Image Output Tokens",
}
_UNITS = {
    "tokens": "Tokens",
    "hours": "Hours",
    "seconds": "Seconds",
    "characters": "Characters",
    "each": "Requests",
}
_KEYS = (
    "cost_centre, subscription_id, subscription_name, app_id, tags, account, deployment, deployment_type, "
    "model, region, service_tier, corrects"
)
_KEY_NAMES: tuple[str, ...] = tuple(_KEYS.split(", "))


class Exported(Struct, frozen=True, kw_only=True):
    file: Path
    rows: int
    billed: Decimal
    left_out: int
    """Calls that have no price and are billable."""

    @property
    def told(self) -> str:
        rest = f"; {self.left_out:,} calls without a price are not in it" if self.left_out else ""
        return f"{self.file}: {self.rows:,} FOCUS 1.2 rows, billed {self.billed:f}{rest}"


def export(file: Path, books: Books, span: Span) -> Exported:
    """Write the file. Money in it adds up to the bill exactly."""
    count, billed = 0, Decimal(0)
    with file.open("w", encoding="utf-8", newline="") as out:
        rows = csv.DictWriter(out, COLUMNS, restval="")
        rows.writeheader()
        for row in _rows(books, span, currency(books, span)):
            rows.writerow({name: _cell(value) for name, value in row.items()})
            billed = EXACT.add(billed, row["BilledCost"])
            count += 1
    left_out = books.db.one(
        f"SELECT count(*) FROM entries WHERE rating IN ('unpriced', 'unmetered') AND {span.condition}"
    )
    return Exported(file=file, rows=count, billed=plain(billed), left_out=int(left_out or 0))


def _rows(books: Books, span: Span, money: str) -> Iterator[dict[str, Any]]:
    yield from _usage_rows(books, span, money)
    yield from _pool_rows(books, span, money)
    for billed_in, centre, corrects, rest in books.db.rows(MARKUP_REST.format(condition=span.condition)):
        yield _adjustment(billed_in, money, centre, corrects, plain(Decimal(rest)))


def _usage_rows(books: Books, span: Span, money: str) -> Iterator[dict[str, Any]]:
    query = f"""
SELECT coalesce(CASE kind WHEN 'correction' THEN occurred_at END, "at")::DATE AS day,
    date_trunc('month', "at")::DATE AS billed_in, {_KEYS}, rate_table_version, meter, unit, price, per, rate_id,
    sum(quantity), sum(line_cost), sum(line_markup), count(*),
    coalesce(sum(quantity) FILTER (usage_source = 'estimated'), 0)
FROM ({CALLS}) WHERE {span.condition} GROUP BY ALL ORDER BY ALL"""
    for batch in books.db.batches(query):
        for row in batch:
            yield _usage_row(row, money)


def _usage_row(row: tuple[Any, ...], money: str) -> dict[str, Any]:
    day, billed_in, *keys = row[:14]
    version, meter, unit, price, per, rate_id, quantity, cost, markup, count, estimated = row[14:]
    who: dict[str, Any] = dict(zip(_KEY_NAMES, keys, strict=True))
    cost, markup, price, quantity = (plain(Decimal(each)) for each in (cost, markup, price, quantity))
    words = _UNITS[unit]
    return {
        **_common(day, billed_in, who, money),
        "BilledCost": exact_sum(cost, markup),
        "ListCost": cost,
        "ContractedCost": cost,
        "EffectiveCost": cost,
        "ChargeDescription": f"{who['model'] or 'unknown model'} {_METERS.get(meter, meter)}, {who['deployment_type']}",
        "ConsumedQuantity": quantity,
        "ConsumedUnit": words,
        "PricingQuantity": plain(EXACT.divide(quantity, Decimal(per))),
        "PricingUnit": words if per == 1 else f"{per} {words}",
        "ListUnitPrice": price,
        "ContractedUnitPrice": price,
        "PricingCategory": "Standard",
        "SkuMeter": _METERS.get(meter, meter),
        "SkuPriceId": rate_id,
        "SkuPriceDetails": _details(who),
        "x_Markup": markup,
        "x_RateTableVersion": version,
        "x_RequestCount": count,
        "x_EstimatedQuantity": plain(Decimal(estimated)),
    }


def _common(day: Any, billed_in: Any, who: Mapping[str, Any], money: str) -> dict[str, Any]:
    """Return what every row has. A correction keeps its own day and is billed in a later month."""
    start = datetime(billed_in.year, billed_in.month, 1, tzinfo=UTC)
    begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
    end = datetime(start.year + start.month // 12, start.month % 12 + 1, 1, tzinfo=UTC)
    corrects = who.get("corrects")
    tags: dict[str, str | None] = {"cost_center": who.get("cost_centre"), "app_id": who.get("app_id")}
    tags |= who.get("tags") or {}
    account, deployment = who.get("account"), who.get("deployment")
    return {
        "BillingAccountId": "azure-openai-platform",
        "BillingAccountName": "Azure OpenAI platform",
        "BillingCurrency": money,
        "BillingPeriodStart": start,
        "BillingPeriodEnd": end,
        "ChargePeriodStart": begin,
        "ChargePeriodEnd": begin + timedelta(days=1),
        "ChargeCategory": "Usage",
        "ChargeClass": "Correction" if corrects else None,
        "ChargeFrequency": "Usage-Based",
        "InvoiceIssuerName": "Platform team",
        "ProviderName": "Microsoft",
        "PublisherName": "Microsoft",
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": "Azure OpenAI",
        "ServiceSubcategory": "Generative AI",
        "RegionId": who.get("region"),
        "RegionName": who.get("region"),
        "ResourceId": f"{account or '-'}/{deployment}" if deployment else None,
        "ResourceName": deployment,
        "ResourceType": "Model Deployment" if deployment else None,
        "SkuId": "|".join(str(who.get(name) or "-") for name in ("model", "deployment_type", "region")),
        "SubAccountId": who.get("subscription_id"),
        "SubAccountName": who.get("subscription_name") or who.get("subscription_id"),
        "SubAccountType": "APIM Subscription" if who.get("subscription_id") else None,
        "Tags": _json({name: value for name, value in tags.items() if value is not None}),
        "x_CostCentre": who.get("cost_centre"),
        "x_Corrects": corrects,
    }


def _details(who: Mapping[str, Any]) -> str:
    model, _, version = str(who.get("model") or "").partition("@")
    told = {
        "x_Model": model,
        "x_ModelVersion": version,
        "x_DeploymentType": who.get("deployment_type"),
        "x_ServiceTier": who.get("service_tier") or "default",
    }
    return _json(told)


def _pool_rows(books: Books, span: Span, money: str) -> Iterator[dict[str, Any]]:
    """Yield the shares of each pool and day; their ratios add up to 1 exactly."""
    query = f"""
SELECT "at"::DATE AS day, pool, kind, {_KEYS}, sum(pool_cost), sum(weight)
FROM ({POOLS}) WHERE {span.condition} GROUP BY ALL HAVING sum(pool_cost) <> 0 ORDER BY ALL"""
    grouped: dict[tuple[Any, str], list[tuple[Any, ...]]] = {}
    for row in books.db.rows(query):
        grouped.setdefault((row[0], row[1]), []).append(row)
    for (day, pool), rows in grouped.items():
        ratios = allocate(Decimal(1), {place: abs(Decimal(row[-2])) for place, row in enumerate(rows)})
        for place, row in enumerate(rows):
            yield _pool_row(day, pool, row, ratios[place], money)


def _pool_row(day: Any, pool: str, row: tuple[Any, ...], ratio: Decimal, money: str) -> dict[str, Any]:
    kind, keys, amount, weight = row[2], row[3:-2], plain(Decimal(row[-2])), row[-1]
    who: dict[str, Any] = dict(zip(_KEY_NAMES, keys, strict=True))
    element: dict[str, Any] = {"AllocatedRatio": f"{plain(ratio):f}"}
    if weight is not None:
        element |= {"UsageUnit": "Weighted Tokens", "UsageQuantity": f"{plain(Decimal(weight)):f}"}
    committed = who["deployment_type"] in PROVISIONED_TYPES or kind == "idle"
    return {
        **_common(day, day, who, money),
        "BilledCost": amount,
        "ListCost": amount,
        "ContractedCost": amount,
        "EffectiveCost": amount,
        "ChargeDescription": f"Pool {pool}, {'unused capacity' if kind == 'idle' else 'share by use'}",
        "PricingQuantity": Decimal(1),
        "PricingUnit": "Allocations",
        "ListUnitPrice": amount,
        "ContractedUnitPrice": amount,
        "PricingCategory": "Committed" if committed else "Standard",
        "SkuMeter": "Pool Share" if kind == "pool" else "Pool Idle",
        "SkuPriceId": f"pool:{pool}",
        "AllocatedMethodId": pool,
        "AllocatedMethodDetails": _json({"Elements": [element]}),
        "AllocatedResourceId": f"pool:{pool}",
        "AllocatedResourceName": pool,
    }


def _adjustment(day: Any, money: str, centre: str | None, corrects: str, amount: Decimal) -> dict[str, Any]:
    row = _common(day, day, {"cost_centre": centre, "corrects": corrects}, money)
    return {
        **row,
        "ChargeCategory": "Adjustment",
        "BilledCost": amount,
        "ListCost": Decimal(0),
        "ContractedCost": Decimal(0),
        "EffectiveCost": Decimal(0),
        "ChargeDescription": f"Markup of corrected calls of {corrects}",
        "x_Markup": amount,
    }


def _json(value: Any) -> str:
    return msgspec.json.encode(value, order="sorted").decode()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"{value:f}" if isinstance(value, Decimal) else str(value)
