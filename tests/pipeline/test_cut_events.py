"""Every format, cut at every byte: a charge that says so or a reject, and who called whenever it was read."""

import json

import pytest

from chargeback.charge import Charge
from chargeback.journal.rows import Identity, Ignored, Part, Reject
from tests.pipeline.test_properties import rows_of
from tests.support.azure_bodies import Style
from tests.support.calls import FORMATS, Answer, Counts, Message
from tests.support.events import NOON
from tests.support.render import can_render, render
from tests.support.sample_calls import CALLERS, ROUTES, a_call

SHORT = Style(indent=False, filters=False, pieces=(30,))
CALL = a_call(
    CALLERS["claims"],
    ROUTES["mini"],
    NOON,
    3,
    usage=Counts(prompt=1_234, completion=567),
    messages=(Message(text='Päckchen? "👋"'),),
    answers=(Answer(text="Ja.\n"),),
)
STREAM = a_call(
    CALLERS["claims"],
    ROUTES["mini"],
    NOON,
    4,
    stream=True,
    usage_visible=False,
    messages=(Message(text="Hi"),),
    answers=(Answer(text="Hello there."),),
)
CASES = [
    pytest.param(call, form, id=f"{form} {name}")
    for form in FORMATS
    for name, call in (("counted", CALL), ("uncounted stream", STREAM))
    if can_render(call, form) and not (call.stream and form in ("F2", "v1-parts"))  # as F1
]
# Fields that name the caller -> what of the event tells them.
WHO = ("request_id", "subscription_id", "app_id", "response_id")


@pytest.mark.parametrize(("call", "form"), CASES)
def test_a_cut_is_never_taken_for_the_whole_and_never_loses_who_called(call, form):
    for body in render(call, form, SHORT):
        whole = [row for row in rows_of([body]) if isinstance(row, Charge)]
        for at in range(1, len(body)):
            rows = rows_of([body[:at]])
            charges = [row for row in rows if isinstance(row, Charge)]
            sides = [row for row in rows if isinstance(row, Part | Ignored | Identity)]
            rejected = any(isinstance(row, Reject) for row in rows)

            # Records that were whole before the cut are billed as they are; the one in it is rejected.
            assert rejected or all(charge.truncated for charge in charges), body[:at]
            assert charges or sides or rejected
            if whole and charges:
                _same_caller(body[:at], whole[0], charges[0])
                _never_more(whole[0], charges[0])


def _same_caller(seen: bytes, whole: Charge, cut: Charge) -> None:
    for name in WHO:
        value = getattr(whole, name)
        if value and not value.startswith("key-") and json.dumps(value).encode() in seen:
            assert getattr(cut, name) == value, (name, seen)
    if whole.subscription_key_id and b'"request"' in seen:
        assert cut.subscription_key_id == whole.subscription_key_id


def _never_more(whole: Charge, cut: Charge) -> None:
    """Half a number is no number: what a cut event reports was read to its end."""
    for name in ("prompt_tokens", "completion_tokens", "cached_tokens"):
        if cut.usage_source == "reported" and getattr(cut, name) is not None:
            assert getattr(cut, name) == getattr(whole, name)
