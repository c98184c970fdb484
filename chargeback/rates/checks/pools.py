"""Checks of what is divided or put on top: pools, shares, markups, budgets."""

from collections.abc import Iterator
from decimal import Decimal

from chargeback.rates.checks.check import Check
from chargeback.rates.checks.names import UNALLOCATED
from chargeback.rates.faults import Finding, Path, did_you_mean, path_text
from chargeback.rates.rows import Deployment, Rows
from chargeback.rates.table import instant_text
from chargeback.rates.timeline import uncovered
from chargeback.rates.words import PROVISIONED_TYPES

_WHOLE = Decimal(100)


def repeated_pools(rows: Rows) -> Iterator[Finding]:
    first: dict[str, int] = {}
    for index, pool in enumerate(rows.pools):
        before = first.setdefault(pool.id, index)
        if before != index:
            yield Finding(("pools", index, "id"), repr(pool.id), f"each id once; pools[{before}] has it")


def unknown_payers(rows: Rows) -> Iterator[Finding]:
    known = {centre.id for centre in rows.cost_centres} | {UNALLOCATED}
    used: list[tuple[Path, str]] = [
        (("budgets", index, "cost_centre"), row.cost_centre) for index, row in enumerate(rows.budgets)
    ]
    for index, pool in enumerate(rows.pools):
        used += [(("pools", index, "shares", centre), centre) for centre in pool.shares]
        if pool.idle_cost_centre is not None:
            used.append((("pools", index, "idle_cost_centre"), pool.idle_cost_centre))
    for path, centre in used:
        if centre not in known:
            yield Finding(path, repr(centre), f"an id of cost_centres{did_you_mean(centre, known)}")


def shares_off_100(rows: Rows) -> Iterator[Finding]:
    for index, pool in enumerate(rows.pools):
        total = sum(pool.shares.values(), Decimal(0))
        if pool.shares and (total != _WHOLE or min(pool.shares.values()) < 0):
            value = f"shares of {', '.join(f'{share:f}' for share in pool.shares.values())}"
            yield Finding(
                ("pools", index, "shares"), value, f"none below 0, together 100; these are {total:f}"
            )


def wild_markups(rows: Rows) -> Iterator[Finding]:
    most = rows.policy.markup_max
    for index, centre in enumerate(rows.cost_centres):
        for number, markup in enumerate(centre.markups):
            if not -_WHOLE <= markup.percent <= most:
                path = ("cost_centres", index, "markups", number, "percent")
                yield Finding(
                    path, f"{markup.percent:f} percent", f"-100 to {most:f} (policy.markup_max allows more)"
                )


def strange_pool_deployments(rows: Rows) -> Iterator[Finding]:
    known = _deployments(rows)
    names = {name for _, name in known}
    for index, pool in enumerate(rows.pools):
        for number, each in enumerate(pool.deployments):
            path = ("pools", index, "deployments", number)
            types = known.get((each.account.lower(), each.deployment.lower()))
            if types is None:
                guess = did_you_mean(each.deployment.lower(), names)
                value = f"{each.deployment!r} in account {each.account!r}"
                yield Finding(path, value, f"a deployment of deployments{guess}")
            elif pool.kind == "ptu" and not any(row.deployment_type in PROVISIONED_TYPES for row in types):
                value = f"{each.deployment!r}, a {types[0].deployment_type}"
                yield Finding(path, value, "a provisioned deployment in a pool of kind ptu")


def shared_pool_deployments(rows: Rows) -> Iterator[Finding]:
    """Two pools of one deployment would bill its hours twice; hosting and PTU hours are one pool."""
    owners: dict[tuple[str, str], Path] = {}
    for index, pool in enumerate(rows.pools):
        if pool.kind not in ("ptu", "hosting"):
            continue
        for number, each in enumerate(pool.deployments):
            path: Path = ("pools", index, "deployments", number)
            owner = owners.setdefault((each.account.lower(), each.deployment.lower()), path)
            if owner != path:
                yield Finding(
                    path, repr(each.deployment), f"each deployment in one pool; {path_text(owner)} has it"
                )


def holes_in_amounts(rows: Rows) -> Iterator[Finding]:
    """A provisioned deployment is paid for from its first minute on."""
    known = _deployments(rows)
    for index, pool in enumerate(rows.pools):
        if pool.kind != "ptu":
            continue
        spans = [(row.start, row.to) for row in pool.amounts]
        last = None if any(to is None for _, to in spans) else max(to for _, to in spans if to is not None)
        for each in pool.deployments:
            for row in known.get((each.account.lower(), each.deployment.lower()), ()):
                end = min((to for to in (row.to, last) if to is not None), default=None)
                hole = uncovered(spans, row.start, end) if end is None or row.start < end else None
                if hole is not None:
                    expected = f"no hole in the life of {each.deployment!r}"
                    yield Finding(("pools", index, "amounts"), f"no amount at {instant_text(hole)}", expected)


def provisioned_without_pool(rows: Rows) -> Iterator[Finding]:
    pooled = {
        (each.account.lower(), each.deployment.lower()) for pool in rows.pools for each in pool.deployments
    }
    for index, row in enumerate(rows.deployments if rows.pools else ()):
        key = (row.account.lower(), row.deployment.lower())
        if row.deployment_type in PROVISIONED_TYPES and key not in pooled:
            yield Finding(
                ("deployments", index), f"no pool for {row.deployment!r}", "a pool that divides what it costs"
            )


def weights_missing(rows: Rows) -> Iterator[Finding]:
    known = _deployments(rows)
    for index, pool in enumerate(rows.pools):
        if pool.driver != "weighted_tokens":
            continue
        models = {
            row.model
            for each in pool.deployments
            for row in known.get((each.account.lower(), each.deployment.lower()), ())
        }
        for model in sorted(models & set(rows.models)):
            if rows.models[model].ptu_output_weight is None:
                value = f"{pool.id!r}, divided by weighted tokens"
                yield Finding(("pools", index, "driver"), value, f"ptu_output_weight on the model {model!r}")


def _deployments(rows: Rows) -> dict[tuple[str, str], list[Deployment]]:
    found: dict[tuple[str, str], list[Deployment]] = {}
    for row in rows.deployments:
        found.setdefault((row.account.lower(), row.deployment.lower()), []).append(row)
    return found


CHECKS = (
    Check(repeated_pools, ("pools",)),
    Check(unknown_payers, ("pools", "budgets", "cost_centres")),
    Check(shares_off_100, ("pools",)),
    Check(wild_markups, ("cost_centres", "policy")),
    Check(strange_pool_deployments, ("pools", "deployments")),
    Check(shared_pool_deployments, ("pools",)),
    Check(holes_in_amounts, ("pools", "deployments")),
    Check(weights_missing, ("pools", "deployments", "models")),
    Check(provisioned_without_pool, ("pools", "deployments"), "warning", follows=True),
)
