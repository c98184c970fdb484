"""Their side, from saved files: the gateway's LLM log, Azure Monitor metrics, a Cost Management export.

Each source is one function from a file's rows to cells; JSON (also as Log Analytics and Azure Monitor answer
it), JSON lines and CSV are told apart by their first character.
"""

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, cast

import msgspec

from chargeback.errors import UsageError
from chargeback.rates.meter_names import read_name
from chargeback.rates.retail import UNIT_OF_MEASURE
from chargeback.reconcile.counts import Cell, Count

Row = Mapping[str, Any]
UNKNOWN = "*"


def rows_of(path: Path) -> list[Row]:
    """Read a file's rows. Raises UsageError when it holds none."""
    try:
        data = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    text = data.lstrip()
    try:
        found = list(_json_rows(text)) if text[:1] in (b"{", b"[") else _csv_rows(text)
    except (msgspec.DecodeError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path}: neither JSON, JSON lines nor CSV: {error}") from None
    if not found:
        raise UsageError(f"{path}: no rows; expected an export with at least one")
    return found


def _csv_rows(text: bytes) -> list[Row]:
    return list(csv.DictReader(text.decode("utf-8").splitlines()))


_json = msgspec.json.Decoder(float_hook=Decimal)


def _json_rows(text: bytes) -> Iterator[Row]:
    try:
        whole: Any = _json.decode(text)
    except msgspec.DecodeError:
        for line in text.splitlines():
            if line.strip():
                yield _json.decode(line)
        return
    if isinstance(whole, list):
        yield from cast("list[Row]", whole)
    elif "tables" in whole:  # Log Analytics
        for table in whole["tables"]:
            names = [column["name"] for column in table["columns"]]
            yield from (dict(zip(names, row, strict=False)) for row in table["rows"])
    elif "value" in whole and whole["value"] and "timeseries" in whole["value"][0]:
        yield from _metric_rows(whole["value"])
    else:
        yield from whole.get("value") or whole.get("rows") or [whole]


def _metric_rows(metrics: Iterable[Any]) -> Iterator[Row]:
    """Flatten Azure Monitor's answer: one row a point, its dimensions as columns."""
    for metric in metrics:
        for series in metric.get("timeseries", ()):
            about = {
                item["name"]["value"].lower(): item["value"] for item in series.get("metadatavalues", ())
            }
            for point in series.get("data", ()):
                total = point.get("total")
                if total is not None:
                    yield {
                        **about,
                        "metric": metric["name"]["value"],
                        "timestamp": point["timeStamp"],
                        "total": total,
                    }


def _lower(row: Row) -> dict[str, Any]:
    return {re.sub(r"[^a-z0-9]", "", str(name).lower()): value for name, value in row.items()}


def _first(row: Mapping[str, Any], *names: str) -> Any:
    return next((row[name] for name in names if row.get(name) not in (None, "")), None)


def _day(value: Any) -> date | None:
    if value is None:
        return None
    text = str(value).strip()
    try:
        return datetime.fromisoformat(text).astimezone(UTC).date() if "T" in text else _plain_day(text)
    except ValueError:
        return None


def _plain_day(text: str) -> date:
    """Read 2026-11-05, 20261105 and 11/05/2026, the spellings of Cost Management."""
    head = text.split(" ", maxsplit=1)[0]
    for pattern in ("%Y-%m-%d", "%Y%m%d", "%m/%d/%Y"):
        try:
            return datetime.strptime(head, pattern).replace(tzinfo=UTC).date()
        except ValueError:
            continue
    raise ValueError(text)


def _amount(value: Any) -> Decimal | None:
    try:
        amount = Decimal(str(value))
    except (InvalidOperation, ValueError):
        return None
    return amount if amount.is_finite() else None


