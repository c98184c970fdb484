"""Counts of texts that come again, without keeping the texts.

A chat resends its whole history with every turn, and an application the same tools with every
call. The key is a SHA-256 digest of the text (processors have instructions for it): nothing of a
customer stays in memory, and two texts with one digest are not going to be met (2**-128).
"""

from collections import OrderedDict
from hashlib import sha256
from threading import Lock


class CountCache:
    """At most ``entries`` counts, the oldest leave first. Safe to share by threads.

    A text that is still in use when it leaves is counted once more: that costs less than keeping the order of use
    with every look-up.

    An entry holds a digest, an encoding's name and an int, about 200 bytes, so ``entries``
    bounds the memory as well.
    """

    def __init__(self, entries: int) -> None:
        self._entries = entries
        self._counts: OrderedDict[tuple[bytes, str], int] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._counts)

    def get(self, key: tuple[bytes, str]) -> int | None:
        return self._counts.get(key)

    def put(self, key: tuple[bytes, str], count: int) -> None:
        with self._lock:
            self._counts[key] = count
            while len(self._counts) > self._entries:
                self._counts.popitem(last=False)


def key_of(text: str, encoding: str) -> tuple[bytes, str]:
    # JSON may carry lone surrogates, which plain UTF-8 refuses.
    data = text.encode() if text.isascii() else text.encode("utf-8", "surrogatepass")
    return sha256(data).digest(), encoding
