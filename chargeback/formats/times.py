"""The three shapes of time that gateway policies write, as aware UTC.

ISO 8601 with zone and up to seven digits; ISO without zone (Python's ``utcnow``); and .NET's general format
in US or invariant culture, ``5/24/2024 2:45:56 PM`` or ``05/24/2024 14:45:56``. All mean UTC.
"""

import re
from datetime import UTC, datetime
from functools import lru_cache

# Newer .NET writes a narrow no-break space before AM and PM: \s takes it in.
_GENERAL = re.compile(
    r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4})\s+([0-9]{1,2}):([0-9]{2}):([0-9]{2})(?:\s*([AaPp])\.?[Mm]\.?)?"
)
_ISO_START = re.compile(r"\d{4}-\d{2}-\d{2}[T ]")
# More than six digits of a second do not fit a datetime; the gateway writes seven.
_EXTRA_DIGITS = re.compile(r"(\.\d{6})\d+")


LONGEST = 60
"""Characters; what is longer is no time of any gateway."""


def instant(text: str) -> datetime | None:
    """Return the time, or None when the text is none of the three shapes or not a month/day order."""
    text = text.strip()
    return _read(text) if len(text) <= LONGEST else None


@lru_cache(maxsize=1024)  # most policies write whole seconds, and a busy hub has many events in each
def _read(text: str) -> datetime | None:
    try:
        if _ISO_START.match(text):
            return _iso(text)
        match = _GENERAL.fullmatch(text)
        return _general(match) if match else None
    except (ValueError, OverflowError):
        return None


def _iso(text: str) -> datetime:
    parsed = datetime.fromisoformat(_EXTRA_DIGITS.sub(r"\1", text))
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)


def _general(match: re.Match[str]) -> datetime:
    month, day, year, hour, minute, second = (int(group) for group in match.groups()[:6])
    if match[7]:
        if not 1 <= hour <= 12:
            raise ValueError("an hour with AM or PM lies between 1 and 12")
        hour = hour % 12 + (12 if match[7] in "Pp" else 0)
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
