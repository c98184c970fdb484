"""Where a standalone consumer begins: a store of checkpoints beside the ledger, or the journals themselves."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

from chargeback.errors import RetryError
from chargeback.settings import Settings
from chargeback.sources import event_hub
from chargeback.wiring import container_of, open_ledger


def committed(settings: Settings, hub: event_hub.Hub, ids: Sequence[str]) -> dict[str, int]:
    """Return the last number of each partition that has a journal; the others are read from their start."""
    ledger = open_ledger(None, settings)
    found: dict[str, int] = {}
    for partition in ids:
        stream = event_hub.stream_of(hub, settings.generation, partition)
        watermark = ledger.journal(f"stream/{stream}").watermark()
        if watermark is not None:
            found[partition] = watermark.last_seq
    return found


async def checkpoint_store(settings: Settings) -> Any:
    """Return the store of checkpoints and ownership, in a container beside the ledger, made if it is not there."""
    from azure.core.exceptions import AzureError, ResourceExistsError  # noqa: PLC0415  with the SDK
    from azure.eventhub.extensions.checkpointstoreblobaio import BlobCheckpointStore  # noqa: PLC0415  with the SDK

    access = settings.storage_access
    container = container_of(access, settings.checkpoints)
    try:
        with contextlib.suppress(ResourceExistsError):
            await asyncio.to_thread(container.create_container)
    except AzureError as error:
        raise RetryError(
            f"container {settings.checkpoints!r} of {access.setting}: out of reach ({type(error).__name__}); "
            "check the account's name, network and identity"
        ) from None
    finally:
        container.close()
    if access.connection is not None:
        return BlobCheckpointStore.from_connection_string(
            access.connection.get_secret_value(), settings.checkpoints
        )
    from azure.identity.aio import DefaultAzureCredential, ManagedIdentityCredential  # noqa: PLC0415  brings msal

    managed = (access.credential or "").lower() == "managedidentity"
    credential = (
        ManagedIdentityCredential(client_id=access.client_id)
        if managed
        else DefaultAzureCredential(managed_identity_client_id=access.client_id)
    )
    return BlobCheckpointStore(str(access.url), settings.checkpoints, credential=credential)
