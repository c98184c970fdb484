"""What the checks look at; what several of them need is asked for once."""

import asyncio
from functools import cached_property

from chargeback.cli.checkups.asking import NoGroupError, Seen, ask
from chargeback.cli.checkups.verdicts import SkippedError, TroubleError
from chargeback.errors import UsageError
from chargeback.ports import Ledger
from chargeback.settings import Settings
from chargeback.wiring import hub_of, open_ledger


class Patient:
    """What the checks look at; what several of them need is asked for once."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def ledger(self) -> Ledger:
        return open_ledger(None, self.settings)

    @property
    def stored(self) -> Ledger:
        """The ledger, for checks that make no sense without one."""
        try:
            return self.ledger
        except UsageError:
            raise SkippedError("needs the ledger, see `storage`") from None

    @cached_property
    def hub(self) -> "list[Seen] | UsageError":
        """Its partitions, or why there are none: a hub that does not answer is asked once."""
        try:
            hub = hub_of(self.settings)
        except UsageError as error:
            return error
        group = self.settings.event_hub_consumer_group
        try:
            return asyncio.run(ask(hub, group))
        except NoGroupError:
            return TroubleError(
                f"{hub.name} at {hub.namespace} gives nothing to the consumer group {group!r}; create it, or mend "
                "EVENT_HUB_CONSUMER_GROUP"
            )
        except Exception as error:  # noqa: BLE001  whatever the SDK raises, the hub does not answer
            return TroubleError(
                f"{hub.name} at {hub.namespace} does not answer ({type(error).__name__}); check EVENT_HUB_NAME, "
                "the network, and the right to listen (role Azure Event Hubs Data Receiver)"
            )

    @property
    def seen(self) -> list[Seen]:
        """The partitions, for checks that make no sense without a hub."""
        if isinstance(self.hub, UsageError):
            raise SkippedError("needs the hub, see `hub`")
        return self.hub
