"""Charges as text that a person can check with a pencil: what was used, at what price, from which row."""

from collections.abc import Iterable, Iterator

from chargeback.charge import Charge
from chargeback.journal.rows import BillingRow, Ignored, Reject
from chargeback.journal.winner import Call, calls


def readable(rows: Iterable[BillingRow]) -> str:
    """Return one block a call, then the rejects and what was ignored, then the totals."""
    rows = list(rows)
    found = list(calls(rows))
    blocks = ["\n".join(_block(call)) for call in found]
    rejects = [
        f"rejected {row.row_id.split('/', 2)[2]}: {row.reason}" for row in rows if isinstance(row, Reject)
    ]
    ignored = [f"ignored: {row.reason}" for row in rows if isinstance(row, Ignored)]
    total = sum(call.charge.total_cost or 0 for call in found)
    return "\n\n".join([*blocks, *rejects, *ignored, f"total {total:f} in {len(found)} calls"]) + "\n"


def _block(call: Call) -> Iterator[str]:
    charge = call.charge
    when = (
        charge.occurred_at.isoformat().replace("+00:00", "Z") if charge.occurred_at else "at an unknown time"
    )
    yield f"{when} {charge.source_format} {charge.operation} {_or(charge.model)} {'streamed' if charge.streamed else ''}".rstrip()
    yield f"  for {_or(charge.subscription_id)} / {_or(charge.app_id)} / {_or(charge.deployment)}, pays {_or(charge.cost_centre)}"
    yield f"  {charge.usage_source} {_or(charge.prompt_tokens)} + {_or(charge.completion_tokens)} tokens{_details(charge)}"
    if charge.usage_notes:
        yield f"  notes {', '.join(charge.usage_notes)}"
    for line in charge.lines:
        yield f"  {line.meter} {line.quantity:f} x {line.price} / {line.per} = {line.cost:f}"
    yield f"  {charge.rating}{f' ({charge.rating_reason})' if charge.rating_reason else ''}{_money(charge)}{_marks(call)}"


def _details(charge: Charge) -> str:
    inside = {"cached": charge.cached_tokens, "reasoning": charge.reasoning_tokens}
    told = ", ".join(f"{name} {value}" for name, value in inside.items() if value)
    return f" ({told})" if told else ""


def _money(charge: Charge) -> str:
    return "" if charge.total_cost is None else f" {charge.currency} {charge.total_cost:f}"


def _marks(call: Call) -> str:
    marks = {
        "truncated": call.charge.truncated,
        "conflict": call.conflict,
        f"{call.rows} rows": call.rows > 1,
    }
    told = ", ".join(mark for mark, is_set in marks.items() if is_set)
    return f", {told}" if told else ""


def _or(value: object) -> str:
    return "?" if value is None else str(value)
