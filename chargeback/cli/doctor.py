"""``chargeback doctor``: everything a running system leans on, one line and one remedy each."""

from difflib import get_close_matches

import typer
from rich.text import Text

from chargeback.cli.checkups import CHECKS, AdviceError, Patient, SkippedError
from chargeback.cli.output import data_console
from chargeback.errors import ChargebackError
from chargeback.settings import PREFIX, Settings
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
    unknown = strangers(patient.settings)
    _tell("warn" if unknown else "ok", "settings", unknown or "every one can be read")
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


def strangers(configured: Settings) -> str:
    """Tell which names are nearly those of settings, so that nobody reads them, or nothing."""
    names = [name.removeprefix(PREFIX) for name in configured.names() if name.startswith(PREFIX)]
    # Without the prefix they share: with it, any two would be alike.
    meant = {name: get_close_matches(name.removeprefix(PREFIX), names, n=1) for name in configured.unread}
    told = ", ".join(f"{name} (did you mean {PREFIX}{near[0]}?)" for name, near in meant.items() if near)
    return f"nobody reads {told}; see docs/settings.md" if told else ""


def _tell(mark: str, name: str, told: str) -> None:
    data_console().print(
        Text(f"{mark:<5} ", style=_STYLES[mark]) + Text(f"{name}: {told}", style=""), soft_wrap=True
    )
