"""Write docs/schemas/charge.json and rates.json from the code: one charge as JSON, and the rate table for editors.

python scripts/schemas.py
"""

import inspect
import json
import sys
from pathlib import Path
from typing import Any

import msgspec

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from chargeback.charge import Charge
from chargeback.rates.json_schema import json_schema

SCHEMAS = ROOT / "docs" / "schemas"


def charge_schema() -> str:
    """Return the JSON Schema of a charge as the ledger, ``replay --format json`` and tests know it."""
    _, components = msgspec.json.schema_components([Charge], ref_template="#/$defs/{name}")
    charge: dict[str, Any] = components.pop("Charge")
    charge["description"] = inspect.cleandoc(charge["description"])
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Charge"}
    return json.dumps({**head, **charge, "$defs": components}, indent=2) + "\n"


if __name__ == "__main__":
    for name, text in (("charge.json", charge_schema()), ("rates.json", json_schema())):
        (SCHEMAS / name).write_text(text, "utf-8")
        print(f"docs/schemas/{name}: written")
