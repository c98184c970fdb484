"""Every exception of the project, named by what the caller must do about it.

ChargebackError
├── RejectError    bad content: keep the bytes as a dead letter, go on with the next event
├── RetryError     infrastructure is away: let the host deliver the same batch again
└── StopError      an operator must act first: nothing is skipped, nothing is guessed
    └── UsageError     the command or setting itself is wrong: one line, exit code 2

A message says what was wrong, the value's kind, what was expected, where, and what to do.
It never repeats customer text, keys or tokens.
"""


class ChargebackError(Exception):
    """Base of all errors raised on purpose."""


class RejectError(ChargebackError):
    """One event's content cannot be billed; ``reason`` is a fixed word for counting."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class RetryError(ChargebackError):
    """A retry of the same batch can mend it (storage, hub or vocabulary out of reach)."""


class StopError(ChargebackError):
    """Going on would lose or double money; the message carries the remedy."""


class UsageError(StopError):
    """The caller asked for something that cannot be done as asked."""
