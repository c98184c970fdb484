"""What the Functions triggers call: convert the batch, bill it, leave failures to the retry policy."""

import logging
from collections.abc import Sequence

import azure.functions as func

from chargeback import observe, wiring
from chargeback.sources.functions_trigger import events as events_of


def bill(batch: Sequence[func.EventHubEvent], context: func.Context) -> None:
    """Bill one batch. Raises RetryError or StopError: the batch comes again until it is billed."""
    settings = wiring.settings()
    logging.getLogger("chargeback").setLevel(settings.log_level)
    retry = getattr(context, "retry_context", None)
    if retry is not None and retry.retry_count:
        observe.log("batch.retried", retry_count=retry.retry_count)
    wiring.worker().bill(events_of(batch, settings.generation))


def settle() -> None:
    """Do the timer's round."""
    logging.getLogger("chargeback").setLevel(wiring.settings().log_level)
    wiring.worker().settle()
