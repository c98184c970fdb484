"""``chargeback doctor``: everything a running system leans on, one line and one remedy each."""

import typer
from rich.text import Text

from chargeback.cli.checkups import CHECKS, AdviceError, Patient, SkippedError
from chargeback.cli.output import data_console
from chargeback.errors import ChargebackError
from chargeback.wiring import settings

_STYLES = {"ok": "green", "warn": "yellow", "FAIL": "bold red", "-": "dim"}


def doctor() -> None:
    """Check all a running system leans on: settings to rates, storage, hub, telemetry, what waits and what is missing.

    A line begins with ok, warn (look at it soon), FAIL (mend it) or - (cannot be known here). Nothing is billed or sent.
    Exit code 1 if something fails.

    Examples:
      chargeback doctor
      CHARGEBACK_LEDGER=./ledger CHARGEBACK_RATES=rates.yaml chargeback doctor
    """
    patient = Patient(settings())
    _tell("ok", "settings", "every one can be read")
    failed = 0
    for name, check in CHECKS.items():
        try:
            _tell("ok", name, check(patient))
        except SkippedError as reason:
            _tell("-", name, str(reason))
        except AdviceError as advice:
            _tell("warn", name, str(advice))
        except (ChargebackError, OSError, UnicodeDecodeError) as error:
            failed += 1
            _tell("FAIL", name, str(error))
    if failed:
        raise typer.Exit(1)


def _tell(mark: str, name: str, told: str) -> None:
    data_console().print(
        Text(f"{mark:<5} ", style=_STYLES[mark]) + Text(f"{name}: {told}", style=""), soft_wrap=True
    )
