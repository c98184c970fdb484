"""The command line's door: Ctrl-C is one line from here on, so nothing that takes long is imported before ``main``."""

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

INTERRUPTED = 130
"""128 + SIGINT."""


def main() -> NoReturn:
    """Run the command and leave with its exit code."""
    # A job in the background is started with Ctrl-C ignored, and keeps it so.
    heeded = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if heeded:
        signal.signal(signal.SIGINT, _leave)
    import logging  # noqa: PLC0415  from here on an interruption is told

    from chargeback.cli.commands import app  # noqa: PLC0415  a second of imports
    from chargeback.cli.manners import run  # noqa: PLC0415  a second of imports

    # Commands tell people what they did in their own words; logs are for hosts, which ask for them.
    logging.getLogger("chargeback").addHandler(logging.NullHandler())
    code = run(app, heeded=heeded)
    if heeded:
        signal.signal(signal.SIGINT, _leave)
    sys.exit(code)


def tell_interrupted() -> None:
    """Say how to go on."""
    os.write(2, b"chargeback: interrupted; what was committed counts once, so run the same again\n")


def _leave(_signal: int, _frame: FrameType | None) -> NoReturn:
    """End at once: before and after the command there is nothing to finish, and imports swallow exceptions."""
    tell_interrupted()
    os._exit(INTERRUPTED)
