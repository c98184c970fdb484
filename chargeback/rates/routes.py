"""Where a call went: facts -> account, deployment, model and offer, or the reason why nobody can tell.

event names deployment and account   that deployment, as the table has it at that moment
event names a deployment only        all of that name; they must agree on the price
event names none                     the table's default, with the note ``assumed_deployment``
a provisioned one spilled over       the deployment it spills over to
"""

from datetime import datetime

from msgspec.structs import replace

from chargeback.facts import Facts
from chargeback.rates.rows import Default
from chargeback.rates.sites import MODEL_DIFFERS, Offer, Route, Site, bare_name
from chargeback.rates.table import RateTable
from chargeback.rates.words import PROVISIONED_TYPES

ASSUMED_DEPLOYMENT = "assumed_deployment"
STRANGE_SPILLOVER = "spillover_not_provisioned"

_ABSENT = Route(problem="unknown_deployment")


def route(table: RateTable, facts: Facts, at: datetime, event_hub: str) -> Route:
    """Find what served the call. Never guesses between two prices."""
    key = (
        table.epoch(at),
        event_hub,
        facts.deployment,
        facts.account,
        facts.model,
        facts.spillover_from,
        facts.subscription_id,
        facts.subscription_key_id,
        facts.app_id,
    )
    return table.routes.get(key) or table.routes.put(key, _route(table, facts, at, event_hub))


def _route(table: RateTable, facts: Facts, at: datetime, event_hub: str) -> Route:
    if facts.deployment is not None:
        return _deployed(table, facts, facts.account, facts.deployment, at)
    default = table.default(facts, event_hub, at)
    if default is not None and default.deployment is not None:
        account = facts.account or default.account
        return _assumed(_deployed(table, facts, account, default.deployment, at))
    if default is not None and default.deployment_type is not None:
        return _assumed_offer(table, facts, default, default.deployment_type)
    return Route(problem="no_deployment")


def _deployed(table: RateTable, facts: Facts, account: str | None, name: str, at: datetime) -> Route:
    if account is None:
        found = table.sites_named(name, at)
    else:
        one = table.site(account, name, at)
        found = () if one is None else (one,)
    if not found:
        return _ABSENT
    if facts.spillover_from is None:
        return _served(facts, found)
    targets = [_target(table, each, at) for each in found]
    served = tuple(each for each in targets if each is not None)
    if len(served) != len(found):
        return Route(problem="no_spillover_target")
    spilled = _served(facts, served)
    strange = any(_spills_without_reason(table, each, facts.spillover_from, at) for each in found)
    return replace(spilled, notes=(*spilled.notes, STRANGE_SPILLOVER)) if strange else spilled


def _spills_without_reason(table: RateTable, served: Site, origin: str, at: datetime) -> bool:
    """Tell whether the deployment that spilled over is known, and not one that could."""
    site = table.site(served.row.account, origin, at)
    return site is not None and not site.provisioned


def _target(table: RateTable, site: Site, at: datetime) -> Site | None:
    if not site.provisioned:
        return site  # the event already names the one that took over
    target = site.row.spillover_to
    return None if target is None else table.site(site.row.account, target, at)


def _served(facts: Facts, served: tuple[Site, ...]) -> Route:
    routes = [each.answering(facts.model) for each in served]
    if len(routes) == 1:
        return routes[0]
    pooled = {each.pooled for each in routes}
    if True in pooled:  # which pool, or whether any: only the account tells
        return Route(problem="ambiguous_account" if len(pooled) == 1 else "ambiguous_backend")
    return Route(
        offers=tuple(dict.fromkeys(offer for each in routes for offer in each.offers)),
        deployment=routes[0].deployment,
        deployment_type=_common([each.deployment_type for each in routes]),
        model=_common([each.model for each in routes]),
        region=_common([each.region for each in routes]),
        notes=max(each.notes for each in routes),
    )


def _assumed(found: Route) -> Route:
    if MODEL_DIFFERS in found.notes:
        return Route(problem="model_contradicts_default")
    return found if found.problem is not None else replace(found, notes=(ASSUMED_DEPLOYMENT,))


def _assumed_offer(table: RateTable, facts: Facts, default: Default, deployment_type: str) -> Route:
    model = default.model or (None if facts.model is None else table.model_named(facts.model))
    if model is None:
        return Route(problem="no_model" if facts.model is None else "unknown_model")
    if not _agrees(table, facts.model, model):
        return Route(problem="model_contradicts_default")
    return Route(
        offers=(Offer(model, deployment_type, default.region or "*"),),
        account=facts.account,
        deployment_type=deployment_type,
        model=model,
        region=default.region,
        pooled=deployment_type in PROVISIONED_TYPES,
        notes=(ASSUMED_DEPLOYMENT,),
    )


def _agrees(table: RateTable, served: str | None, model: str) -> bool:
    return served is None or table.model_named(served) == model or served.lower() == bare_name(model)


def _common(values: list[str | None]) -> str | None:
    return values[0] if values.count(values[0]) == len(values) else None
