"""``--expect``: compare charges with a file of expected ones, field by field."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from chargeback.charge import Charge
from chargeback.cli.rates import read_text
from chargeback.errors import UsageError


def differences(path: Path, charges: Sequence[Charge]) -> list[str]:
    """Return a line for every difference.

    The file has one JSON object a line, in the order of the charges. Each may name any fields; those it
    does not name are not compared.
    """
    expected = [
        _object(path, number, line)
        for number, line in enumerate(read_text(path).splitlines(), 1)
        if line.strip()
    ]
    found = [msgspec.to_builtins(charge) for charge in charges]
    lines = [
        f"charge {number} ({actual['charge_id']}): {name}: expected {_show(value)}, got {_show(actual.get(name))}"
        for number, (wanted, actual) in enumerate(zip(expected, found, strict=False), 1)
        for name, value in wanted.items()
        if actual.get(name) != value
    ]
    if len(expected) != len(found):
        lines.append(f"expected {len(expected)} charges, got {len(found)}")
    return lines


def _object(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise UsageError(f"{path}:{number}: expected one JSON object a line: {error}") from None


def _show(value: Any) -> str:
    return msgspec.json.encode(value).decode()
