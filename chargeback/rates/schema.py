"""The rate table as people write it: its sections, their keys, and which of them are required.

Only shape and single values are judged here; what rows mean together is the matter of ``checks``.
The models end here: a table in use is compiled from ``rows``, never from these.
"""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from chargeback.rates.billable import BILLABLE_STATUS
from chargeback.rates.values import (
    EXPECTED,
    CacheSplit,
    ContextTier,
    Count,
    Currency,
    DeploymentType,
    Instant,
    Kind,
    MeterName,
    ModelKey,
    Number,
    Price,
    PriceBasis,
    Region,
    Regions,
    SchemaVersion,
    ServiceTier,
    Status,
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


class Subscription(Section):
    """An API Management subscription, and the keys that count as it."""

    id: Text = Field(description="the subscription's id in the gateway")
    name: Text | None = Field(default=None, description="for reports")
    key_ids: tuple[Annotated[KeyId, BeforeValidator(or_mapping)], ...] = Field(
        default=(), description="primary, secondary, rotated"
    )


class CostCentre(Section):
    """Who can be charged."""

    id: Text = Field(description="as finance knows it")
    name: Text | None = Field(default=None, description="for reports")


class Assignment(Section):
    """Who pays for whom: subscription + app before subscription before app before product."""

    cost_centre: Text = Field(description="an id of `cost_centres`")
    subscription: Text | None = Field(default=None, description="this subscription's calls")
    app: Text | None = Field(default=None, description="this app's calls")
    product: Text | None = Field(default=None, description="this product's calls")
    start: Instant | None = Field(default=None, alias="from", description="first instant, UTC, inclusive")
    to: Instant | None = Field(default=None, description="end, exclusive")

    @model_validator(mode="after")
    def _of_somebody(self) -> "Assignment":
        if self.product if self.subscription or self.app else not self.product:
            raise PydanticCustomError(EXPECTED, "subscription, app, both, or product alone")
        return self


class Policy(Section):
    """Decisions of the operator that no price list makes."""

    billable_status: tuple[Status, ...] = Field(
        default=BILLABLE_STATUS, description="answers charged without usage: a status, `2xx`, or status:error"
    )
    cache_split_unknown: CacheSplit = Field(
        default="uncached", description="for counts of the gateway, which have no cached share"
    )
    unallocated: Text = Field(default="UNALLOCATED", description="cost centre of what nobody was assigned")


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
    policy: Policy = Field(default=Policy(), description="decisions of the operator")


# Stand-ins for required sections that are broken, so that the checks of the others still run.
STAND_INS: dict[str, Any] = {
    "schema_version": "1",
    "table_id": "broken",
    "currency": "USD",
    "models": {},
    "rates": [],
}
