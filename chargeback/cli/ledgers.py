"""The ledger a command works on: it must be there, for looking at a wrong path must not make one."""

from pathlib import Path
from typing import Annotated

import typer

from chargeback.errors import UsageError
from chargeback.ports import Ledger
from chargeback.wiring import is_folder, open_ledger, settings

LedgerOption = Annotated[
    str | None, typer.Option("--ledger", help="Folder or container of the ledger; else CHARGEBACK_LEDGER.")
]


def ledger_of(named: str | None) -> Ledger:
    """Open the ledger a user named, else that of CHARGEBACK_LEDGER. Raises UsageError when no folder is there."""
    where = named or settings().ledger
    if where and is_folder(where) and not Path(where).is_dir():
        raise UsageError(
            f"ledger {where}: there is no such folder; `chargeback replay FILES --ledger {where}` makes one"
        )
    if where and not is_folder(where) and not settings().storage_access.is_known:
        raise UsageError(
            f"ledger {where}: there is no such folder here; for a container of that name set "
            f"{settings().storage} to its storage account"
        )
    return open_ledger(named, settings())
