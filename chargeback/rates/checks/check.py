"""What a check is: a question to the whole table, and the sections it must be able to trust."""

from collections.abc import Callable, Iterable

from msgspec import Struct

from chargeback.rates.faults import Finding, Severity
from chargeback.rates.rows import Rows


class Check(Struct, frozen=True):
    """``reads``: when one of these sections is broken, the check is left out: it could only guess."""

    find: Callable[[Rows], Iterable[Finding]]
    reads: tuple[str, ...]
    severity: Severity = "error"
    follows: bool = False
    """Left out also when an earlier check found errors there: it would only tell their consequences."""
