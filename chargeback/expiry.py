"""Bill calls whose missing parts will not come, where no further event of their stream says so.

A stream's owner expires calls as events come in. This is for streams that fell silent: run by a timer,
under a lease, into a journal of its own. The owner may still expire the same call later; it writes the same
row, and readers count it once.
"""

from datetime import datetime

import msgspec

from chargeback import exchange, observe
from chargeback.event import Event, Stream
from chargeback.exchange import JoinState
from chargeback.journal.rows import BillingRow
from chargeback.pipeline import JOIN_TIMEOUT, Context, expire
from chargeback.ports import Entry, Ledger, MovedError

LEASE = "expiry"
LEASE_S = 15
# The owner acts at one timeout of the hub's time; twice that of ours means there is none.
PATIENCE = 2


def expire_silent(ledger: Ledger, context: Context, now: datetime, new_id: str) -> int:
    """Bill what waits in silent streams and return how many calls; 0 also when another process is at it."""
    held = ledger.leases.hold(LEASE, LEASE_S)
    if held is None:
        return 0
    with held as lease:
        charged = 0
        for name in ledger.pending.journals():
            charged += _expire_one(ledger, name, context, now, new_id)
            try:
                lease.renew()
            except MovedError:
                break  # it ran out; whoever holds it now goes on
        return charged


def _expire_one(ledger: Ledger, name: str, context: Context, now: datetime, new_id: str) -> int:
    kind, _, rest = name.partition("/")
    if kind != "stream":
        return 0
    data = ledger.pending.load(name, ledger.journal(name).refresh())
    state = exchange.decode(data) if data else JoinState()
    timeout = context.join_timeout or JOIN_TIMEOUT
    rows, _ = expire(state, _anchor(rest, now), now - PATIENCE * timeout, context, "join_timeout")
    journal = f"expiry/{rest}"
    loaded = ledger.cursors.load(f"{journal}/charged")
    known = set(msgspec.json.decode(loaded[0], type=list[str])) if loaded else set[str]()
    new = tuple(row for row in rows if row.row_id not in known)
    if not new:
        return 0
    _append(ledger, journal, new, now, new_id)
    # Only what still waits must be remembered; what the owner has expired since is gone from the state.
    waiting = [row.row_id for row in rows]
    ledger.cursors.save(f"{journal}/charged", msgspec.json.encode(waiting), loaded[1] if loaded else None)
    observe.log("expiry.charged", journal=journal, calls=len(new))
    return len(new)


def _append(ledger: Ledger, journal: str, rows: tuple[BillingRow, ...], now: datetime, new_id: str) -> None:
    log = ledger.journal(journal)
    watermark = log.refresh()
    first = watermark.last_seq + 1 if watermark else 0
    entries = [
        Entry(position=position, enqueued_at=now, rows=(row,)) for position, row in enumerate(rows, first)
    ]
    log.append(entries, after=watermark, batch_id=new_id)


def _anchor(stream: str, now: datetime) -> Event:
    """Lend the charges their stream; their places are those of the calls' last parts."""
    namespace, hub, generation, partition = stream.split("/")
    return Event(
        stream=Stream(namespace, hub, int(generation), partition),
        sequence_number=0,
        position=0,
        body=b"",
        enqueued_at=now,
    )
