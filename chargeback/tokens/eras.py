"""Spells in which OpenAI billed an answer's closing token, known from the time inside the answer's id.

A replay of old captures meets them; today's answers do not. ``chatcmpl-`` and the older
completion ids start with the second of their making: five digits to the base 62, counted from
2019-12-20. Azure deployments were not part of it.
"""

import string

_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_COUNTED_FROM = 1_576_800_000
_PREFIX = "chatcmpl-"

# Seconds of 2025-01-10, 02-11, 03-01 and 05-20, UTC. Inside, 57 of 76 recorded whole answers of models that
# do not reason cost one token more than the rules give outside; streams did not, so they are left alone.
_SPELLS = ((1_736_467_200, 1_739_232_000), (1_740_787_200, 1_747_699_200))


def bills_closing_token(response_id: str | None) -> bool:
    made = made_at(response_id)
    return made is not None and any(start <= made < end for start, end in _SPELLS)


def made_at(response_id: str | None) -> int | None:
    """Return the Unix second in a chat answer's id; ``None`` when the id has another form."""
    digits = (response_id or "").removeprefix(_PREFIX)[:5]
    if digits == (response_id or "")[:5] or len(digits) < 5 or not all(digit in _DIGITS for digit in digits):
        return None
    second = 0
    for digit in digits:
        second = second * 62 + _DIGITS.index(digit)
    return second + _COUNTED_FROM
