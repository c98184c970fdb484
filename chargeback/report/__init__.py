"""Reading a ledger: all journals' committed rows."""

from collections.abc import Iterator

from chargeback.journal.rows import BillingRow
from chargeback.ports import Ledger


def ledger_rows(ledger: Ledger) -> Iterator[BillingRow]:
    """Yield the committed rows of every journal."""
    for name in ledger.journals():
        for _, row in ledger.journal(name).read():
            yield row
