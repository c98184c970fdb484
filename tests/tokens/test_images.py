"""Pictures: the size comes from the first bytes, the price from the model."""

import base64
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargeback.tokens import prompt_tokens
from chargeback.tokens.images import picture_tokens, size_of
from chargeback.tokens.models import model_of


def png(width, height):
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height) + b"\x08\x06\0\0\0"


def jpeg(width, height, before=b""):
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 17, 8, height, width, 3) + b"\0" * 9
    return b"\xff\xd8" + before + frame


def gif(width, height):
    return b"GIF89a" + struct.pack("<HH", width, height)


def webp(width, height):
    chunk = b"VP8X" + struct.pack("<I", 10) + b"\0" * 4
    return (
        b"RIFF\0\0\0\0WEBP" + chunk + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    )


def url(content, kind="image/png"):
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


@pytest.mark.parametrize(
    "content",
    [
        png(640, 480),
        jpeg(640, 480),
        jpeg(640, 480, before=b"\xff\xe1" + struct.pack(">H", 20_000) + b"\0" * 19_998),
        gif(640, 480),
        webp(640, 480),
    ],
    ids=["png", "jpeg", "jpeg behind a thumbnail", "gif", "webp"],
)
def test_the_header_tells_the_size(content):
    assert size_of(url(content)) == (640, 480)


@pytest.mark.parametrize(
    "broken",
    [
        "https://example.com/a.png",
        "data:image/png,not base64",
        "data:image/png;base64,",
        "data:image/png;base64,%%%%",
        "data:image/png;base64," + "é" * 100,
        url(png(640, 480)[:20]),
        url(png(0, 480)),
        url(png(4_000_000_000, 480)),
        url(b"\xff\xd8" + b"\xff\xe1\0\0" * 1_000),
        url(b"\xff\xd8" + b"\xff" * 100_000),
        url(b"%PDF-1.7"),
    ],
)
def test_a_picture_without_a_believable_size_has_none(broken):
    assert size_of(broken) is None


@given(st.binary(max_size=200), st.sampled_from([b"\x89PNG\r\n\x1a\n", b"\xff\xd8", b"GIF8", b"RIFF", b""]))
def test_no_bytes_raise(content, magic):
    size = size_of(url(magic + content))

    assert size is None or all(side > 0 for side in size)


@pytest.mark.parametrize(
    ("model", "size", "detail", "tokens"),
    [
        ("gpt-4o", (640, 480), "", 425),
        ("gpt-4o", (640, 480), "low", 85),
        ("gpt-4o", (3008, 2000), "high", 1105),
        ("gpt-4o-mini", (640, 480), "", 14_167),
        ("gpt-5", (640, 480), "", 350),
        ("gpt-4.1-mini", (640, 480), "", 488),  # 300 x 1.62 is a hair above 486 in floats; billed so
        ("gpt-5-mini", (640, 480), "", 361),
        ("gpt-5-nano", (640, 480), "", 451),
        ("o4-mini", (640, 480), "", 517),
        ("gpt-5.5", (1245, 1395), "", 2060),
        ("gpt-4o", (100_000, 1), "", 85 + 170 * 4),
        ("gpt-5-mini", (100_000, 1), "", 1845),
    ],
)
def test_prices(model, size, detail, tokens):
    assert picture_tokens(url(png(*size)), detail, model_of(model).pictures) == tokens


def ask(part, model="gpt-4o"):
    return prompt_tokens("chat", {"messages": [{"role": "user", "content": [part]}]}, model)


@pytest.mark.parametrize(
    ("part", "note"),
    [
        ({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}, "remote_image"),
        ({"type": "input_image", "file_id": "file-1"}, "remote_image"),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}, "unreadable_image"),
        ({"type": "file", "file": {"file_id": "file-1"}}, "file"),
        ({"type": "input_audio", "input_audio": {"data": "AAAA"}}, "audio"),
        ({"type": "hologram"}, "unknown_part"),
    ],
)
def test_what_cannot_be_counted_is_noted_and_costs_nothing(part, note):
    estimate = ask(part)

    assert note in estimate.notes
    assert estimate.tokens == ask({"type": "text", "text": ""}).tokens


def test_an_inline_picture_is_added_to_its_message():
    picture = {"type": "image_url", "image_url": {"url": url(png(640, 480))}}

    assert ask(picture).tokens - ask({"type": "text", "text": ""}).tokens == 425
    assert ask(picture).notes == ("counted_images", "counted_text")
