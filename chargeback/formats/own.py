"""v1, this project's own events: ``usage``, ``identity`` and ``part`` (docs/schemas/event-v1.json).

``usage`` carries the answer's usage block and no text. ``identity`` says who and where for calls whose
usage comes from elsewhere. ``part`` carries one base64 slice of a body; each part repeats the identity,
so that any of them alone tells whose call it was.
"""

import base64
from typing import Literal

from chargeback import usage as usage_blocks
from chargeback.capture import Capture, Piece
from chargeback.errors import RejectError
from chargeback.facts import Facts
from chargeback.formats.fields import Fields
from chargeback.formats.row import Read, Row
from chargeback.operations import account_in, effect, operation
from chargeback.privacy import Privacy
from chargeback.strangers import as_texts, kind

KINDS = ("usage", "identity", "part")
MOST_PARTS = 10_000
"""A body in slices of 100 KB stays below this by far; a larger number is a fault, not a body."""


def read_event(row: Row, fields: Fields, privacy: Privacy) -> Read:
    del row  # three shapes with one name; `read` tells them apart
    return (read(fields, privacy),)


def read(fields: Fields, privacy: Privacy) -> Capture:
    if fields.count("v") != 1:
        raise RejectError(
            "unknown_version", "expected `v` to be 1; this event needs a newer worker or is not ours"
        )
    event_kind = fields.text("kind")
    if event_kind not in KINDS:
        raise RejectError(
            "bad_field", f"`kind`: found {kind(fields.raw('kind'))}, expected one of {', '.join(KINDS)}"
        )
    facts = _facts(fields, privacy)
    if event_kind == "identity":
        return Capture(source_format="v1", kind="identity", facts=facts, truncated=fields.cut)
    if event_kind == "part":
        return Capture(source_format="v1", kind="part", facts=facts, piece=_piece(fields))
    block = fields.mapping("usage")
    return Capture(
        source_format="v1",
        facts=facts,
        usage=usage_blocks.from_block(block, facts.operation) if block else None,
        effect=effect(fields.text("operation")),
        background=fields.flag("background"),
        truncated=fields.cut,
    )


def _facts(fields: Fields, privacy: Privacy) -> Facts:
    backend = fields.text("backend")
    return Facts(
        occurred_at=fields.instant("time"),
        subscription_id=fields.text("subscription_id"),
        subscription_name=fields.text("subscription_name"),
        product=fields.text("product"),
        app_id=fields.text("app_id"),
        tenant_id=fields.text("tenant_id"),
        end_user_id=privacy.person(fields.text("end_user_id")),
        client_ip=privacy.person(fields.text("client_ip")),
        tags=privacy.kept_tags(fields.mapping("tags")),
        account=fields.text("account") or account_in(backend),
        deployment=fields.text("deployment"),
        model=fields.text("model"),
        operation=operation(fields.text("operation")),
        api_version=fields.text("api_version"),
        region=fields.text("region"),
        backend=backend,
        http_status=fields.count("status"),
        service_tier=fields.text("service_tier"),
        spillover_from=fields.text("spillover_from"),
        streamed=fields.flag("streamed"),
        request_id=fields.text("request_id"),
        response_id=fields.text("response_id"),
    )


def _piece(fields: Fields) -> Piece:
    if fields.text("request_id") is None:
        raise RejectError("bad_field", "`request_id`: a part without it cannot be joined to its call")
    body = _body(fields.text("body"))
    names = fields.whole("bodies")
    bodies = tuple(sorted({body, *(name for name in as_texts(names) if name in ("request", "response"))}))
    number, of = fields.count("part"), fields.count("parts")
    if number is None or of is None or not 0 <= number < of <= MOST_PARTS:
        raise RejectError("bad_field", f"`part` and `parts`: expected 0 <= part < parts <= {MOST_PARTS}")
    return Piece(body=body, bodies=bodies, number=number, of=of, data=_data(fields))


def _body(name: str | None) -> Literal["request", "response"]:
    if name == "request" or name == "response":  # noqa: PLR1714  two tests narrow the type, `in` does not
        return name
    raise RejectError("bad_field", "`body`: expected `request` or `response`")


def _data(fields: Fields) -> bytes:
    if fields.cut:
        raise RejectError(
            "cut_part", "the event was cut; a part that is not whole would corrupt the body it belongs to"
        )
    text = fields.raw("data")
    if not isinstance(text, str):
        raise RejectError("bad_field", f"`data`: found {kind(text)}, expected base64 text")
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:  # wrong padding or letters, also letters outside ASCII
        raise RejectError("bad_field", "`data`: not base64") from None


OWN = Row(
    name="v1",
    title="This project's own policy fragments: usage, identity and numbered body parts",
    needs=frozenset({"v", "kind", "request_id"}),
    when_cut=frozenset({"v", "kind"}),
    read=read_event,
    yields=(
        *(field for field in Facts.__struct_fields__ if field != "subscription_key_id"),
        "counts",
        "request body",
        "response body",
    ),
)
