"""A capture format as one declarative row: how to tell it, and which member says what.

A row that says everything is a format. What a row cannot say (phantom counts, several calls in one event)
is a small function in ``read`` beside it. ``docs/formats.md`` is written from the same rows.
"""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from chargeback.capture import Body, Capture
from chargeback.errors import RejectError
from chargeback.facts import Facts
from chargeback.formats.fields import Fields
from chargeback.operations import account_in, api_version_in, deployment_in, effect, operation, titled
from chargeback.privacy import Privacy
from chargeback.salvage import Decoded
from chargeback.usage import Usage, from_block

Read = tuple[Capture | RejectError, ...]
Names = tuple[str, ...]

COUNTS: dict[str, str] = {
    "prompt": "prompt_tokens",
    "completion": "completion_tokens",
    "total": "total_tokens",
    "cached": "cached_tokens",
    "audio": "audio_prompt_tokens",
    "reasoning": "reasoning_tokens",
}


class Row(Struct, frozen=True, kw_only=True):
    """One family of events. Names of members are in lower case: events are read without regard to case."""

    name: str
    """As in ``source_format``."""
    title: str
    needs: frozenset[str] = frozenset()
    """Members that must all be there."""
    one_of: tuple[frozenset[str], ...] = ()
    """Of each set at least one member must be there."""
    says: Mapping[str, Names] = {}
    """Member -> what its text begins with, without case."""
    prefix: str = ""
    """Some member's name begins so, where no member says it otherwise."""
    in_records: frozenset[str] = frozenset()
    """Members of which the first element of ``records`` has at least one."""
    when_cut: frozenset[str] | None = None
    """What suffices in an event that was cut; None: it is too small to be cut."""
    facts: Mapping[str, Names] = {}
    """Field of ``Facts`` -> members, the first that says something wins."""
    key: Names = ()
    """Members that hold a subscription key in clear."""
    url: Names = ()
    """Members with a URL: operation, deployment, api-version and account stand in it."""
    method: Names = ()
    title_of: Names = ()
    """Members with the operation's display name."""
    message_id: Names = ()
    counts: Mapping[str, Names] = {}
    """Word of ``COUNTS`` -> members."""
    usage: Names = ()
    """Members that hold a whole usage block."""
    request: Names = ()
    response: Names = ()
    streamed: bool | None = None
    """What the policy's own limits say of every event of this format."""
    estimate_notes: Names = ()
    read: Callable[["Row", Fields, Privacy], Read] | None = None
    """In place of ``read_row``."""
    yields: Names = ()
    """What ``read`` tells beyond the row, for the documentation."""
    experimental: str | None = None
    """What of this format nobody has verified."""

    @property
    def marks(self) -> frozenset[str]:
        """The members it is told by, for messages."""
        return self.needs.union(self.says, *self.one_of, self.in_records)

    @property
    def reads(self) -> frozenset[str]:
        """Every member the row looks at."""
        own = (self.key, self.url, self.method, self.title_of, self.message_id, self.usage)
        named = (*self.facts.values(), *self.counts.values(), *own, self.request, self.response)
        return self.marks.union(*named)

    def may_fit(self, names: frozenset[str], *, cut: bool) -> bool:
        """Tell by the names alone whether an event can be one of these."""
        if cut and self.when_cut and self.when_cut <= names:
            return True
        if not self.needs <= names or not all(some & names for some in self.one_of):
            return False
        prefixed = self.prefix and any(name.startswith(self.prefix) for name in names)
        return not self.says or bool(prefixed) or self.says.keys() <= names

    def fits(self, fields: Fields) -> bool:
        """Tell by the values, too, whether an event is one of these."""
        if self.says and not all(fields.starts(name, words) for name, words in self.says.items()):
            return bool(self.prefix) and fields.any_name(self.prefix)
        return not self.in_records or fields.in_records(self.in_records)


def read_row(row: Row, fields: Fields, privacy: Privacy) -> Capture:
    """Read an event as its row says."""
    facts = read_facts(row, fields, privacy)
    body: Body | None = None
    if fields.open is not None:
        body = (
            "request" if fields.open in row.request else "response" if fields.open in row.response else None
        )
    return Capture(
        source_format=row.name,
        facts=facts,
        message_id=fields.text(*row.message_id) if row.message_id else None,
        request=_body(row.request, fields) if row.request else None,
        response=_body(row.response, fields) if row.response else None,
        usage=read_usage(row, fields, facts),
        effect=_effect(row, fields),
        truncated=fields.cut,
        cut_body=body,
        estimate_notes=row.estimate_notes,
    )


def _body(names: Names, fields: Fields) -> Any:
    """Return a body as it stands; of an object the cut is in, also where it stands open."""
    value = fields.first_raw(names)
    if fields.open in names and not isinstance(value, str):
        return Decoded(value, fields.open_path[1:], cut=True)
    return value


def read_facts(row: Row, fields: Fields, privacy: Privacy) -> Facts:
    """Return who and where, each field read the way its meaning asks for."""
    known: dict[str, Any] = {}
    for field, names in row.facts.items():
        reader = _READERS.get(field)
        value = fields.text(*names) if reader is None else reader(fields, names, privacy)
        if value is not None:
            known[field] = value
    if row.key and (key := fields.text(*row.key)):
        known["subscription_key_id"] = privacy.key_id(key)
    if row.streamed is not None:
        known.setdefault("streamed", row.streamed)
    for name in row.url:
        _add_url(known, fields.text(name))
    if "operation" not in known and row.title_of and (word := titled(fields.text(*row.title_of))):
        known["operation"] = word
    return Facts(**known)


def read_usage(row: Row, fields: Fields, facts: Facts) -> Usage | None:
    """Return the counts that stand in the event itself; None where there is none."""
    if not row.usage and not row.counts:
        return None
    for name in row.usage:
        block = fields.mapping(name)
        if block and (found := from_block(block, facts.operation)):
            return found
    counts: dict[str, Any] = {
        COUNTS[word]: count
        for word, names in row.counts.items()
        if (count := fields.count(*names)) is not None
    }
    if not counts.keys() & {"prompt_tokens", "completion_tokens", "total_tokens"}:
        return None
    return Usage(source="reported", **counts)


def _add_url(known: dict[str, Any], url: str | None) -> None:
    if url is None:
        return
    said = {
        "operation": operation(url),
        "deployment": deployment_in(url),
        "api_version": api_version_in(url),
        "account": account_in(url),
    }
    for field, value in said.items():
        if value is not None:
            known.setdefault(field, value)


def _effect(row: Row, fields: Fields) -> Any:
    if not row.url:
        return effect(fields.text(*row.facts["operation"])) if "operation" in row.facts else "call"
    return effect(fields.text(*row.url), fields.text(*row.method))


_READERS: dict[str, Callable[[Fields, Names, Privacy], Any]] = {
    "occurred_at": lambda fields, names, _: fields.instant(*names),
    "operation": lambda fields, names, _: operation(fields.text(*names)),
    "streamed": lambda fields, names, _: fields.flag(*names),
    "http_status": lambda fields, names, _: fields.count(*names),
    "account": lambda fields, names, _: account_in(fields.text(*names)),
    "client_ip": lambda fields, names, privacy: privacy.person(fields.text(*names)),
    "end_user_id": lambda fields, names, privacy: privacy.person(fields.text(*names)),
}
