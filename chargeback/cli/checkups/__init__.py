"""What ``doctor`` looks at, in the order things depend on each other; each check says what it found.

A check raises when something is wrong (``verdicts``), and its message ends with the remedy.
"""

from collections.abc import Callable

from chargeback.cli.checkups import incoming, machine, outgoing
from chargeback.cli.checkups.patient import Patient
from chargeback.cli.checkups.verdicts import AdviceError, SkippedError, TroubleError

__all__ = ["CHECKS", "AdviceError", "Patient", "SkippedError", "TroubleError"]

CHECKS: dict[str, Callable[[Patient], str]] = {
    "python": machine.python,
    "clock": machine.clock,
    "rate table": machine.rates,
    "vocabulary": machine.vocabulary,
    "storage": machine.storage,
    "hub": incoming.hub,
    "gateway": incoming.gateway,
    "lag": incoming.lag,
    "telemetry": outgoing.ingestion,
    "backlog": outgoing.backlog,
    "gaps": outgoing.gaps,
    "rejects": outgoing.rejects,
}
"""Name of the line -> check."""