def gateway(rows: Iterable[Row]) -> Iterator[tuple[Cell, Count]]:
    """Read ApiManagementGatewayLlmLog: the row with SequenceNumber 0 has the usage, the others have text."""
    for raw in rows:
        row = _lower(raw)
        day = _day(_first(row, "timegenerated", "timestamp", "time"))
        if day is None or str(row.get("sequencenumber") or "0") != "0":
            continue
        deployment = str(_first(row, "deploymentname", "deployment") or UNKNOWN).lower()
        yield Cell(day, deployment, "requests"), Count(Decimal(1))
        for meter, name in (("prompt", "prompttokens"), ("completion", "completiontokens")):
            amount = _amount(row.get(name))
            if amount is not None:
                yield Cell(day, deployment, meter), Count(amount)


_METRICS = {
    "processedprompttokens": "prompt",
    "inputtokens": "prompt",
    "generatedtokens": "completion",
    "outputtokens": "completion",
    "tokentransaction": "total",
    "totaltokens": "total",
    "azureopenairequests": "requests",
    "modelrequests": "requests",
}


def monitor(rows: Iterable[Row]) -> Iterator[tuple[Cell, Count]]:
    """Read metrics of the account: a point a row, the metric's name in a column or as a column."""
    for raw in rows:
        row = _lower(raw)
        day = _day(_first(row, "timestamp", "timegenerated", "time", "date"))
        if day is None:
            continue
        deployment = str(
            _first(row, "modeldeploymentname", "deploymentname", "deployment") or UNKNOWN
        ).lower()
        named = str(_first(row, "metric", "metricname", "name") or "")
        meter = _METRICS.get(re.sub(r"[^a-z]", "", named.lower()))
        if meter is not None:
            amount = _amount(_first(row, "total", "value", "sum", "count"))
            if amount is not None:
                yield Cell(day, deployment, meter), Count(amount)
            continue
        for name, meter_ in _METRICS.items():
            amount = _amount(row.get(name))
            if amount is not None:
                yield Cell(day, deployment, meter_), Count(amount)


_DEPLOYMENT_TAG = re.compile(r'"?deployment"?\s*:\s*"?([^",}]+)', re.IGNORECASE)


def invoice(rows: Iterable[Row]) -> Iterator[tuple[Cell, Count]]:
    """Read a Cost Management export, actual or FOCUS; quantities come in units of the meter."""
    for raw in rows:
        row = _lower(raw)
        day = _day(_first(row, "date", "usagedate", "chargeperiodstart", "usagedatetime"))
        name = str(_first(row, "metername", "skumeter", "xskumetername", "chargedescription") or "")
        if day is None or not name or not _is_openai(row):
            continue
        quantity = _amount(_first(row, "quantity", "pricingquantity", "consumedquantity", "usagequantity"))
        money = _amount(_first(row, "costinbillingcurrency", "billedcost", "cost", "pretaxcost"))
        size = _size(str(_first(row, "unitofmeasure", "pricingunit", "xpricingunitdescription") or ""))
        meter = read_name(name).meter or name
        tags = str(row.get("tags") or "")
        tagged = _DEPLOYMENT_TAG.search(tags)
        deployment = tagged[1].strip().lower() if tagged else UNKNOWN
        yield Cell(day, deployment, meter), Count((quantity or Decimal(0)) * size, money)


def _is_openai(row: Mapping[str, Any]) -> bool:
    words = " ".join(
        str(row.get(name) or "").lower()
        for name in (
            "metercategory",
            "metersubcategory",
            "servicename",
            "productname",
            "product",
            "consumedservice",
            "xskuservice",
        )
    )
    return not words.strip() or any(word in words for word in ("openai", "foundry", "cognitive"))


def _size(unit: str) -> int:
    """Return how many tokens, hours ... one unit is: `1K`, `1M`, `1000 Tokens`, `1 Hour`."""
    text = unit.strip()
    if text in UNIT_OF_MEASURE:
        return UNIT_OF_MEASURE[text][0]
    number = re.match(r"(\d+)\s*([KM])?", text)
    if number is None:
        return 1
    return int(number[1]) * {"K": 1_000, "M": 1_000_000}.get(number[2] or "", 1)


SOURCES: dict[str, Callable[[Iterable[Row]], Iterator[tuple[Cell, Count]]]] = {
    "gateway-log": gateway,
    "monitor": monitor,
    "invoice": invoice,
}
