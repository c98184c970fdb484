"""The rate table as people write it: its sections, their keys, and which of them are required.

Only shape and single values are judged here; what rows mean together is the matter of ``checks``.
The models end here: a table in use is compiled from ``rows``, never from these.
"""

from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema, PydanticCustomError

from chargeback.rates.billable import BILLABLE_STATUS
from chargeback.rates.values import (
    EXPECTED,
    CacheSplit,
    ContextTier,
    Count,
    Currency,
    DeploymentType,
    Driver,
    Idle,
    Instant,
    Kind,
    MeterName,
    ModelKey,
    Number,
    Percent,
    PoolKind,
    Price,
    PriceBasis,
    Region,
    Regions,
    SchemaVersion,
    ServiceTier,
    Status,
    Tag,
    Text,
    Unit,
    Yes,
    or_mapping,
)


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(Section):
    """Where prices come from."""

    kind: Text = Field(description="azure-retail, price-sheet, agreement ...")
    fetched_at: Instant = Field(description="when the prices were read")
    url: Text | None = Field(default=None, description="page or API address")
    filter: Text | None = Field(default=None, description="query that found them")


class Model(Section):
    """One version of one model, under the key `name@version`."""

    kind: Kind = Field(description="decides which meters a rate must price")
    aliases: tuple[Text, ...] = Field(
        default=(), description="other names the service uses for exactly this version"
    )
    publisher: Text | None = Field(default=None, description="for reports")
    long_context_from: Count | None = Field(
        default=None, description="prompts with more tokens are of context tier `long`"
    )
    ptu_output_weight: Number | None = Field(
        default=None, description="input tokens that one output token weighs in a pool"
    )


class Meter(Section):
    """A price: `{price, per}`, or `{free: true, reason}`, or `{same_as: another meter of the row}`."""

    price: Price | None = Field(default=None, description="in quotes, plain decimal notation, above zero")
    per: Unit | None = Field(default=None, description="the quantity the price is for")
    free: Yes | None = Field(default=None, description="true: costs nothing, for the reason given")
    reason: Text | None = Field(default=None, description="why it costs nothing")
    same_as: MeterName | None = Field(
        default=None, description="meter of this row whose price holds here too"
    )
    azure_meter_id: Text | None = Field(default=None, description="Azure's `meterId`")
    azure_meter: Text | None = Field(default=None, description="Azure's `meterName`, verbatim")

    @model_validator(mode="after")
    def _one_form(self) -> "Meter":
        forms = ({"price", "per"}, {"free", "reason"}, {"same_as"})
        given = {
            name for name in ("price", "per", "free", "reason", "same_as") if getattr(self, name) is not None
        }
        if given not in forms:
            form = "exactly one form: price with per, free with reason, or same_as"
            raise PydanticCustomError(EXPECTED, "{form}", {"form": form})
        return self


class Rate(Section):
    """The prices of one offer in one span of time. History is appended, never edited in place."""

    model: ModelKey = Field(description="a key of `models`")
    deployment_type: DeploymentType = Field(description="Azure's deployment SKU")
    region: Regions = Field(description='"*" for all regions, or a list of them')
    service_tier: ServiceTier = Field(default="default", description="as the response says")
    context_tier: ContextTier = Field(
        "*", description="`short` and `long` where the model prices long prompts apart"
    )
    effective_from: Instant = Field(description="first instant, UTC, inclusive")
    effective_to: Instant | None = Field(default=None, description="end, exclusive; null while it holds")
    meters: dict[MeterName, Meter] = Field(description="meter -> price", min_length=1)
    source: Source | None = Field(default=None, description="where it differs from the table's")


class Deployment(Section):
    """What calls are billed by: an event gives account and deployment."""

    account: Text = Field(description="name of the Azure OpenAI resource")
    deployment: Text = Field(description="name of the deployment in it")
    model: ModelKey = Field(description="a key of `models`")
    deployment_type: DeploymentType = Field(description="Azure's deployment SKU")
    region: Region = Field(description="region of the account")
    start: Instant = Field(alias="from", description="first instant, UTC, inclusive")
    to: Instant | None = Field(default=None, description="end, exclusive")
    spillover_to: Text | None = Field(
        default=None, description="deployment of the same account that takes what spills over"
    )


