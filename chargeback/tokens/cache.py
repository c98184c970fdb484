"""Counts of texts that come again, without keeping the texts.

A chat resends its whole history with every turn, and an application the same tools with every
call. The key is a BLAKE2b digest of the text: nothing of a customer stays in memory,
and two texts with one digest are not going to be met (2**-128).
"""

from collections import OrderedDict
from hashlib import blake2b
from threading import Lock

DIGEST_BYTES = 32


class CountCache:
    """At most ``entries`` counts, the least recently used leave first. Safe to share by threads.

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
        with self._lock:
            count = self._counts.get(key)
            if count is not None:
                self._counts.move_to_end(key)
            return count

    def put(self, key: tuple[bytes, str], count: int) -> None:
        with self._lock:
            self._counts[key] = count
            self._counts.move_to_end(key)
            while len(self._counts) > self._entries:
                self._counts.popitem(last=False)


def key_of(text: str, encoding: str) -> tuple[bytes, str]:
    # JSON may carry lone surrogates, which plain UTF-8 refuses.
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES).digest(), encoding
