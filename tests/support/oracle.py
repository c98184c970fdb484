"""What a call must cost, worked out a second time: in fractions, from the rules, without the worker.

    rates = oracle.read_rates(Path("samples/rates.yaml"))
    oracle.expected_cost(call, rates)  # Fraction(111, 20000000), or None: no price
    oracle.bill(calls, rates)  # {(subscription, app, deployment): Fraction}

A lint rule keeps ``chargeback`` out of here, so that a mistake has to be made twice to go unseen. Give it
calls as their events tell them (``render.as_captured``): what a format hides nobody can bill by.
"""

import base64
import gzip
import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import tiktoken
import yaml

from tests.support.calls import Answer, Call, Counts

VOCABULARY = Path(__file__).parents[2] / "chargeback" / "tokens" / "vocabulary"
SAMPLE_RATES = Path(__file__).parents[2] / "samples" / "rates.yaml"
BEGINNING = datetime.min.replace(tzinfo=UTC)
PER = {"1 token": 1, "1K tokens": 1_000, "1M tokens": 1_000_000}

BillKey = tuple[str | None, str | None, str | None]
"""Subscription, app, deployment; None where neither the event nor the rate table says."""


class NotCountable(ValueError):  # noqa: N818  says what the call is, not that something broke
    """No usage is shown, and the rules for plain text do not reach this call. Test traffic avoids it."""


def expected_cost(call: Call, rates: "Rates") -> Fraction | None:
    """Return the exact price; None if the call has none: refused, of unknown quantity, or without a rate."""
    counts = expected_counts(call)
    meters = rates.meters(call)
    if counts is None or meters is None:
        return None
    cached = counts.cached or 0
    quantities = {
        "input_text": counts.prompt - cached,
        "input_cached_text": cached,
        "output_text": counts.completion,
    }
    if any(tokens and meter not in meters for meter, tokens in quantities.items()):
        return None
    return sum((tokens * meters[meter] for meter, tokens in quantities.items() if tokens), Fraction(0))


def bill(calls: Iterable[Call], rates: "Rates") -> dict[BillKey, Fraction]:
    """Add up what the calls cost, each call once however often it is in ``calls``; unpriced ones are left out."""
    totals: defaultdict[BillKey, Fraction] = defaultdict(Fraction)
    for call in {call.request_id: call for call in calls}.values():
        cost = expected_cost(call, rates)
        if cost is not None:
            totals[rates.subscription(call), call.app_id, rates.deployment(call)] += cost
    return dict(totals)


# ---- quantities


def expected_counts(call: Call) -> Counts | None:
    """Return the provider's counts where they show, else our own; None for a call that was not served."""
    if call.status != 200:
        return None
    return call.shown_usage or counted(call)


def counted(call: Call) -> Counts:
    """Count the text of a call by Azure's rules. Raises NotCountable."""
    model = (call.model or "").lower()
    encoding = encoding_of(model)
    if call.operation == "embeddings":
        return Counts(prompt=sum(tokens(text, encoding) for text in call.inputs), cached=None)
    if call.operation == "completions":
        generated = sum(_completed(answer, encoding) for answer in call.answers)
        return Counts(prompt=tokens(call.prompt, encoding), completion=generated, cached=None)
    if re.match(r"o\d|gpt-[5-9]|codex", model):
        raise NotCountable(f"{model} reasons unseen: its completion is known from usage only")
    # Each message is framed by two marks and a line break, and the answer is opened by three more.
    prompt = 3 + sum(3 + tokens(m.role, encoding) + tokens(m.text, encoding) for m in call.messages)
    completion = sum(_answered(answer, encoding) for answer in call.answers)
    return Counts(prompt=prompt, completion=completion, cached=None)


def _answered(answer: Answer, encoding: str) -> int:
    """On Azure an o200k answer that ends by itself costs one token more; one that was ended does not."""
    end = 1 if answer.finish_reason == "stop" and encoding == "o200k_base" else 0
    return tokens(_plain(answer), encoding) + end


def _completed(answer: Answer, encoding: str) -> int:
    """A completion that the default limit of 16 tokens ended has 16, though its text may be spelled with one fewer or more."""
    spelled = tokens(_plain(answer), encoding)
    return 16 if answer.finish_reason == "length" and spelled in (15, 16, 17) else spelled


def _plain(answer: Answer) -> str:
    if answer.tool_calls or answer.function_call or answer.refusal:
        raise NotCountable("only plain text is counted here, no tool call, function call or refusal")
    if answer.finish_reason not in ("stop", "length", None):
        raise NotCountable(f"an answer that ended with {answer.finish_reason} may have cost hidden tokens")
    return answer.text


def encoding_of(model: str) -> str:
    older = ("gpt-4-", "gpt-3", "text-embedding", "davinci-002", "babbage-002")
    return "cl100k_base" if model == "gpt-4" or model.startswith(older) else "o200k_base"


def tokens(text: str, encoding: str) -> int:
    return len(_tokenizer(encoding).encode_ordinary(text))


@cache
def _tokenizer(encoding: str) -> tiktoken.Encoding:
    lines = gzip.decompress((VOCABULARY / f"{encoding}.tiktoken.gz").read_bytes()).splitlines()
    ranks = {base64.b64decode(word): int(rank) for word, rank in map(bytes.split, lines)}
    return tiktoken.Encoding(
        encoding, pat_str="|".join(_WORDS[encoding]), mergeable_ranks=ranks, special_tokens={}
    )


