"""A charge says of a call what its facts, usage and event said: field by field, none in another's place."""

from datetime import UTC, datetime
from decimal import Decimal

from chargeback.billing import bill
from chargeback.charge import Charge
from chargeback.event import Event, Stream
from chargeback.exchange import Exchange, Place
from chargeback.facts import FACT_FIELDS, Facts
from chargeback.usage import COUNTS, Usage

NOON = datetime(2026, 11, 18, 12, tzinfo=UTC)
STREAM = Stream("contoso", "usage", 1, "7")


def test_every_field_has_its_own_value():
    """Charges are made by place; a value in its neighbour's would still be a charge."""
    said = {name: f"the {name}" for name in FACT_FIELDS} | {
        "occurred_at": NOON,
        "tags": {"team": "blue"},
        "operation": "chat",
        "http_status": 200,
        "streamed": True,
    }
    counts = {name: 1000 + place for place, name in enumerate(COUNTS)}
    usage = Usage(source="gateway", notes=("a_note",), by_meter={"input_image": Decimal(4)}, **counts)
    event = Event(stream=STREAM, sequence_number=11, position=12, body=b"", enqueued_at=NOON)

    charge = bill(
        Exchange(source_format="F0", facts=Facts(**said), usage=usage), Place(event=event, index=3), None
    )

    told = {name: getattr(charge, name) for name in Charge.__struct_fields__}
    assert {name: told[name] for name in said} == said
    assert {name: told[name] for name in COUNTS} == counts
    assert (told["usage_source"], told["quantities"]) == ("gateway", {"input_image": 4})
    assert (told["namespace"], told["event_hub"], told["partition"]) == ("contoso", "usage", "7")
    assert (told["sequence_number"], told["index"], told["enqueued_at"]) == (11, 3, NOON)
    assert (told["rating"], told["rating_reason"], told["lines"]) == ("unpriced", "no_rate_table", ())
    assert (told["source_format"], told["truncated"], told["duplicate_of"]) == ("F0", False, None)
    assert told["row_id"] == "contoso/usage/1/7/11/3"
    nothing = ("cost_centre", "deployment_type", "prompt_cost", "completion_cost", "total_cost", "currency")
    assert [told[name] for name in nothing] == [None] * 6
