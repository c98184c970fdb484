"""The rate table in memory: immutable, indexed for one dictionary look-up and one bisection a question."""

import hashlib
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from chargeback.errors import StopError
from chargeback.facts import Facts
from chargeback.rates.rows import AssignmentRow, Default, Deployment, Markup, Rate, Rows
from chargeback.rates.sites import Site, served_names, site
from chargeback.rates.timeline import Timeline
from chargeback.rates.words import METERS, UNITS, ZERO

T = TypeVar("T")
K = TypeVar("K")

RateKey = tuple[str, str, str, str, str]
"""Model, deployment type, region, service tier, context tier."""


class Price(Struct, frozen=True):
    """What one meter costs: ``price`` for ``per`` units."""

    price: Decimal
    per: int
    divisor: Decimal
    """``per`` as Decimal, made once."""
    unit: str
    rate_id: str


class RateRow(Struct, frozen=True):
    """The prices of one interval, in all its regions. Two look-ups found one rate if they found one object."""

    prices: dict[str, Price]


class Assignment(Struct, frozen=True):
    """Who pays. ``cost_centre`` is always set: what nobody was assigned goes to the policy's centre."""

    subscription_id: str | None
    subscription_name: str | None
    cost_centre: str | None


class Memo(Generic[T]):
    """Answers given before, by everything the question depends on. When it is full it starts anew."""

    def __init__(self, entries: int = 4096) -> None:
        self._entries = entries
        self._answers: dict[Hashable, T] = {}
        self.get = self._answers.get

    def put(self, key: Hashable, answer: T) -> T:
        if len(self._answers) >= self._entries:
            self._answers.clear()
        self._answers[key] = answer
        return answer


