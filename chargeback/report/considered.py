"""Why a call has no price: every row of the table that could have been meant, and what kept it out."""

from collections.abc import Iterator
from datetime import datetime

from chargeback.charge import Charge
from chargeback.rates.rows import Deployment, Rate
from chargeback.rates.table import RateTable, instant_text
from chargeback.rating import quantities
from chargeback.usage import COUNTS, Usage


def considered(table: RateTable, charge: Charge, at: datetime) -> Iterator[str]:
    """Yield a line for each row that was looked at, with the reason why it does not apply."""
    found = False
    for line in (*_deployments(table, charge, at), *_rates(table, charge, at)):
        found = True
        yield line
    if not found:
        yield f"rate table {table.version} has no row about this deployment or model"


def _deployments(table: RateTable, charge: Charge, at: datetime) -> Iterator[str]:
    if charge.deployment is None:
        for index, row in enumerate(table.rows.defaults):
            named = {"event_hub": row.event_hub, "subscription": row.subscription, "app": row.app}
            mine = {
                "event_hub": charge.event_hub,
                "subscription": charge.subscription_id,
                "app": charge.app_id,
            }
            off = [
                f"{key} {named[key]!r}, not {mine[key]!r}"
                for key in named
                if named[key] not in (None, mine[key])
            ]
            yield f"defaults[{index}]: {'; '.join(off) or _when(row.start, row.to, at) or 'applies'}"
        return
    for index, row in enumerate(table.rows.deployments):
        if row.deployment.lower() != charge.deployment.lower():
            continue
        yield f"deployments[{index}] {row.account}/{row.deployment}: {_deployment_off(row, charge, at) or 'applies'}"


def _deployment_off(row: Deployment, charge: Charge, at: datetime) -> str | None:
    if charge.account is not None and row.account.lower() != charge.account.lower():
        return f"in account {row.account!r}, not {charge.account!r}"
    return _when(row.start, row.to, at)


def _rates(table: RateTable, charge: Charge, at: datetime) -> Iterator[str]:
    model = charge.model if charge.model in table.rows.models else table.model_named(charge.model or "")
    for index, rate in enumerate(table.rows.rates):
        if model is not None and rate.model == model:
            offer = f"{rate.model} {rate.deployment_type} {','.join(rate.region)} {rate.service_tier} {rate.context_tier}"
            off = "; ".join(_rate_off(table, rate, charge, at))
            yield f"rates[{index}] {offer}: {off or 'applies'}"


def _rate_off(table: RateTable, rate: Rate, charge: Charge, at: datetime) -> Iterator[str]:
    if charge.deployment_type and rate.deployment_type != charge.deployment_type:
        yield f"for {rate.deployment_type}, the deployment is {charge.deployment_type}"
    if charge.region and "*" not in rate.region and charge.region not in rate.region:
        yield f"not for region {charge.region}"
    tier = charge.service_tier or "default"
    if rate.service_tier != tier:
        yield f"for service tier {rate.service_tier}, the response says {tier}"
    context = table.context_tier(rate.model, charge.prompt_tokens or 0)
    if rate.context_tier not in (context, "*"):
        yield f"for {rate.context_tier} context, the prompt has {charge.prompt_tokens} tokens"
    when = _when(rate.effective_from, rate.effective_to, at)
    if when:
        yield when
    missing = [meter for meter in _used(charge) if meter not in rate.meters]
    if missing:
        yield f"no price for {', '.join(missing)}"


def _used(charge: Charge) -> list[str]:
    counts = {name: getattr(charge, name) for name in COUNTS}
    return list(quantities(Usage(source="reported", by_meter=charge.quantities or {}, **counts)))


def _when(start: datetime | None, to: datetime | None, at: datetime) -> str | None:
    if start is not None and at < start:
        return f"begins {instant_text(start)}"
    if to is not None and at >= to:
        return f"ended {instant_text(to)}"
    return None
