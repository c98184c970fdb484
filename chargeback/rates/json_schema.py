"""The JSON Schema of a rate table, for editors that complete and check YAML; made from ``schema``."""

import json

from chargeback.rates.schema import RateFile

TITLE = "Rate table of azure-openai-chargeback"


def json_schema() -> str:
    """Return the schema as text, the same for the same models."""
    made = RateFile.model_json_schema(by_alias=True)
    made = {"$schema": "https://json-schema.org/draft/2020-12/schema", **made, "title": TITLE}
    return json.dumps(made, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
