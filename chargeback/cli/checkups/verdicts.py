"""What a check may end with, besides a line of what it found."""

from chargeback.errors import UsageError


class TroubleError(UsageError):
    """Something is wrong: what, and what to do about it."""


class AdviceError(UsageError):
    """Nothing is lost yet, but somebody should look."""


class SkippedError(UsageError):
    """Cannot be known here, and why."""
