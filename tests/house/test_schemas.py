"""Published schemas are those of the code, and real charges satisfy them."""

import json
import runpy
from pathlib import Path

import jsonschema
import pytest

from chargeback.journal.rows import encode
from tests.support.charges import rows_of
from tests.support.render import can_render, render
from tests.support.sample_calls import sample_calls

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "docs" / "schemas" / "charge.json"


def test_the_charge_schema_is_fresh():
    written = runpy.run_path(str(ROOT / "scripts" / "schemas.py"))["charge_schema"]()

    assert SCHEMA.read_text("utf-8") == written, "run `python scripts/schemas.py`"


@pytest.mark.parametrize("form", ["v1", "F1", "F4"])
def test_charges_satisfy_it(form):
    check = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text("utf-8"))).validate
    bodies = [
        render(call, form)[0] for call in sample_calls() if call.subscription_key and can_render(call, form)
    ]
    rows = [row for row in rows_of(*bodies) if type(row).__name__ == "Charge"]

    assert rows
    for row in rows:
        check(json.loads(encode(row)))
