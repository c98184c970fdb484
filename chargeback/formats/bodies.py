"""F1 and F2: one event a call with both bodies as text, the older published chargeback policies.

Neither says which deployment, region or subscription id was used: the bodies and the rate table's
``defaults`` and ``subscriptions`` have to. ``response`` comes last, so a cut loses the end of the answer.
"""

from functools import partial
from typing import Literal

from chargeback.capture import Capture
from chargeback.facts import Facts
from chargeback.formats.fields import Fields
from chargeback.operations import operation
from chargeback.privacy import Privacy


def _read(fields: Fields, privacy: Privacy, *, source_format: str) -> Capture:
    key = fields.text("appsubscriptionkey")
    return Capture(
        source_format=source_format,
        facts=Facts(
            occurred_at=fields.instant("eventtime"),
            subscription_key_id=privacy.key_id(key) if key else None,
            operation=operation(fields.text("apioperation")),
        ),
        request=fields.raw("request"),
        response=fields.raw("response"),
        truncated=fields.cut,
        cut_body=_cut_body(fields),
    )


def _cut_body(fields: Fields) -> Literal["request", "response"] | None:
    if fields.open == "request" or fields.open == "response":  # noqa: PLR1714  two tests narrow the type
        return fields.open
    return None


read_with_operation = partial(_read, source_format="F1")
read_without_operation = partial(_read, source_format="F2")
