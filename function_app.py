"""The Functions host: declares the triggers and hands over. No logic, and nothing heavy at import.

The worker indexes this file with rules of its own: ``List[...]`` is accepted and ``list[...]`` is not, a
second name for the app makes it fail, a returned value makes every invocation fail (docs/functions-host.md).
"""

from typing import List  # noqa: UP035  the Functions indexer rejects list[...]

import azure.functions as func

app = func.FunctionApp()


@app.function_name("bill_usage")
@app.event_hub_message_trigger(
    arg_name="events",
    event_hub_name="%EVENT_HUB_NAME%",
    connection="EVENT_HUB_CONNECTION",
    consumer_group="%EVENT_HUB_CONSUMER_GROUP%",
    cardinality="many",
    data_type="binary",
)
@app.retry(
    strategy="exponential_backoff",
    max_retry_count="-1",
    minimum_interval="00:00:05",
    maximum_interval="00:05:00",
)
def bill_usage(events: List[func.EventHubEvent], context: func.Context) -> None:  # noqa: UP006  the Functions indexer rejects list[...]
    """Bill one batch of one partition. What raises here is delivered again, for ever; bad content does not raise."""
    from chargeback import functions_host  # noqa: PLC0415  indexing has ten seconds, and needs none of it

    functions_host.bill(events, context)


@app.function_name("settle")
@app.timer_trigger(schedule="0 * * * * *", arg_name="timer", use_monitor=False)
def settle(timer: func.TimerRequest) -> None:  # noqa: ARG001  the binding needs the argument
    """Bill expired parts of silent streams, and work off what telemetry has not confirmed."""
    from chargeback import functions_host  # noqa: PLC0415  indexing has ten seconds, and needs none of it

    functions_host.settle()
