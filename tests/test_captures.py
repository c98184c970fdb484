"""Golden captures: the charges of every captured file are those a person has read."""

import re
from decimal import Decimal

import pytest

from tests.support.golden import cases, charges, expectation


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_the_charges_are_those_that_were_read_and_agreed(case):
    file = expectation(case)

    assert file.exists(), f"no {file.name}: run `make captures`, read it, commit it"
    assert charges(case) == file.read_text("utf-8")


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_every_line_of_a_golden_file_multiplies_out(case):
    """Price x quantity / per, once more from the text: a golden file cannot hide a wrong product."""
    text = expectation(case).read_text("utf-8")
    lines = re.findall(r"^  \w+ ([\d.]+) x ([\d.]+) / (\d+) = ([\d.]+)$", text, re.MULTILINE)

    for quantity, price, per, cost in lines:
        assert Decimal(quantity) * Decimal(price) == Decimal(cost) * Decimal(per)
    costs = [Decimal(cost) for *_, cost in lines]
    total = re.search(r"^total ([\d.]+) in", text, re.MULTILINE)[1]
    assert sum(costs) == Decimal(total)
