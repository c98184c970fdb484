"""The edge where secrets and personal data end: what is kept of a key, a person, an address, a tag.

Format readers call this while they read, so that nothing behind them ever holds a clear value.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

Personal = Literal["off", "pseudonym", "full"]

KEY_ID_DIGITS = 32


class Privacy(Struct, frozen=True, kw_only=True):
    """The operator's choices. The secret never leaves this object and is not in its ``repr``."""

    secret: bytes | None = None
    secret_version: str | None = None
    personal: Personal = "off"
    tags: frozenset[str] = frozenset()
    """Names of tags that may be kept; any other is dropped."""

    def __repr__(self) -> str:
        return f"Privacy(secret={'set' if self.secret else 'none'}, personal={self.personal!r})"

    def key_id(self, key: str) -> str:
        """Return the pseudonym of a subscription key: 32 hex digits, after ``version-`` once rotated.

        Without a secret it is the plain SHA-256: API Management keys are 128 random bits, so nobody can
        try them all. A secret still matters where people choose their own keys.
        """
        digits = self._digest(key)
        return f"{self.secret_version}-{digits}" if self.secret_version else digits

    def person(self, value: str | None) -> str | None:
        """Return what may be kept of a client address or an end user's id."""
        if value is None or self.personal == "off":
            return None
        return value if self.personal == "full" else self._digest(value)

    def kept_tags(self, tags: Mapping[str, Any] | None) -> dict[str, str] | None:
        """Return the operator's allow-list of tags, as text."""
        if not tags or not self.tags:
            return None
        kept = {name: value for name, value in tags.items() if name in self.tags and isinstance(value, str)}
        return kept or None

    def _digest(self, value: str) -> str:
        clear = value.encode("utf-8", "replace")
        if self.secret is None:
            return hashlib.sha256(clear).hexdigest()[:KEY_ID_DIGITS]
        return hmac.new(self.secret, clear, hashlib.sha256).hexdigest()[:KEY_ID_DIGITS]


def parse_secret(setting: str | None) -> tuple[bytes | None, str | None]:
    """Split ``version:secret`` or a bare ``secret`` into (secret, version); empty is none."""
    if not setting:
        return None, None
    version, colon, secret = setting.partition(":")
    if colon and version.isalnum() and len(version) <= 8 and secret:
        return secret.encode(), version
    return setting.encode(), None
