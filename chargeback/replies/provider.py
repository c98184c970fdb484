"""Whose service answered, as far as the answer's shape tells.

API Management can front Azure's models or OpenAI's, and their token counts differ by one here and there.
In recordings of 2024 to 2026 each of Azure's answers carries a filter's verdict, empty where nothing was
filtered, and none of OpenAI's does. A filter can be switched off, so this alone does not make an answer
OpenAI's: a service tier must be named too, as OpenAI does since 2025, or the answer be older.
"""

import re
from typing import Any

import msgspec

from chargeback.salvage import Decoded

# As members' names: inside a text of the answer their quotes would be escaped.
_VERDICT = re.compile(r'"(?:content_filter_results?|content_filters|prompt_filter_results)"\s*:')
_TIER = re.compile(r'"service_tier"\s*:')
_MADE = re.compile(r'"created(?:_at)?"\s*:\s*(\d{10})\b')
_TIER_SINCE = 1_748_736_000  # 2025-06-01 UTC; one of the recorded OpenAI answers since then names none


def is_azure(body: Any) -> bool:
    """Tell whose counts to expect of an answer: text, stream or decoded JSON. Azure's if nothing tells."""
    value = body.value if isinstance(body, Decoded) else body
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    if _VERDICT.search(text):
        return True
    made = _MADE.search(text)
    return not (_TIER.search(text) or (made and int(made[1]) < _TIER_SINCE))
