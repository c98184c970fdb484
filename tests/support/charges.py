"""Charges made by the pipeline itself, for tests that start behind it."""

from chargeback.charge import Charge
from chargeback.exchange import JoinState
from chargeback.pipeline import Context, process
from chargeback.rates.load import parse
from tests.support import oracle
from tests.support.events import NOON, events_of

CONTEXT = Context(table=parse(oracle.SAMPLE_RATES.read_text(), source="samples/rates.yaml"))


def rows_of(*bodies, first=0, context=CONTEXT, start=NOON):
    """Return the rows of bodies that wait for nothing."""
    outcome = process(events_of(bodies, first=first, start=start), JoinState(), context)
    return [row for entry in outcome.entries for row in entry.rows]


def charge_of(body, **told) -> Charge:
    """Return the one charge of a body."""
    [charge] = rows_of(body, **told)
    return charge