class Default(Section):
    """What to assume for calls whose events name no deployment. The most specific one holds."""

    event_hub: Text | None = Field(default=None, description="only for events of this hub")
    subscription: Text | None = Field(default=None, description="only for this subscription")
    app: Text | None = Field(default=None, description="only for this app")
    account: Text | None = Field(default=None, description="with `deployment`, where its name is not unique")
    deployment: Text | None = Field(default=None, description="the deployment to assume; or:")
    deployment_type: DeploymentType | None = Field(default=None, description="the offer to assume")
    region: Region | None = Field(default=None, description="region to assume with `deployment_type`")
    model: ModelKey | None = Field(
        default=None, description="model to assume with `deployment_type`; else the response's"
    )
    start: Instant | None = Field(default=None, alias="from", description="first instant, UTC, inclusive")
    to: Instant | None = Field(default=None, description="end, exclusive")

    @model_validator(mode="after")
    def _one_form(self) -> "Default":
        offer = self.deployment_type or self.region or self.model
        if (self.deployment is None) is (offer is None) or (self.account and offer):
            form = "either deployment (and account), or deployment_type (and region, model)"
            raise PydanticCustomError(EXPECTED, "{form}", {"form": form})
        if offer and self.deployment_type is None:
            raise PydanticCustomError(EXPECTED, "deployment_type beside region or model")
        return self


class KeyId(Section):
    """A key of a subscription while it was in use; a text alone means always."""

    id: Text = Field(description="as `chargeback pseudonym` prints it")
    start: Instant | None = Field(default=None, alias="from", description="first instant, UTC, inclusive")
    to: Instant | None = Field(default=None, description="end, exclusive")


class _TextToo:
    """Tells editors that the short form is right as well."""

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"anyOf": [{"type": "string"}, handler(core_schema)]}


_KeyIdOrText = Annotated[KeyId, BeforeValidator(or_mapping), _TextToo()]


class Subscription(Section):
    """An API Management subscription, and the keys that count as it."""

    id: Text = Field(description="the subscription's id in the gateway")
    name: Text | None = Field(default=None, description="for reports")
    key_ids: tuple[_KeyIdOrText, ...] = Field(default=(), description="primary, secondary, rotated")


class Markup(Section):
    """What a cost centre pays on top of the prices, or below them, while it holds."""

    percent: Percent = Field(description="in quotes; below zero it is a discount")
    start: Instant | None = Field(default=None, alias="from", description="first instant, UTC, inclusive")
    to: Instant | None = Field(default=None, description="end, exclusive")


class CostCentre(Section):
    """Who can be charged."""

    id: Text = Field(description="as finance knows it")
    name: Text | None = Field(default=None, description="for reports")
    markups: tuple[Markup, ...] = Field(default=(), description="percentages on top, over time")


class Assignment(Section):
    """Who pays for whom: subscription + app before subscription before app before product before tag."""

    cost_centre: Text = Field(description="an id of `cost_centres`")
    subscription: Text | None = Field(default=None, description="this subscription's calls")
    app: Text | None = Field(default=None, description="this app's calls")
    product: Text | None = Field(default=None, description="this product's calls")
    tag: Tag | None = Field(default=None, description="calls with this tag, such as `project=apollo`")
    start: Instant | None = Field(default=None, alias="from", description="first instant, UTC, inclusive")
    to: Instant | None = Field(default=None, description="end, exclusive")

    @model_validator(mode="after")
    def _of_somebody(self) -> "Assignment":
        named = {name for name in ("subscription", "app", "product", "tag") if getattr(self, name)}
        if named not in ({"subscription"}, {"app"}, {"subscription", "app"}, {"product"}, {"tag"}):
            raise PydanticCustomError(EXPECTED, "subscription, app, both, or product or tag alone")
        return self


class PoolAmount(Section):
    """What a pool costs in a span: `{hourly, units}` by the minute, or one `amount` for the whole span."""

    start: Instant = Field(alias="from", description="first instant, UTC, inclusive")
    to: Instant | None = Field(default=None, description="end, exclusive; needed with `amount`")
    hourly: Price | None = Field(default=None, description="price of one unit for an hour")
    units: Count | None = Field(default=None, description="how many of them: PTUs, hosted models ...")
    amount: Price | None = Field(
        default=None, description="of the whole span, spread evenly over its minutes"
    )

    @model_validator(mode="after")
    def _one_form(self) -> "PoolAmount":
        given = {name for name in ("hourly", "units", "amount") if getattr(self, name) is not None}
        if given not in ({"hourly", "units"}, {"amount"}) or (self.amount is not None and self.to is None):
            form = "hourly with units, or amount with an end (to)"
            raise PydanticCustomError(EXPECTED, "{form}", {"form": form})
        return self


class PoolDeployment(Section):
    """A deployment whose calls use a pool."""

    account: Text = Field(description="name of the Azure OpenAI resource")
    deployment: Text = Field(description="name of the deployment in it")


