"""A week of a made-up mail-order company: who calls which deployment, and every call of ``samples/events``.

``scripts/make_samples.py`` renders these calls, and the oracle prices the same ones. Everything is drawn
from one seeded generator, so the calls never change until this file does.
"""

import hashlib
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from tests.support import oracle
from tests.support.calls import Answer, Call, Counts, Format, Message, ToolCall
from tests.support.render import as_captured, cut_stream

MONDAY = datetime(2026, 11, 2, tzinfo=UTC)
PRICE_CHANGE = datetime(2026, 11, 4, 12, tzinfo=UTC)
"""gpt-4o-mini on Global Standard costs a different price from here on (samples/rates.yaml)."""
KEY_ROTATION = datetime(2026, 11, 5, tzinfo=UTC)
"""sub-shop uses its secondary key from here on."""


def made_up_key(name: str) -> str:
    """Return 32 hex digits that look like a subscription key and open nothing."""
    return hashlib.sha256(f"not a secret, only a sample: {name}".encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Caller:
    subscription_id: str
    subscription_name: str
    product: str
    app_id: str | None

    def key(self, at: datetime) -> str:
        rotated = self.subscription_id == "sub-shop" and at >= KEY_ROTATION
        return made_up_key(f"{self.subscription_id} {'secondary' if rotated else 'primary'}")


@dataclass(frozen=True)
class Route:
    account: str
    deployment: str
    deployment_type: str
    region: str
    model: str
    """As answers name it."""


ADVISER = "7d1f0c52-3b7e-4f2a-9c5d-0a6e4b8f1c01"
CATALOGUE = "7d1f0c52-3b7e-4f2a-9c5d-0a6e4b8f1c02"
INBOX = "7d1f0c52-3b7e-4f2a-9c5d-0a6e4b8f1c03"
TENANT = "5e0b9a34-1c2d-4e5f-8a7b-6c9d0e1f2a3b"

CALLERS = {
    "shop": Caller("sub-shop", "Web shop", "Chat", CATALOGUE),
    "claims": Caller("sub-claims", "Returns desk", "Chat", INBOX),
    "legal": Caller("sub-legal", "Contracts", "Documents", ADVISER),
    "lab": Caller("sub-lab", "Data lab", "Documents", None),
}
ROUTES = {
    "mini": Route("aoai-weu-1", "chat-mini", "GlobalStandard", "westeurope", "gpt-4o-mini-2024-07-18"),
    "chat": Route("aoai-weu-1", "chat", "GlobalStandard", "westeurope", "gpt-4o-2024-11-20"),
    "chat-swc": Route("aoai-swc-1", "chat-eu", "DataZoneStandard", "swedencentral", "gpt-4o-2024-11-20"),
    "thinker": Route("aoai-swc-1", "thinker", "GlobalStandard", "swedencentral", "gpt-5-mini-2025-08-07"),
    "instruct": Route("aoai-swc-1", "instruct", "Standard", "swedencentral", "gpt-35-turbo-instruct"),
    "embed": Route("aoai-weu-1", "embed", "GlobalStandard", "westeurope", "text-embedding-3-small"),
}


def a_call(caller: Caller, route: Route, at: datetime, number: int, **told: object) -> Call:
    """Return a call whose ids follow from ``number``; ``told`` are any members of Call."""
    prefix = {"completions": "cmpl-", "chat": "chatcmpl-"}.get(str(told.get("operation", "chat")))
    return Call(
        request_id=str(uuid.UUID(int=(0x5A << 120) | number, version=4)),
        at=at,
        subscription_id=caller.subscription_id,
        subscription_name=caller.subscription_name,
        subscription_key=caller.key(at),
        app_id=caller.app_id,
        tenant_id=TENANT if caller.app_id else None,
        product=caller.product,
        account=route.account,
        deployment=route.deployment,
        deployment_type=route.deployment_type,
        region=route.region,
        backend=f"https://{route.account}.openai.azure.com",
        api_version="2024-10-21",
        model=route.model,
        response_id=prefix and f"{prefix}{hashlib.sha256(str(number).encode()).hexdigest()[:29]}",
        **told,  # type: ignore[arg-type]  any member of Call by its name
    )


@dataclass(frozen=True)
class Captured:
    """One call of a file. ``repeat``: ``delivery`` = the same event twice, ``event`` = two events about it."""

    call: Call
    repeat: str | None = None
    cut_after_deltas: int | None = None
    identity_only: bool = False
    """v1: only who and where is known here; usage is to come from API Management's own log."""


QUESTIONS = (
    'Where is my parcel? The tracking page has said "in transit" since Friday.',
    "Can I send back a pair of boots that I wore once, indoors?",
    "Schreib bitte eine höfliche Absage für die Anfrage nach 300 Gartenzwergen.",
    "Which of our lamps may be used in a bathroom, and what does IP44 mean?",
    "Fasse den Mietvertrag der Halle 3 in drei Sätzen zusammen.",
    "List five names for a rain jacket that is made from old sails.",
    "Is clause 9.2 compatible with a notice period of six weeks?",
    "Das Paket war offen 📦😕 Was soll ich tun?",
    'Explain this row to a trainee: "data: 5" in column C.',
    "¿Cuánto tarda el envío a las islas?",
)
ANSWERS = (
    "It left the hub in Kassel this morning and should reach you tomorrow before noon.",
    "Yes. Boots worn indoors count as tried on, so the thirty days apply.",
    "Vielen Dank für Ihr Interesse! Leider führen wir Gartenzwerge nur in kleinen Mengen.",
    "The Fjord and the Alder. IP44 means: safe from splashes on every side.",
    "Die Halle ist bis 2031 gemietet. Die Miete steigt jährlich um 2 %. Der Hof gehört dazu.",
    "Mainsail, Jib, Leeward, Second Wind and Old Canvas 🌊",
    "Not quite: 9.2 counts from the end of the month, so six weeks can become ten.",
    "Bitte fotografieren Sie den Karton.\nDanach genügt eine Antwort auf diese Nachricht.",
    'Column C holds the text "data: 5": a label and a number, nothing to compute with.',
    "Entre cuatro y seis días laborables, según la isla.",
)
SYSTEM = "You work for a mail-order shop. Be brief, be kind, never promise a refund."


def captured() -> dict[Format, list[Captured]]:
    """Every call of ``samples/events``, by file, in the order of its events."""
    week = _Week(random.Random(20261102))
    return {
        "v1": _in_order(week.usage_events()),
        "v1-parts": _in_order(week.body_parts()),
        "F1": _in_order(week.chat_bodies()),
        "F2": _in_order(week.mixed_bodies()),
        "F4": _in_order(week.counts_by_subscription()),
        "F5": _in_order(week.counts_by_deployment()),
        **{form: _in_order(each) for form, each in week.other_gateways().items()},
    }


def sample_calls() -> list[Call]:
    """Return each call of ``samples/events`` once, with what its events tell of it: the oracle's input."""
    return [
        _survivor(each, form)
        for form, calls in captured().items()
        for each in calls
        if not each.identity_only  # no usage and no body: not yet a charge
    ]


def _survivor(each: Captured, form: Format) -> Call:
    call = each.call
    if each.cut_after_deltas is not None:
        _, call = cut_stream(call, form, each.cut_after_deltas)
    return as_captured(call, form)


def _in_order(calls: Iterator[Captured]) -> list[Captured]:
    return sorted(calls, key=lambda each: each.call.at)


class _Week:
    """The company's traffic. Events without bodies carry the money: their counts need no text."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.number = 0

    def moment(self) -> datetime:
        """Draw a working hour of the week, to the ten-thousandth of a second."""
        day = self.dice.choice((0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5))
        second, fraction = self.dice.randrange(7 * 3600, 18 * 3600), self.dice.randrange(10_000)
        return MONDAY + timedelta(days=day, seconds=second, microseconds=fraction * 100)

    def call(self, caller: str, route: str, at: datetime | None = None, **told: object) -> Call:
        self.number += 1
        return a_call(CALLERS[caller], ROUTES[route], at or self.moment(), self.number, **told)

    def counts(self, prompt: tuple[int, int], completion: tuple[int, int], *, thinks: bool = False) -> Counts:
        tokens = self.dice.randint(*prompt)
        # The service caches in steps of 128 tokens, from 1024 on.
        cached = self.dice.choice((0, 0, tokens // 2 // 128 * 128)) if tokens >= 4096 else 0
        answer = self.dice.randint(*completion)
        return Counts(
            prompt=tokens,
            completion=answer,
            cached=cached,
            reasoning=answer * 3 // 4 // 64 * 64 if thinks else 0,
        )

    def chat(
        self, caller: str, route: str, at: datetime | None = None, *, n: int = 1, **told: object
    ) -> Call:
        """Return a chat with bodies and the counts that the provider would give for them."""
        topic = self.dice.randrange(len(QUESTIONS))
        answers = tuple(Answer(text=ANSWERS[(topic + step) % len(ANSWERS)]) for step in range(n))
        messages = (Message(role="system", text=SYSTEM), Message(text=QUESTIONS[topic]))
        call = self.call(caller, route, at, **{"messages": messages, "answers": answers, **told})
        if call.status != 200 or call.usage:
            return call
        counted = oracle.counted(call)
        return replace(call, usage=Counts(prompt=counted.prompt, completion=counted.completion))

    def usage_events(self) -> Iterator[Captured]:
        for _ in range(9):
            yield Captured(self.call("shop", "mini", usage=self.counts((900, 60_000), (80, 1_500))))
        for _ in range(13):
            yield Captured(
                self.call("claims", "chat", usage=self.counts((10_000, 110_000), (500, 9_000)), stream=True)
            )
        for _ in range(14):
            yield Captured(
                self.call("legal", "chat-swc", usage=self.counts((40_000, 110_000), (2_000, 12_000)))
            )
        for _ in range(6):
            thought = self.counts((3_000, 150_000), (2_000, 12_000), thinks=True)
            yield Captured(self.call("lab", "thinker", usage=thought))
        for _ in range(5):
            texts = Counts(prompt=self.dice.randint(200_000, 2_000_000), cached=None, reasoning=None)
            yield Captured(
                self.call("shop", "embed", operation="embeddings", inputs=("a shelf of texts",), usage=texts)
            )
        # The same counts a second before the new price, and at the instant it begins.
        counts = Counts(prompt=100_000, completion=10_000)
        yield Captured(self.call("shop", "mini", PRICE_CHANGE - timedelta(seconds=1), usage=counts))
        yield Captured(self.call("shop", "mini", PRICE_CHANGE, usage=counts))
        twice = self.counts((20_000, 60_000), (500, 2_000))
        yield Captured(self.call("claims", "chat", usage=twice), repeat="delivery")
        yield Captured(self.call("claims", "chat", usage=twice), repeat="event")
        throttled = self.call("shop", "mini", status=429, error="429")
        yield Captured(throttled, identity_only=True)
        yield Captured(self.call("claims", "chat", stream=True), identity_only=True)

    def body_parts(self) -> Iterator[Captured]:
        for _ in range(3):
            yield Captured(self.chat("claims", "mini"))
        yield Captured(self.chat("legal", "chat-swc", n=2))
        for shows in (True, False, False):
            yield Captured(self.chat("shop", "mini", stream=True, usage_visible=shows))
        yield Captured(self.chat("claims", "chat", status=400, error="content_filter"))
        yield Captured(self.chat("shop", "mini", status=429, error="429"))

    def chat_bodies(self) -> Iterator[Captured]:
        """sub-shop behind the older policy: the key is rotated on Thursday."""
        for day in (0, 1, 2, 3, 4):
            at = MONDAY + timedelta(days=day, hours=9, minutes=self.dice.randrange(60), microseconds=410_000)
            yield Captured(self.chat("shop", "mini", at))
            yield Captured(
                self.chat("shop", "mini", at + timedelta(hours=3), stream=True, usage_visible=False)
            )
        yield Captured(self.chat("shop", "mini", stream=True), repeat="event")
        yield Captured(self.chat("shop", "mini", n=2, stream=True, usage_visible=False))
        yield Captured(self.chat("shop", "mini", stream=True, usage_visible=False), cut_after_deltas=6)
        asked = ToolCall("find_parcel", '{"query":"order 20417"}')
        answers = (Answer(tool_calls=(asked,), finish_reason="tool_calls"),)
        usage = Counts(prompt=131, completion=18)
        yield Captured(self.chat("shop", "mini", answers=answers, usage=usage, stream=True))
        prefix = (Message(role="system", text=f"{SYSTEM} " * 90), Message(text=QUESTIONS[3]))
        long = self.chat("shop", "mini", messages=prefix, answers=(Answer(text=ANSWERS[3]),))
        yield Captured(replace(long, usage=long.usage and replace(long.usage, cached=1_024)))
        texts = ("oak shelf, 80 cm", "walnut shelf, 80 cm", "Regal aus Ahorn, 120 cm")
        yield Captured(self._embedding("shop", texts))
        thought = Counts(prompt=88, completion=727, reasoning=640)
        yield Captured(self.chat("shop", "thinker", usage=thought))

    def mixed_bodies(self) -> Iterator[Captured]:
        for prompt, text in (
            ("Translate to Swedish: The parcel has arrived.", " Paketet har kommit fram."),
            ("Complete the sentence: This contract ends", " on the last day of March 2028."),
            ("One word for a torn envelope:", " Damaged"),
        ):
            yield Captured(self._completion(prompt, text))
            yield Captured(self._completion(prompt, text, stream=True, usage_visible=False))
        for shows in (True, True, False):
            yield Captured(self.chat("legal", "chat-swc", usage_visible=shows, stream=not shows))

    def counts_by_subscription(self) -> Iterator[Captured]:
        for _ in range(7):
            yield Captured(self.call("lab", "chat", usage=self.counts((5_000, 80_000), (300, 3_000))))
        yield Captured(
            self.call("lab", "chat", usage=self.counts((5_000, 80_000), (300, 3_000))), repeat="delivery"
        )

    def counts_by_deployment(self) -> Iterator[Captured]:
        for route in ("chat", "chat", "mini", "mini", "chat-swc"):
            yield Captured(self.call("claims", route, usage=self.counts((4_000, 70_000), (200, 2_000))))

    def other_gateways(self) -> dict[Format, Iterator[Captured]]:
        """A few calls each by the other published gateways, which the company once tried."""
        return {
            "F3": self._some(("shop", "mini"), ("claims", "chat")),
            "F6": self._some(("lab", "chat"), ("lab", "chat")),
            "F7": self._hub_records(),
            "F8": self._some(("shop", "chat")),
            "F9": self._split(),
            "F10": self._pairs(),
            "F11": self._bodies_and_urls(),
            "F12": self._some(("shop", "mini"), ("claims", "chat"), stream=True),
            "F13": self._proxied(),
            "F14": self._some(("legal", "chat-swc"), ("claims", "chat")),
            "F15": self._gateway_log(),
            "F16": self._some(("shop", "mini"), ("lab", "thinker"), stream=True),
            "F17": self._posted(),
        }

    def _some(self, *pairs: tuple[str, str], **told: object) -> Iterator[Captured]:
        for caller, route in pairs:
            usage = self.counts((4_000, 40_000), (200, 2_000))
            yield Captured(self.chat(caller, route, **{**told, "usage": usage}))

    def _hub_records(self) -> Iterator[Captured]:
        yield from self._some(("shop", "mini"), ("legal", "chat-swc"))
        yield Captured(self._embedding("shop", ("a bench of beech",)))
        yield Captured(
            self.chat("claims", "chat", usage=self.counts((4_000, 9_000), (90, 200))), repeat="event"
        )

    def _split(self) -> Iterator[Captured]:
        yield from self._some(("claims", "mini"), ("legal", "chat"))
        yield Captured(self.chat("claims", "mini", usage_visible=False))

    def _pairs(self) -> Iterator[Captured]:
        yield from self._some(("shop", "mini"))
        yield Captured(self._embedding("claims", ("where is my parcel",)))
        yield Captured(self.chat("claims", "mini", usage_visible=False))

    def _bodies_and_urls(self) -> Iterator[Captured]:
        yield Captured(self.chat("shop", "mini", stream=True, usage_visible=False))
        yield Captured(self.chat("legal", "chat-swc"))
        yield Captured(self.chat("shop", "mini", status=429, error="429"))

    def _proxied(self) -> Iterator[Captured]:
        yield Captured(self.chat("shop", "mini", stream=True, usage_visible=False))
        yield Captured(self.chat("shop", "mini"))

    def _gateway_log(self) -> Iterator[Captured]:
        yield from self._some(("shop", "mini"), ("legal", "chat-swc"), stream=True)
        yield Captured(self.chat("claims", "mini", stream=True, usage_visible=False))

    def _posted(self) -> Iterator[Captured]:
        yield Captured(self.chat("claims", "chat", stream=True))
        yield Captured(self.chat("legal", "chat-swc"))

    def _completion(self, prompt: str, text: str, **told: object) -> Call:
        call = self.call(
            "legal", "instruct", operation="completions", prompt=prompt, answers=(Answer(text=text),), **told
        )
        counted = oracle.counted(call)
        return replace(call, usage=Counts(prompt=counted.prompt, completion=counted.completion, cached=None))

    def _embedding(self, caller: str, texts: tuple[str, ...]) -> Call:
        call = self.call(caller, "embed", operation="embeddings", inputs=texts)
        return replace(call, usage=Counts(prompt=oracle.counted(call).prompt, cached=None))
