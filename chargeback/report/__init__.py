"""Reading a ledger: all journals' committed rows, one Call for each call."""

from collections.abc import Iterator

from chargeback.journal.rows import BillingRow
from chargeback.journal.winner import Call, calls
from chargeback.ports import Ledger


def ledger_rows(ledger: Ledger) -> Iterator[BillingRow]:
    """Yield the committed rows of every journal."""
    for name in ledger.journals():
        for _, row in ledger.journal(name).read():
            yield row


def ledger_calls(ledger: Ledger) -> Iterator[Call]:
    """Yield every call of the ledger once."""
    return calls(ledger_rows(ledger))
