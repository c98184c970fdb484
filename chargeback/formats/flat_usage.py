"""F4 and F5: events that carry only counts, taken by the policy from the answer's usage block.

They come from calls that were not streamed. A count that is missing or ``"null"`` is unknown: the policy
failed to find it, the call was not free.
"""

from chargeback.capture import Capture
from chargeback.facts import Facts
from chargeback.formats.fields import Fields
from chargeback.operations import operation
from chargeback.privacy import Privacy
from chargeback.usage import Usage


def read_by_app_key(fields: Fields, privacy: Privacy) -> Capture:
    """F4. ``SubcriptionId`` is misspelt by its first reader; both spellings are in use."""
    key = fields.text("appkey")
    return Capture(
        source_format="F4",
        facts=Facts(
            occurred_at=fields.instant("timestamp"),
            subscription_id=fields.text("subcriptionid", "subscriptionid"),
            subscription_key_id=privacy.key_id(key) if key else None,
            operation=operation(fields.text("apioperation")),
            streamed=False,
        ),
        usage=_usage(fields),
        truncated=fields.cut,
    )


def read_by_subscription_key(fields: Fields, privacy: Privacy) -> Capture:
    """F5. The deployment is there only where the exercise's last step was done."""
    key = fields.text("appsubscriptionkey")
    return Capture(
        source_format="F5",
        facts=Facts(
            occurred_at=fields.instant("timestamp"),
            subscription_key_id=privacy.key_id(key) if key else None,
            deployment=fields.text("deploymentid"),
            streamed=False,
        ),
        usage=_usage(fields),
        truncated=fields.cut,
    )


def _usage(fields: Fields) -> Usage | None:
    prompt, completion = fields.count("prompttokens"), fields.count("completiontokens")
    total = fields.count("totaltokens")
    if prompt is None and completion is None and total is None:
        return None
    return Usage(source="reported", prompt_tokens=prompt, completion_tokens=completion, total_tokens=total)
