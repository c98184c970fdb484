"""F4 and F5: events that carry only counts, taken by the policy from the answer's usage block.

They come from calls that were not streamed. A count that is missing or ``"null"`` is unknown: the policy
failed to find it, the call was not free.
"""

from chargeback.formats.row import Row

BY_APP_KEY = Row(
    name="F4",
    title="Token counts by `AppKey`",
    needs=frozenset({"appkey"}),
    when_cut=frozenset({"appkey"}),
    facts={
        "occurred_at": ("timestamp",),
        # Misspelt by its first reader; both spellings are in use.
        "subscription_id": ("subcriptionid", "subscriptionid"),
        "operation": ("apioperation",),
    },
    key=("appkey",),
    counts={"prompt": ("prompttokens",), "completion": ("completiontokens",), "total": ("totaltokens",)},
    streamed=False,
)

BY_SUBSCRIPTION_KEY = Row(
    name="F5",
    title="Token counts by subscription key, perhaps with the deployment",
    needs=frozenset({"appsubscriptionkey", "completiontokens"}),
    when_cut=frozenset({"timestamp", "appsubscriptionkey"}),
    facts={"occurred_at": ("timestamp",), "deployment": ("deploymentid",)},
    key=("appsubscriptionkey",),
    counts={"prompt": ("prompttokens",), "completion": ("completiontokens",), "total": ("totaltokens",)},
    streamed=False,
)