_ENDING = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
# The patterns that tiktoken publishes with the ranks, one alternative a line.
_WORDS = {
    "o200k_base": (
        rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_ENDING}",
        rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_ENDING}",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    ),
    "cl100k_base": (
        r"'(?i:[sdmt]|ll|ve|re)",
        r"[^\r\n\p{L}\p{N}]?+\p{L}++",
        r"\p{N}{1,3}+",
        r" ?[^\s\p{L}\p{N}]++[\r\n]*+",
        r"\s++$",
        r"\s*[\r\n]",
        r"\s+(?!\S)",
        r"\s",
    ),
}


# ---- prices


@dataclass(frozen=True)
class Rates:
    """The rate table as it was written, every scalar a text; read from the top for each question."""

    table: Mapping[str, Any]

    def meters(self, call: Call) -> dict[str, Fraction] | None:
        """Return the price of one token by meter, or None where none or no unique one applies."""
        found = [self._rate(*place, call.at) for place in self._places(call)]
        # Several candidates are no matter as long as they cost the same.
        return found[0] if found and all(each == found[0] for each in found) else None

    def subscription(self, call: Call) -> str | None:
        """Return the event's own subscription, else the one its key belonged to at that moment."""
        if call.subscription_id is not None or not call.subscription_key:
            return call.subscription_id
        key_id = hashlib.sha256(call.subscription_key.encode()).hexdigest()[:32]
        for subscription in self.table.get("subscriptions", ()):
            for key in subscription.get("key_ids", ()):
                if key["id"] == key_id and _holds(key, call.at):
                    return subscription["id"]
        return f"key-{key_id}"

    def deployment(self, call: Call) -> str | None:
        return call.deployment or (self._default(call) or {}).get("deployment")

    def _places(self, call: Call) -> list[tuple[str, str, str]]:
        """Return every (model, deployment type, region) the call may have gone to."""
        if call.deployment:
            return self._deployed(call.deployment, call.account, call.at)
        default = self._default(call) or {}
        served = self._model(call.model)
        if "deployment" in default:
            found = self._deployed(default["deployment"], default.get("account"), call.at)
        elif default and (model := default.get("model") or served):
            found = [(model, default["deployment_type"], default["region"])]
        else:
            return []
        # What is only assumed must not contradict what the answer says.
        return found if all(call.model is None or served == place[0] for place in found) else []

    def _deployed(self, name: str, account: str | None, at: datetime) -> list[tuple[str, str, str]]:
        return [
            (row["model"], row["deployment_type"], row["region"])
            for row in self.table.get("deployments", ())
            if row["deployment"] == name and account in (None, row["account"]) and _holds(row, at)
        ]

    def _default(self, call: Call) -> Mapping[str, str] | None:
        """Return the most specific default: one that names the subscription before one that names the app."""
        if call.deployment:
            return None
        mine = {"subscription": self.subscription(call), "app": call.app_id}
        fitting = [
            row
            for row in self.table.get("defaults", ())
            if "event_hub" not in row
            and _holds(row, call.at)
            and all(row.get(k) in (None, v) for k, v in mine.items())
        ]
        return max(fitting, key=lambda row: ("subscription" in row, "app" in row), default=None)

    def _model(self, served: str | None) -> str | None:
        for key, model in self.table["models"].items():
            if served and served.lower() in (key.replace("@", "-").lower(), *model.get("aliases", ())):
                return key
        return None

    def _rate(
        self, model: str, deployment_type: str, region: str, at: datetime
    ) -> dict[str, Fraction] | None:
        for wanted in (region, "*"):
            for row in self.table["rates"]:
                if (
                    (row["model"], row["deployment_type"]) == (model, deployment_type)
                    and (row["region"] == "*" if wanted == "*" else wanted in _list(row["region"]))
                    and row.get("service_tier", "default") == "default"
                    and row.get("context_tier", "*") == "*"
                    and _holds(row, at)
                ):
                    return {name: _price(meter, row["meters"]) for name, meter in row["meters"].items()}
        return None


@cache
def sample_rates() -> Rates:
    return read_rates(SAMPLE_RATES)


def read_rates(path: Path) -> Rates:
    # BaseLoader leaves every scalar the text that was written: a price never becomes a float.
    return Rates(yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader))


def _price(meter: Mapping[str, str], row: Mapping[str, Mapping[str, str]]) -> Fraction:
    if meter.get("free") == "true":
        return Fraction(0)
    if "same_as" in meter:
        return _price(row[meter["same_as"]], row)
    return Fraction(meter["price"]) / PER[meter["per"]]


def _list(region: Any) -> list[str]:
    return region if isinstance(region, list) else []


def _holds(row: Mapping[str, Any], at: datetime) -> bool:
    start = row.get("effective_from", row.get("from"))
    end = row.get("effective_to", row.get("to"))
    return _instant(start, BEGINNING) <= at < _instant(end, datetime.max.replace(tzinfo=UTC))


@cache
def _instant(text: str | None, otherwise: datetime) -> datetime:
    if text in (None, "", "null", "~"):
        return otherwise
    parsed = datetime.fromisoformat(text)
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