class RateTable:
    """Made by ``load.parse`` or ``parse_canonical`` only. Every look-up takes an aware instant."""

    def __init__(self, rows: Rows, canonical: bytes) -> None:
        self.canonical = canonical
        self.sha256 = hashlib.sha256(canonical).hexdigest()
        self.version = f"{rows.table_id}+{self.sha256[:16]}"
        """Stamped on every rated line; the digits begin the name of the stored table."""
        self.currency = rows.currency
        self.rows = rows
        self.billable_status = frozenset(rows.policy.billable_status)
        self.cache_split_unknown = rows.policy.cache_split_unknown
        self._model_names = _model_names(rows)
        self._rates = _timelines(_rate_intervals(rows.rates))
        self._candidates: dict[RateKey, list[Timeline[RateRow]]] = {}
        self._sites = _timelines(
            (_deployment_key(row), (row.start, row.to, site(row, rows.models[row.model].aliases)))
            for row in rows.deployments
        )
        self._accounts = _accounts(rows.deployments)
        self._defaults = _timelines(_spans(rows.defaults, _default_key))
        self._names = {subscription.id: subscription.name for subscription in rows.subscriptions}
        self._keys = _timelines(
            (key.id, (key.start, key.to, subscription.id))
            for subscription in rows.subscriptions
            for key in subscription.key_ids
        )
        self._centres = _timelines(_spans(rows.assignments, _assignment_key))
        self._tags = tuple(dict.fromkeys(row.tag for row in rows.assignments if row.tag is not None))
        self._markups: dict[str | None, Timeline[Markup]] = _timelines(
            (centre.id, (row.start, row.to, row)) for centre in rows.cost_centres for row in centre.markups
        )
        self._changes = _instants(self._rates, self._sites, self._defaults, self._keys, self._centres)
        self._assigned: Memo[Assignment] = Memo()
        self.routes: Memo[Any] = Memo()
        """Of ``routes.route``, whose answers are worth keeping and whose module knows this one."""

    def epoch(self, at: datetime) -> int:
        """Number the spans between changes: every look-up gives the same at any two instants of one."""
        return bisect_right(self._changes, at)

    # ---- who pays

    def assign(self, facts: Facts, at: datetime) -> Assignment:
        """Fold the key into its subscription and find the cost centre of that moment."""
        if facts.tags:
            return self._assign(facts, at)
        key = (
            self.epoch(at),
            facts.subscription_id,
            facts.subscription_name,
            facts.subscription_key_id,
            facts.app_id,
            facts.product,
        )
        return self._assigned.get(key) or self._assigned.put(key, self._assign(facts, at))

    def _assign(self, facts: Facts, at: datetime) -> Assignment:
        subscription = self.subscription(facts, at)
        name = facts.subscription_name or (None if subscription is None else self._names.get(subscription))
        return Assignment(subscription, name, self._centre(subscription, facts, at))

    def subscription(self, facts: Facts, at: datetime) -> str | None:
        """Return the event's subscription, else the one its key belonged to, else ``key-`` + key id."""
        if facts.subscription_id is not None or facts.subscription_key_id is None:
            return facts.subscription_id
        return self._at(self._keys, facts.subscription_key_id, at) or f"key-{facts.subscription_key_id}"

    def _centre(self, subscription: str | None, facts: Facts, at: datetime) -> str:
        for key in (
            (subscription, facts.app_id, None, None),
            (subscription, None, None, None),
            (None, facts.app_id, None, None),
            (None, None, facts.product, None),
        ):
            row = self._at(self._centres, key, at)
            if row is not None:
                return row.cost_centre
        return self._centre_by_tag(facts, at) or self.rows.policy.unallocated

    def _centre_by_tag(self, facts: Facts, at: datetime) -> str | None:
        """Where several tags are assigned, the one that comes first in the table decides."""
        if not facts.tags:
            return None
        mine = {f"{name}={value}" for name, value in facts.tags.items()}
        found = (self._at(self._centres, (None, None, None, tag), at) for tag in self._tags if tag in mine)
        return next((row.cost_centre for row in found if row is not None), None)

    def markup(self, cost_centre: str | None, at: datetime) -> Decimal:
        """Return the percentage the centre pays on top at that moment; 0 where there is none."""
        row = self._at(self._markups, cost_centre, at)
        return ZERO if row is None else row.percent

    # ---- where a call went

    def site(self, account: str, deployment: str, at: datetime) -> Site | None:
        return self._at(self._sites, (account.lower(), deployment.lower()), at)

    def sites_named(self, deployment: str, at: datetime) -> tuple[Site, ...]:
        """Return the deployments of this name in all accounts at that moment."""
        name = deployment.lower()
        found = (self._at(self._sites, (account, name), at) for account in self._accounts.get(name, ()))
        return tuple(each for each in found if each is not None)

    def default(self, facts: Facts, event_hub: str, at: datetime) -> Default | None:
        """Return the most specific default: by subscription, then app, then hub."""
        subscription = self.subscription(facts, at)
        hub = event_hub.lower()
        for for_subscription in (subscription, None):
            for for_app in (facts.app_id, None):
                for for_hub in (hub, None):
                    row = self._at(self._defaults, (for_subscription, for_app, for_hub), at)
                    if row is not None:
                        return row
        return None

    def model_named(self, name: str) -> str | None:
        """Return the table's model for a name the service uses: ``gpt-4o-2024-11-20``, or an alias."""
        return self._model_names.get(name.lower())

    # ---- what it costs

    def rate(self, key: RateKey, at: datetime) -> RateRow | None:
        """Return the row for a key; one that names the region or context goes before one with ``*``."""
        timelines = self._candidates.get(key)
        if timelines is None:
            timelines = self._candidates[key] = self._find_candidates(*key)
        for timeline in timelines:
            row = timeline.at(at)
            if row is not None:
                return row
        return None

    def _find_candidates(
        self, model: str, kind: str, region: str, tier: str, context: str
    ) -> list[Timeline[RateRow]]:
        keys = [(model, kind, r, tier, c) for r in (region, "*") for c in (context, "*")]
        return [self._rates[key] for key in dict.fromkeys(keys) if key in self._rates]

    def context_tier(self, model: str, prompt_tokens: int) -> str:
        row = self.rows.models.get(model)
        if row is None or row.long_context_from is None:
            return "*"
        return "long" if prompt_tokens > row.long_context_from else "short"

    @staticmethod
    def _at(timelines: dict[K, Timeline[T]], key: K, at: datetime) -> T | None:
        timeline = timelines.get(key)
        return None if timeline is None else timeline.at(at)


