"""What the service answered, in one shape for every API operation, streamed or not."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from msgspec import Struct


class ToolCall(Struct, frozen=True):
    """One function the model asked for; ``arguments`` is the text as generated, perhaps not JSON."""

    name: str
    arguments: str


class Choice(Struct, frozen=True, kw_only=True):
    """One of the ``n`` answers. Empty text means none was generated (or none survived a cut)."""

    index: int = 0
    content: str = ""
    refusal: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    function_call: ToolCall | None = None
    finish_reason: str | None = None
    """``None``: the end was not seen (aborted or cut)."""


class Reply(Struct, frozen=True, kw_only=True):
    """A rebuilt answer. ``None`` means the body did not say."""

    operation: str = "unknown"
    response_id: str | None = None
    model: str | None = None
    """The model that served; on the Responses API of Azure this is the deployment's name."""
    service_tier: str | None = None
    status: str | None = None
    """Responses API only: ``completed``, ``incomplete``, ``failed``, ``in_progress`` ..."""
    usage: Mapping[str, Any] | None = None
    """The provider's block, only if it was read whole."""
    choices: tuple[Choice, ...] = ()
    output: tuple[Mapping[str, Any], ...] = ()
    """Responses API only: the output items as they stand in the answer."""
    quantities: Mapping[str, Decimal] = {}
    """What was counted in the answer itself (pictures, seconds), by meter of the rate table."""
    background: bool | None = None
    """Responses API: whether the service works on after it has answered."""
    final: bool = True
    """False: the service still works on it; the usage comes with a later answer."""
    model_ran: bool = True
    """False: a catalogue entry, a file, a job, a receipt: nothing was generated."""
    streamed: bool | None = None
    complete: bool = True
    """False: a cut or aborted body; what is here is a lower bound."""
    error: str | None = None
    """Code of the error the body carries instead of (or after) an answer."""
