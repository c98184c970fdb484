"""F1 and F2: one event a call with both bodies as text, the older published chargeback policies.

Neither says which deployment, region or subscription id was used: the bodies and the rate table's
``defaults`` and ``subscriptions`` have to. ``response`` comes last, so a cut loses the end of the answer.
"""

from chargeback.formats.row import Row

WITH_OPERATION = Row(
    name="F1",
    title="Request and response bodies with `apiOperation`",
    needs=frozenset({"request", "response", "apioperation"}),
    when_cut=frozenset({"eventtime", "apioperation"}),
    facts={"occurred_at": ("eventtime",), "operation": ("apioperation",)},
    key=("appsubscriptionkey",),
    request=("request",),
    response=("response",),
)

WITHOUT_OPERATION = Row(
    name="F2",
    title="Request and response bodies without an operation",
    needs=frozenset({"request", "response"}),
    when_cut=frozenset({"eventtime", "appsubscriptionkey"}),
    facts={"occurred_at": ("eventtime",)},
    key=("appsubscriptionkey",),
    request=("request",),
    response=("response",),
)
