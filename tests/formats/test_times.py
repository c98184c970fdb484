"""The three shapes of time that policies write."""

from datetime import UTC, datetime

import pytest

from chargeback.formats.times import instant


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-18T09:14:27.4183092Z", datetime(2026, 11, 18, 9, 14, 27, 418309, UTC)),
        ("2026-11-18T09:14:27.41Z", datetime(2026, 11, 18, 9, 14, 27, 410000, UTC)),
        ("2026-11-18T09:14:27Z", datetime(2026, 11, 18, 9, 14, 27, 0, UTC)),
        ("2026-11-18T10:14:27+01:00", datetime(2026, 11, 18, 9, 14, 27, 0, UTC)),
        ("2026-11-18T09:14:27.418309", datetime(2026, 11, 18, 9, 14, 27, 418309, UTC)),
        ("5/24/2024 2:45:56 PM", datetime(2024, 5, 24, 14, 45, 56, 0, UTC)),
        ("11/18/2026 9:14:27\u202fAM", datetime(2026, 11, 18, 9, 14, 27, 0, UTC)),
        ("1/02/2026 3:04:05 PM", datetime(2026, 1, 2, 15, 4, 5, 0, UTC)),
        ("11/18/2026 12:05:00 AM", datetime(2026, 11, 18, 0, 5, 0, 0, UTC)),
        ("11/18/2026 12:05:00 PM", datetime(2026, 11, 18, 12, 5, 0, 0, UTC)),
        ("05/24/2024 14:45:56", datetime(2024, 5, 24, 14, 45, 56, 0, UTC)),
    ],
)
def test_each_shape_means_utc(text, expected):
    assert instant(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "18/11/2026 09:14:27",
        "13/13/2026 1:00:00 PM",
        "11/18/2026 13:00:00 PM",
        "",
        "NA",
        "yesterday",
        "2026-13-01T00:00:00Z",
    ],
)
def test_what_is_none_of_them_is_unknown_and_not_guessed(text):
    assert instant(text) is None
