"""``chargeback repair``: find numbers nobody billed, and bill them from the hub or from Capture files."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from chargeback.cli.ledgers import LedgerOption, ledger_of
from chargeback.cli.progress import QuietOption, remark, watching
from chargeback.errors import UsageError
from chargeback.event import Event
from chargeback.journal.gaps import OpenGap, open_gaps
from chargeback.repair import AROUND, repair, stream_of
from chargeback.settings import Settings
from chargeback.sources import capture_files, event_hub
from chargeback.wiring import context_of, fetched, hub_of, settings

LEASE = "repair"
LEASE_S = 60


def repair_gaps(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PATH", help="Files or folders of Event Hubs Capture; without: the hub."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list the gaps.")] = False,
    consumer_group: Annotated[
        str, typer.Option(metavar="GROUP", help="Group to read the hub with; not the one the worker uses.")
    ] = "$Default",
    ledger: LedgerOption = None,
    quiet: QuietOption = False,
) -> None:
    """Find gaps in the sequence numbers of every stream, read them again and bill them.

    Exit code 1 if a gap stays open.

    Examples:
      chargeback repair --dry-run
      chargeback repair capture/myns/usage --ledger ledger
      chargeback repair --consumer-group repair
    """
    configured = settings()
    store = ledger_of(ledger)
    gaps = open_gaps(store)
    for gap in gaps:
        remark(f"gap {gap}: {gap.count} events", quiet=quiet and not dry_run)
    if not gaps:
        remark("no gaps", quiet=quiet)
        return
    if dry_run:
        raise typer.Exit(1)
    captured = None
    if paths:
        with fetched(paths, configured) as files:
            captured = list(capture_files.read(capture_files.find(files)))
    context = context_of(configured, store)()
    held = store.leases.hold(LEASE, LEASE_S)
    if held is None:
        raise UsageError("another repair is running; try again when it has ended")
    with held as lease, watching(quiet=quiet) as watch:
        for gap in watch("gaps", gaps, len(gaps)):
            events = (
                _captured(captured, gap)
                if captured is not None
                else _from_hub(configured, gap, consumer_group)
            )
            done = repair(store, gap, events, context)
            remark(f"gap {gap}: {done.found} billed, {done.missing} not found", quiet=quiet)
            lease.renew()
    if open_gaps(store):
        typer.echo(
            "some gaps stay open: try Capture files of that time, or waive them when closing", err=True
        )
        raise typer.Exit(1)


def _captured(events: Iterable[Event], gap: OpenGap) -> list[Event]:
    """Return the stream's events; Capture's paths name the namespace without its domain, and no generation."""
    stream = stream_of(gap)
    name = (_label(stream.namespace), stream.event_hub, stream.partition)
    return [
        msgspec.structs.replace(event, stream=stream)
        for event in events
        if (_label(event.stream.namespace), event.stream.event_hub, event.stream.partition) == name
    ]


def _label(namespace: str) -> str:
    return namespace.partition(".")[0]


def _from_hub(configured: Settings, gap: OpenGap, group: str) -> list[Event]:
    hub, stream = hub_of(configured), stream_of(gap)
    if (hub.namespace, hub.name) != (stream.namespace, stream.event_hub):
        raise UsageError(
            f"the gap is of hub {stream.event_hub} at {stream.namespace}, but the settings name {hub.name} at "
            f"{hub.namespace}; set EVENT_HUB_CONNECTION and EVENT_HUB_NAME, or give Capture files"
        )
    first, last = max(0, gap.first - AROUND), gap.last + AROUND
    return asyncio.run(event_hub.read_range(hub, group, stream, first, last))
