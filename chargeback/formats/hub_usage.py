"""F7: the usage record of the AI hub gateway, written for every service behind it.

The policy puts 1 for a prompt and a total it did not find, and 0 for the answer: 1/0/1 is no count, except
for an embedding, which can really have one token. Only the language model services are priced by token;
a search or a translation in the same hub is understood and billed nothing here.
"""

import msgspec

from chargeback.capture import Capture
from chargeback.formats.fields import Fields
from chargeback.formats.row import Read, Row, read_row
from chargeback.privacy import Privacy

LANGUAGE_MODELS = frozenset(
    {"chat.completion", "chat.completion.chunk", "text_completion", "list", "response"}
)
PHANTOM = (1, 0, 1)


def read(row: Row, fields: Fields, privacy: Privacy) -> Read:
    capture = read_row(row, fields, privacy)
    service = fields.text("targetservice")
    word = (service or "").lower()
    if service is not None and word not in LANGUAGE_MODELS:
        ignored = Capture(source_format=row.name, kind="ignored", facts=capture.facts, reason="other_service")
        return (ignored,)
    usage = capture.usage
    if usage is None or service is None:
        return (msgspec.structs.replace(capture, usage=None),)
    counts = (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens)
    if counts == PHANTOM and word != "list":
        return (msgspec.structs.replace(capture, usage=None),)
    return (capture,)


HUB_USAGE = Row(
    name="F7",
    title="Usage record of the AI hub gateway",
    needs=frozenset({"targetservice"}),
    when_cut=frozenset({"id", "timestamp", "subscriptionid"}),
    facts={
        "occurred_at": ("timestamp",),
        "subscription_id": ("subscriptionid",),
        "product": ("productname",),
        "app_id": ("appid",),
        "end_user_id": ("enduserid",),
        "client_ip": ("requestip",),
        "deployment": ("deploymentname",),
        "model": ("model",),
        "operation": ("targetservice",),
        "backend": ("backendid",),
        "response_id": ("id",),
    },
    counts={
        "prompt": ("prompttokens",),
        "completion": ("responsetokens",),
        "total": ("totaltokens",),
        "cached": ("cachedtokens",),
        "audio": ("audiotokens",),
    },
    streamed=False,
    read=read,
)