class Pool(Section):
    """A cost that no single call causes, divided among those who use it. The parts add up to it exactly."""

    id: Text = Field(description="names the pool on statements")
    kind: PoolKind = Field(description="ptu, hosting, shared or true_up")
    name: Text | None = Field(default=None, description="for reports")
    amounts: tuple[PoolAmount, ...] = Field(description="what it costs over time; spans add up")
    driver: Driver = Field(description="what divides it")
    deployments: tuple[PoolDeployment, ...] = Field(
        default=(), description="whose calls count; none: all calls"
    )
    shares: dict[Text, Percent] = Field(
        default={}, description="cost centre -> percent, for the driver `fixed` and for idle `fixed_share`"
    )
    idle: Idle = Field(
        description="who carries what nobody used: `platform`, `proportional` or `fixed_share`"
    )
    idle_cost_centre: Text | None = Field(default=None, description="with idle `platform`: who that is")
    capacity: Count | None = Field(
        default=None, description="driver units one unit serves an hour; what is below it is idle"
    )

    @model_validator(mode="after")
    def _complete(self) -> "Pool":
        problem = None
        if not self.amounts:
            problem = "at least one amount"
        elif (self.idle == "platform") is (self.idle_cost_centre is None):
            problem = "idle_cost_centre exactly with idle: platform"
        elif bool(self.shares) is not ("fixed" in (self.driver, self.idle.partition("_")[0])):
            problem = "shares exactly with driver: fixed or idle: fixed_share"
        elif self.kind in ("ptu", "hosting") and not self.deployments:
            problem = f"the deployments of a pool of kind {self.kind}"
        elif self.capacity is not None and (self.driver in ("cost", "fixed") or self._flat()):
            problem = "capacity only beside hourly and units, with a driver that counts calls or tokens"
        if problem:
            raise PydanticCustomError(EXPECTED, "{problem}", {"problem": problem})
        return self

    def _flat(self) -> bool:
        return any(each.units is None for each in self.amounts)


class Budget(Section):
    """What a cost centre may spend in a calendar month (UTC)."""

    cost_centre: Text = Field(description="an id of `cost_centres`")
    amount: Price = Field(description="a month, in the table's currency")
    start: Instant | None = Field(default=None, alias="from", description="first instant, UTC, inclusive")
    to: Instant | None = Field(default=None, description="end, exclusive")


class Policy(Section):
    """Decisions of the operator that no price list makes."""

    billable_status: tuple[Status, ...] = Field(
        default=BILLABLE_STATUS, description="answers charged without usage: a status, `2xx`, or status:error"
    )
    cache_split_unknown: CacheSplit = Field(
        default="uncached", description="for counts of the gateway, which have no cached share"
    )
    unallocated: Text = Field(default="UNALLOCATED", description="cost centre of what nobody was assigned")
    markup_max: Percent = Field(default=Decimal(100), description="a larger markup is taken for a slip")
    stale_after_days: Count = Field(default=120, description="prices read longer ago bring a warning")


class RateFile(Section):
    """One currency, one price basis, all dates in UTC."""

    schema_version: SchemaVersion = Field(description="1")
    table_id: Text = Field(description="name of this table; begins its version")
    currency: Currency = Field(description="ISO 4217 code, the one of all prices")
    price_basis: PriceBasis = Field(default="list", description="list or negotiated")
    source: Source | None = Field(default=None, description="where the prices come from")
    models: dict[ModelKey, Model] = Field(description="models by name@version")
    rates: tuple[Rate, ...] = Field(description="prices of models")
    deployments: tuple[Deployment, ...] = Field(default=(), description="deployments by account and name")
    defaults: tuple[Default, ...] = Field(default=(), description="for events without a deployment")
    subscriptions: tuple[Subscription, ...] = Field(default=(), description="names and keys of subscriptions")
    cost_centres: tuple[CostCentre, ...] = Field(default=(), description="who can be charged")
    assignments: tuple[Assignment, ...] = Field(default=(), description="who pays for whom")
    pools: tuple[Pool, ...] = Field(default=(), description="costs that are divided among their users")
    budgets: tuple[Budget, ...] = Field(default=(), description="what a cost centre may spend")
    policy: Policy = Field(default=Policy(), description="decisions of the operator")


# Stand-ins for required sections that are broken, so that the checks of the others still run.
STAND_INS: dict[str, Any] = {
    "schema_version": "1",
    "table_id": "broken",
    "currency": "USD",
    "models": {},
    "rates": [],
}
