"""Checks of names: everything referred to exists, and exists once."""

from collections.abc import Iterable, Iterator

from chargeback.rates.checks.check import Check
from chargeback.rates.faults import Finding, Path, did_you_mean, path_text
from chargeback.rates.rows import Rows
from chargeback.rates.sites import served_names
from chargeback.rates.words import PROVISIONED_TYPES

# The centre that is always there: what nobody was assigned.
UNALLOCATED = "UNALLOCATED"


def unknown_models(rows: Rows) -> Iterator[Finding]:
    sections = {"rates": rows.rates, "deployments": rows.deployments, "defaults": rows.defaults}
    for section, each in sections.items():
        for index, row in enumerate(each):
            if row.model is not None and row.model not in rows.models:
                expected = f"a key of models{did_you_mean(row.model, rows.models)}"
                yield Finding((section, index, "model"), repr(row.model), expected)


def unknown_cost_centres(rows: Rows) -> Iterator[Finding]:
    known = {centre.id for centre in rows.cost_centres} | {UNALLOCATED}
    used: list[tuple[Path, str]] = [
        (("assignments", index, "cost_centre"), row.cost_centre) for index, row in enumerate(rows.assignments)
    ]
    for path, centre in [*used, (("policy", "unallocated"), rows.policy.unallocated)]:
        if centre not in known:
            yield Finding(path, repr(centre), f"an id of cost_centres{did_you_mean(centre, known)}")


def unknown_default_deployments(rows: Rows) -> Iterator[Finding]:
    known = {(row.account.lower(), row.deployment.lower()) for row in rows.deployments}
    names = {name for _, name in known}
    for index, row in enumerate(rows.defaults):
        if row.deployment is None:
            continue
        name = row.deployment.lower()
        if name not in names or (row.account is not None and (row.account.lower(), name) not in known):
            place = "" if row.account is None else f" in account {row.account!r}"
            expected = f"a deployment of deployments{place}{did_you_mean(name, names)}"
            yield Finding(("defaults", index, "deployment"), repr(row.deployment), expected)


def repeated_ids(rows: Rows) -> Iterator[Finding]:
    yield from _repeated("subscriptions", [row.id for row in rows.subscriptions])
    yield from _repeated("cost_centres", [row.id for row in rows.cost_centres])


def shared_model_names(rows: Rows) -> Iterator[Finding]:
    owners: dict[str, str] = {}
    for key, model in rows.models.items():
        for name in dict.fromkeys(served_names(key, model.aliases)):
            owner = owners.setdefault(name, key)
            if owner != key:
                path = path_text(("models", owner))
                yield Finding(
                    ("models", key), f"the name {name!r}", f"a name of one model only; {path} has it"
                )


def mistyped_subscriptions(rows: Rows) -> Iterator[Finding]:
    """Ids need not be listed, but one that nearly is was probably meant to be."""
    known = {row.id for row in rows.subscriptions}
    sections = {"assignments": rows.assignments, "defaults": rows.defaults}
    for section, each in sections.items():
        for index, row in enumerate(each):
            if row.subscription is None or row.subscription in known:
                continue
            guess = did_you_mean(row.subscription, known)
            if guess:
                yield Finding(
                    (section, index, "subscription"), repr(row.subscription), f"an id of subscriptions{guess}"
                )


def spillover_targets(rows: Rows) -> Iterator[Finding]:
    types = {(row.account.lower(), row.deployment.lower()): row.deployment_type for row in rows.deployments}
    for index, row in enumerate(rows.deployments):
        if row.spillover_to is None:
            continue
        target = types.get((row.account.lower(), row.spillover_to.lower()))
        expected = _spillover_expected(row.deployment_type, target)
        if expected:
            value = repr(row.spillover_to) if target is None else f"{row.spillover_to!r}, a {target}"
            yield Finding(("deployments", index, "spillover_to"), value, expected)


def _spillover_expected(source: str, target: str | None) -> str | None:
    if source not in PROVISIONED_TYPES:
        return f"no spillover: only a provisioned deployment spills over, this is {source}"
    wanted = source.removesuffix("ProvisionedManaged") + "Standard"
    return None if target == wanted else f"a {wanted} deployment of the same account"


def _repeated(section: str, ids: Iterable[str]) -> Iterator[Finding]:
    first: dict[str, int] = {}
    for index, each in enumerate(ids):
        before = first.setdefault(each, index)
        if before != index:
            yield Finding((section, index, "id"), repr(each), f"each id once; {section}[{before}] has it")


CHECKS = (
    Check(unknown_models, ("models", "rates", "deployments", "defaults")),
    Check(unknown_cost_centres, ("cost_centres", "assignments", "policy")),
    Check(unknown_default_deployments, ("deployments", "defaults")),
    Check(repeated_ids, ("subscriptions", "cost_centres")),
    Check(shared_model_names, ("models",)),
    Check(spillover_targets, ("deployments",)),
    Check(mistyped_subscriptions, ("subscriptions", "assignments", "defaults"), "warning"),
)
