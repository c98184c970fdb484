"""Everything true about one call, before any gateway writes an event about it.

Renderers (``render``) turn a Call into the bytes of a capture format, and the oracle (``oracle``) says
what it must cost. Both read only this, so neither can lean on how the worker reads or prices.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, get_args

Operation = Literal["chat", "completions", "embeddings"]
Format = Literal[
    "v1", "v1-parts", "F1", "F2", "F3", "F4", "F5", "F6", "F7", "F8", "F9",
    "F10", "F11", "F12", "F13", "F14", "F15", "F16", "F17",
]  # fmt: skip
FORMATS: tuple[Format, ...] = get_args(Format)


@dataclass(frozen=True, kw_only=True)
class Message:
    """One message of a chat; ``as_parts`` sends its text as a list of text parts."""

    role: str = "user"
    text: str = ""
    as_parts: bool = False


@dataclass(frozen=True)
class ToolCall:
    name: str
    arguments: str


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One of the ``n`` choices. ``finish_reason`` None: the end was never sent, or was cut off."""

    text: str = ""
    refusal: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    function_call: ToolCall | None = None
    finish_reason: str | None = "stop"


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What the provider counted. None: the capture does not split it out."""

    prompt: int
    completion: int = 0
    cached: int | None = 0
    reasoning: int | None = 0


@dataclass(frozen=True, kw_only=True)
class Call:
    """``request_id`` makes two Calls the same call, also in formats that do not show it."""

    request_id: str
    at: datetime
    # who
    subscription_id: str | None
    subscription_name: str | None = None
    subscription_key: str | None = None
    app_id: str | None = None
    tenant_id: str | None = None
    product: str | None = None
    # where
    account: str | None
    deployment: str | None
    deployment_type: str | None = None
    region: str | None = None
    api_version: str | None = None
    backend: str | None = None
    # what
    operation: Operation = "chat"
    model: str | None
    """As the service says it in the answer, such as ``gpt-4o-2024-11-20``."""
    messages: tuple[Message, ...] = ()
    prompt: str = ""
    inputs: tuple[str, ...] = ()
    answers: tuple[Answer, ...] = field(default_factory=lambda: (Answer(text="Noted."),))
    response_id: str | None = None
    stream: bool = False
    status: int = 200
    error: str | None = None
    """Code of the error body, for a status other than 200."""
    usage: Counts | None = None
    usage_visible: bool = True
    """False: the provider counted, but neither the answer nor the event shows it."""

    def __post_init__(self) -> None:
        if self.at.utcoffset() != UTC.utcoffset(None):
            raise ValueError(f"at: expected an aware UTC time, got {self.at!r}")
        if self.error is not None and self.status == 200:
            raise ValueError("error: an answer with status 200 has none")

    @property
    def n(self) -> int:
        return len(self.answers)

    @property
    def shown_usage(self) -> Counts | None:
        """The provider's counts, if this call was served and they can be seen."""
        return self.usage if self.usage_visible and self.status == 200 else None
