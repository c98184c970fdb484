"""What can have served a call: an offer to price by, a deployment compiled for look-up, a found route."""

from msgspec import Struct

from chargeback.rates.rows import Deployment
from chargeback.rates.words import PROVISIONED_TYPES

MODEL_DIFFERS = "model_differs"


class Offer(Struct, frozen=True):
    """What a price is looked up by. ``region`` ``*`` finds only rates for all regions."""

    model: str
    deployment_type: str
    region: str


class Route(Struct, frozen=True, kw_only=True):
    """Where a call went. With a ``problem``, a rating reason, there is no offer to price by.

    More than one offer: the event leaves open which account served. What they do not share is None.
    """

    problem: str | None = None
    offers: tuple[Offer, ...] = ()
    account: str | None = None
    deployment: str | None = None
    deployment_type: str | None = None
    model: str | None = None
    region: str | None = None
    pooled: bool = False
    notes: tuple[str, ...] = ()


class Site(Struct, frozen=True):
    """A deployment with its routes made once: calls through it differ only in the model they report."""

    row: Deployment
    names: frozenset[str]
    """What the response may call the model, in lower case."""
    route: Route
    differing: Route

    @property
    def provisioned(self) -> bool:
        return self.route.pooled

    def answering(self, model: str | None) -> Route:
        """Return the route of a call whose response named ``model``."""
        return self.route if model is None or model.lower() in self.names else self.differing


def site(row: Deployment, aliases: tuple[str, ...]) -> Site:
    offer = Offer(row.model, row.deployment_type, row.region)
    # The bare name says nothing of the version, and Azure's Responses API answers with the name of
    # the deployment: neither contradicts.
    names = frozenset((*served_names(row.model, aliases), bare_name(row.model), row.deployment.lower()))
    return Site(row, names, _route(row, offer, ()), _route(row, offer, (MODEL_DIFFERS,)))


def _route(row: Deployment, offer: Offer, notes: tuple[str, ...]) -> Route:
    return Route(
        offers=(offer,),
        account=row.account,
        deployment=row.deployment,
        deployment_type=row.deployment_type,
        model=row.model,
        region=row.region,
        pooled=row.deployment_type in PROVISIONED_TYPES,
        notes=notes,
    )


def served_names(model: str, aliases: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return what the service may call the model ``name@version``, in lower case."""
    return tuple(name.lower() for name in (model, model.replace("@", "-"), *aliases))


def bare_name(model: str) -> str:
    return model.partition("@")[0].lower()
