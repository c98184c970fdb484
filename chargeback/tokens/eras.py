"""Spells in which OpenAI billed otherwise, known from the time inside an answer's id.

A replay of old captures meets them; today's answers do not. Ids start with the second of their
making: ``chatcmpl-`` ids with five digits to the base 62 counted from 2019-12-20, ``resp_`` ids of
2025 with eight hexadecimal ones. Azure deployments were not part of it.
"""

import re
import string

_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_COUNTED_FROM = 1_576_800_000
_CHAT = re.compile(r"chatcmpl-([0-9A-Za-z]{5})")
_RESPONSE = re.compile(r"resp_([67][0-9a-f]{7})")

# Seconds of 2025-01-10, 02-11, 03-01 and 05-20, UTC. Inside, answers of models that do not reason cost one
# token more than the rules give outside.
_SPELLS = ((1_736_467_200, 1_739_232_000), (1_740_787_200, 1_747_699_200))
# 2025-04-02: between the last recorded call with a preamble and the first without one.
_PREAMBLE_UNTIL = 1_743_552_000


def bills_closing_token(response_id: str | None) -> bool:
    made = made_at(response_id)
    return made is not None and any(start <= made < end for start, end in _SPELLS)


def had_preamble(response_id: str | None) -> bool:
    """Tell whether the Responses API, in its first weeks, put a text of its own before the call."""
    made = made_at(response_id)
    return made is not None and (response_id or "").startswith("resp_") and made < _PREAMBLE_UNTIL


def made_at(response_id: str | None) -> int | None:
    """Return the Unix second in an answer's id; ``None`` when the id has another form."""
    if match := _RESPONSE.match(response_id or ""):
        return int(match[1], 16)
    match = _CHAT.match(response_id or "")
    if not match:
        return None
    second = 0
    for digit in match[1]:
        second = second * 62 + _DIGITS.index(digit)
    return second + _COUNTED_FROM
