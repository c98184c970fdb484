"""The ledger a command works on: it must be there, for looking at a wrong path must not make one."""

from pathlib import Path
from typing import Annotated

import typer

from chargeback.errors import UsageError
from chargeback.ports import Ledger
from chargeback.wiring import CONTAINER, is_folder, open_ledger, settings

LedgerOption = Annotated[
    str | None,
    typer.Option(
        "--ledger", metavar="LEDGER", help="Folder or container of the ledger; else CHARGEBACK_LEDGER."
    ),
]


def ledger_of(named: str | None) -> Ledger:
    """Open the ledger a user named, else that of CHARGEBACK_LEDGER. Raises UsageError when no folder is there."""
    where = named or settings().ledger
    if where and is_folder(where) and not Path(where).is_dir():
        if Path(where).exists():
            raise UsageError(
                f"ledger {where}: it is a file; name the folder `chargeback replay --ledger` made"
            )
        raise UsageError(
            f"ledger {where}: there is no such folder; `chargeback replay FILES --ledger {where}` makes one"
        )
    is_bare = where and not is_folder(where) and not where.startswith(CONTAINER)
    if is_bare and not settings().storage_access.is_known:
        raise UsageError(
            f"ledger {where}: there is no such folder here; for a container of that name set "
            f"{settings().storage} to its storage account"
        )
    return open_ledger(named, settings())
