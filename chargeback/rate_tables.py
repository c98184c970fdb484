"""The rate table in use: one snapshot a batch, picked up anew within a minute, kept for ever once used.

A changed table that has faults is refused loudly and the last good one stays. Before its first use the
canonical table is stored write-once in the ledger, so that a charge can be explained years later.
"""

import threading
from collections.abc import Callable

from chargeback import observe
from chargeback.errors import ChargebackError, RetryError
from chargeback.ports import Ledger
from chargeback.rates.table import RateTable

RELOAD_S = 60.0


class RateTables:
    """``read`` returns the file's text; ``monotonic`` counts seconds. Safe for concurrent batches."""

    def __init__(
        self, read: Callable[[], str], source: str, ledger: Ledger, *, monotonic: Callable[[], float]
    ) -> None:
        self._read = read
        self._source = source
        self._ledger = ledger
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._text: str | None = None
        self._table: RateTable | None = None
        self._checked_at: float | None = None

    def current(self) -> RateTable:
        """Return the table for a new batch. Raises RetryError while none was ever loaded."""
        with self._lock:
            now = self._monotonic()
            if self._table is None or self._checked_at is None or now - self._checked_at >= RELOAD_S:
                self._checked_at = now
                self._refresh()
            if self._table is None:
                raise RetryError(
                    f"rate table {self._source}: none could be loaded yet; run `chargeback rates check`"
                )
            return self._table

    def _refresh(self) -> None:
        # pydantic and the YAML reader take a tenth of a second to import: only when there is a file to read.
        from chargeback.rates.load import parse  # noqa: PLC0415 - pydantic and YAML, only when a table is read

        try:
            text = self._read()
            if text == self._text:
                return
            table = parse(text, source=self._source)
            self._ledger.put_once(f"rates/{table.sha256}.json", table.canonical)
        except (ChargebackError, OSError, UnicodeDecodeError) as error:
            observe.log("rates.refused", source=self._source, error=str(error))
            return
        self._text, self._table = text, table
        observe.log("rates.loaded", source=self._source, version=table.version)