def canonical(rows: Rows) -> bytes:
    """Return the canonical JSON: sorted keys, no blanks, defaults of optional keys left out."""
    return msgspec.json.encode(rows, order="sorted")


def parse_canonical(data: bytes) -> RateTable:
    """Restore a stored table exactly; its version is the one it was stored under."""
    try:
        rows = msgspec.json.decode(data, type=Rows)
    except msgspec.DecodeError as error:
        raise StopError(
            f"stored rate table of {len(data)} bytes: {error}; expected the canonical JSON this program wrote. "
            "Restore the file from a backup, or load the table from its YAML file."
        ) from error
    return RateTable(rows, data)


def _timelines(
    intervals: Iterable[tuple[K, tuple[datetime | None, datetime | None, T]]],
) -> dict[K, Timeline[T]]:
    grouped: defaultdict[K, list[tuple[datetime | None, datetime | None, T]]] = defaultdict(list)
    for key, interval in intervals:
        grouped[key].append(interval)
    return {key: Timeline(rows) for key, rows in grouped.items()}


def _instants(*indexes: dict[Any, Timeline[Any]]) -> list[datetime]:
    """Return every instant at which anything in the indexes changes, in order."""
    intervals = (row for index in indexes for timeline in index.values() for row in timeline)
    return sorted({instant for start, end, _ in intervals for instant in (start, end) if instant})


def _spans(rows: Iterable[Any], key: Callable[[Any], K]) -> Iterable[tuple[K, tuple[Any, Any, Any]]]:
    return ((key(row), (row.start, row.to, row)) for row in rows)


def _deployment_key(row: Deployment) -> tuple[str, str]:
    # Azure compares the names of accounts and deployments without regard to case.
    return row.account.lower(), row.deployment.lower()


def _default_key(row: Default) -> tuple[str | None, str | None, str | None]:
    return row.subscription, row.app, None if row.event_hub is None else row.event_hub.lower()


def _assignment_key(row: AssignmentRow) -> tuple[str | None, str | None, str | None, str | None]:
    return row.subscription, row.app, row.product, row.tag


def _accounts(deployments: tuple[Deployment, ...]) -> dict[str, tuple[str, ...]]:
    accounts: defaultdict[str, list[str]] = defaultdict(list)
    for account, name in dict.fromkeys(map(_deployment_key, deployments)):
        accounts[name].append(account)
    return {name: tuple(each) for name, each in accounts.items()}


def _model_names(rows: Rows) -> dict[str, str]:
    return {name: key for key, model in rows.models.items() for name in served_names(key, model.aliases)}


def _rate_intervals(
    rates: tuple[Rate, ...],
) -> Iterable[tuple[RateKey, tuple[datetime, datetime | None, RateRow]]]:
    for rate in rates:
        row = RateRow({name: _price(rate, name) for name in rate.meters})
        for region in rate.region:
            key = (rate.model, rate.deployment_type, region, rate.service_tier, rate.context_tier)
            yield key, (rate.effective_from, rate.effective_to, row)


def rate_id(rate: Rate, meter: str) -> str:
    """Return ``model|type|regions|tier|context|from|meter``: readable, and unique in the table."""
    offer = f"{rate.model}|{rate.deployment_type}|{','.join(rate.region)}"
    return f"{offer}|{rate.service_tier}|{rate.context_tier}|{instant_text(rate.effective_from)}|{meter}"


def instant_text(instant: datetime) -> str:
    """Write midnight UTC as a date and any other instant in full."""
    text = instant.isoformat().replace("+00:00", "Z")
    return text.removesuffix("T00:00:00Z")


def _price(rate: Rate, name: str) -> Price:
    meter = rate.meters[name]
    if meter.same_as is not None:
        meter = rate.meters[meter.same_as]
    if meter.price is None or meter.per is None:  # free of charge, and the table says why
        return Price(ZERO, 1, Decimal(1), METERS[name], rate_id(rate, name))
    unit = UNITS[meter.per]
    return Price(meter.price, unit.per, Decimal(unit.per), unit.dimension, rate_id(rate, name))
