"""The rows of a rate table in their canonical form: typed, complete, nothing left to interpret.

The canonical JSON of these rows is what a ledger keeps for ever; a table is always compiled from it, so
the table that rated a call and the one read back years later are the same.
"""

from datetime import datetime
from decimal import Decimal

from msgspec import Struct, field


class Row(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A key that is not set is not written: a later optional key leaves old versions as they are.

    What decides a price or a payer has no default here: it is written out, so that a newer program
    with other defaults still rates by the stored table as it was.
    """


class Source(Row, frozen=True, kw_only=True):
    kind: str
    fetched_at: datetime
    url: str | None = None
    filter: str | None = None


class Model(Row, frozen=True, kw_only=True):
    kind: str
    aliases: tuple[str, ...] = ()
    """Other names the service uses for exactly this model and version."""
    publisher: str | None = None
    long_context_from: int | None = None
    """Calls with more prompt tokens than this are of context tier ``long``."""
    ptu_output_weight: Decimal | None = None


class Meter(Row, frozen=True, kw_only=True):
    """One of: ``price`` with ``per``, ``free`` with ``reason``, ``same_as`` another meter of the row."""

    price: Decimal | None = None
    per: str | None = None
    free: bool = False
    reason: str | None = None
    same_as: str | None = None
    azure_meter_id: str | None = None
    azure_meter: str | None = None


class Rate(Row, frozen=True, kw_only=True):
    model: str
    deployment_type: str
    region: tuple[str, ...]
    service_tier: str
    context_tier: str
    effective_from: datetime
    effective_to: datetime | None = None
    meters: dict[str, Meter]
    source: Source | None = None


class Deployment(Row, frozen=True, kw_only=True):
    account: str
    deployment: str
    model: str
    deployment_type: str
    region: str
    spillover_to: str | None = None
    start: datetime = field(name="from")
    to: datetime | None = None


class Default(Row, frozen=True, kw_only=True):
    """What to assume for calls whose events never name a deployment."""

    event_hub: str | None = None
    subscription: str | None = None
    app: str | None = None
    account: str | None = None
    deployment: str | None = None
    model: str | None = None
    deployment_type: str | None = None
    region: str | None = None
    start: datetime | None = field(name="from", default=None)
    to: datetime | None = None


class KeyId(Row, frozen=True, kw_only=True):
    id: str
    start: datetime | None = field(name="from", default=None)
    to: datetime | None = None


class Subscription(Row, frozen=True, kw_only=True):
    id: str
    name: str | None = None
    key_ids: tuple[KeyId, ...] = ()


class Markup(Row, frozen=True, kw_only=True):
    percent: Decimal
    start: datetime | None = field(name="from", default=None)
    to: datetime | None = None


class CostCentre(Row, frozen=True, kw_only=True):
    id: str
    name: str | None = None
    markups: tuple[Markup, ...] = ()


class AssignmentRow(Row, frozen=True, kw_only=True):
    cost_centre: str
    subscription: str | None = None
    app: str | None = None
    product: str | None = None
    tag: str | None = None
    """``name=value``."""
    start: datetime | None = field(name="from", default=None)
    to: datetime | None = None


class PoolAmount(Row, frozen=True, kw_only=True):
    """``hourly`` x ``units`` by the minute, or ``amount`` for the whole span."""

    start: datetime = field(name="from")
    to: datetime | None = None
    hourly: Decimal | None = None
    units: int | None = None
    amount: Decimal | None = None


class PoolDeployment(Row, frozen=True, kw_only=True):
    account: str
    deployment: str


class Pool(Row, frozen=True, kw_only=True):
    id: str
    kind: str
    name: str | None = None
    amounts: tuple[PoolAmount, ...]
    driver: str
    deployments: tuple[PoolDeployment, ...] = ()
    shares: dict[str, Decimal] = {}
    idle: str
    idle_cost_centre: str | None = None
    capacity: int | None = None


class Budget(Row, frozen=True, kw_only=True):
    cost_centre: str
    amount: Decimal
    start: datetime | None = field(name="from", default=None)
    to: datetime | None = None


class Policy(Row, frozen=True, kw_only=True):
    billable_status: tuple[str, ...]
    cache_split_unknown: str
    unallocated: str
    # Both only decide what is told when a table is loaded.
    markup_max: Decimal = Decimal(100)
    stale_after_days: int = 120


class Rows(Row, frozen=True, kw_only=True):
    """The whole table."""

    schema_version: str
    table_id: str
    currency: str
    price_basis: str
    source: Source | None = None
    models: dict[str, Model]
    rates: tuple[Rate, ...]
    deployments: tuple[Deployment, ...] = ()
    defaults: tuple[Default, ...] = ()
    subscriptions: tuple[Subscription, ...] = ()
    cost_centres: tuple[CostCentre, ...] = ()
    assignments: tuple[AssignmentRow, ...] = ()
    pools: tuple[Pool, ...] = ()
    budgets: tuple[Budget, ...] = ()
    policy: Policy
