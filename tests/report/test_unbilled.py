"""Calls known only by an ``identity`` event are an open question until their usage comes."""

from datetime import timedelta

from chargeback.facts import Facts
from chargeback.journal.rows import Identity
from chargeback.report import unbilled
from chargeback.report.page.content import questions
from chargeback.report.span import EVER, month
from tests.money.books import NOON, a_charge, append, books_at, ledger_at


def named(charge_id, at=NOON):
    facts = Facts(occurred_at=at, subscription_id="sub-shop", deployment="chat")
    return Identity(
        charge_id=charge_id, row_id=f"named/{charge_id}", source_format="v1", rank="3" + "0" * 31, facts=facts
    )


def test_a_call_without_usage_is_a_question_until_its_usage_comes(tmp_path):
    ledger, charge = ledger_at(tmp_path), a_charge(1)
    append(ledger, [a_charge(2), named(charge.charge_id), named("f" * 32, NOON - timedelta(days=60))])
    with books_at(ledger, tmp_path) as books:
        assert (unbilled.count(books, EVER), unbilled.count(books, month("2026-11"))) == (2, 1)
        [question] = [
            each for each in questions(books, month("2026-11")) if each.what == "calls without usage"
        ]
        assert question.count == 1

        assert unbilled.write(tmp_path / "list.csv", books, EVER) == 2
        lines = (tmp_path / "list.csv").read_text().splitlines()
        assert lines[1].startswith("f" * 32)
        assert charge.charge_id in lines[2]

    append(ledger, [charge])
    with books_at(ledger, tmp_path) as books:
        assert unbilled.count(books, EVER) == 1
