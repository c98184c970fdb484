"""What a picture costs, from the size in the first bytes of its data URL; pixels are never decoded."""

import binascii
import math
from collections.abc import Callable, Mapping

from chargeback.tokens.models import Patches, Pictures, Tiles

Size = tuple[int, int]

HEAD_CHARACTERS = 4 * 64 * 1024
"""Base64 read at most. A JPEG's size may stand behind a large colour profile or thumbnail."""

WIDEST = 1_000_000
"""Pixels a side. More is a forged header, not a picture the service would have taken."""


def picture_tokens(url: str, detail: str, pictures: Pictures) -> int | None:
    """Return the tokens of an inline picture; ``None`` when its size or the model's rule is unknown."""
    size = size_of(url)
    if size is None or pictures is None:
        return None
    width, height = size
    if isinstance(pictures, Tiles):
        return _tiles(width, height, detail, pictures)
    return _patches(width, height, pictures)


def size_of(url: str) -> Size | None:
    head, comma, encoded = url[: HEAD_CHARACTERS + 200].partition(",")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        return None
    content = _decoded(encoded[:HEAD_CHARACTERS])
    for magic, read in _READERS.items():
        if content.startswith(magic):
            size = read(content)
            return size if size and all(0 < side <= WIDEST for side in size) else None
    return None


def _decoded(encoded: str) -> bytes:
    whole = len(encoded) - len(encoded) % 4
    try:
        return binascii.a2b_base64(encoded[:whole])
    except ValueError:
        return b""


def _png(content: bytes) -> Size | None:
    # The IHDR chunk is always first: length, "IHDR", width, height.
    if len(content) < 24:
        return None
    return int.from_bytes(content[16:20]), int.from_bytes(content[20:24])


def _gif(content: bytes) -> Size | None:
    if len(content) < 10:
        return None
    return int.from_bytes(content[6:8], "little"), int.from_bytes(content[8:10], "little")


def _jpeg(content: bytes) -> Size | None:
    """Walk the segments to the first start of frame: FF C0 to FF CF without C4, C8 and CC."""
    at = 2
    while at + 9 <= len(content):
        if content[at] != 0xFF:
            return None
        marker = content[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = int.from_bytes(content[at + 5 : at + 7]), int.from_bytes(content[at + 7 : at + 9])
            return width, height
        else:
            at += 2 + max(2, int.from_bytes(content[at + 2 : at + 4]))
    return None


def _webp(content: bytes) -> Size | None:
    if len(content) < 30 or content[8:12] != b"WEBP":
        return None
    kind = content[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(content[24:27], "little"), 1 + int.from_bytes(content[27:30], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(content[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        return int.from_bytes(content[26:28], "little") & 0x3FFF, int.from_bytes(
            content[28:30], "little"
        ) & 0x3FFF
    return None


_READERS: Mapping[bytes, Callable[[bytes], Size | None]] = {
    b"\x89PNG\r\n\x1a\n": _png,
    b"\xff\xd8": _jpeg,
    b"GIF8": _gif,
    b"RIFF": _webp,
}


def _tiles(width: float, height: float, detail: str, price: Tiles) -> int:
    """Fit into 2048 x 2048, then the shorter side into 768, then count squares of 512."""
    if detail == "low":
        return price.base
    scale = min(1.0, 2048 / max(width, height))
    scale = min(scale, 768 / min(width, height))
    # Rounded first: 768.0000001 is three quarters of two squares, not a sliver of a third.
    across, down = (math.ceil(round(side * scale, 6) / 512) for side in (width, height))
    return price.base + price.tile * across * down


def _patches(width: float, height: float, price: Patches) -> int:
    """Count squares of 32; above the limit the picture is shrunk until they fit."""
    count = math.ceil(width / 32) * math.ceil(height / 32)
    if count > price.limit:
        scale = math.sqrt(32 * 32 * price.limit / (width * height))
        across, down = width * scale / 32, height * scale / 32
        scale *= min(max(1, math.floor(across)) / across, max(1, math.floor(down)) / down)
        count = min(price.limit, math.ceil(width * scale / 32) * math.ceil(height * scale / 32))
    return math.ceil(count * price.factor) + price.extra
