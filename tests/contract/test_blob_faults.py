"""Real answers of blob storage, lost on the way back: nothing is written twice."""

from datetime import UTC, datetime

import pytest
from azure.core.exceptions import ServiceResponseError
from azure.core.pipeline.transport import RequestsTransport
from azure.storage.blob import ContainerClient

from chargeback.errors import RetryError
from chargeback.journal import blob
from chargeback.journal.rows import Ignored
from chargeback.ports import Entry, InDoubtError

pytestmark = pytest.mark.azurite
NOON = datetime(2026, 5, 24, 12, tzinfo=UTC)


class LosingTransport(RequestsTransport):
    """Sends every request, and loses the answers of the next ``lose`` writes."""

    lose = 0

    def send(self, request, **kwargs):
        answer = super().send(request, **kwargs)
        if request.method == "PUT" and self.lose > 0:
            self.lose -= 1
            raise ServiceResponseError("reset, https://account/?sig=SECRET")
        return answer


@pytest.fixture
def transport():
    return LosingTransport()


@pytest.fixture
def ledger(azurite_connection, blob_container, transport):
    losing = ContainerClient.from_connection_string(
        azurite_connection, blob_container.container_name, transport=transport, retry_total=0
    )
    with losing:
        yield blob.ledger(losing, writer="w1", now=lambda: NOON)


def entries(*positions):
    rows = {position: (Ignored(row_id=str(position), reason="metric"),) for position in positions}
    return [Entry(position=position, enqueued_at=None, rows=rows[position]) for position in positions]


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_lost_answer_to_an_append_is_found_in_the_tail(ledger, transport, lost):
    journal = ledger.journal("source/a")
    watermark = journal.append(entries(1), after=None, batch_id="b1")
    for position in (2, 3):
        transport.lose = lost
        watermark = journal.append(entries(position), after=watermark, batch_id=f"b{position}")

        assert watermark.batch_id == f"b{position}"
    assert [row.row_id for _, row in journal.read()] == ["1", "2", "3"]


@pytest.mark.parametrize("lost", range(1, 6))
def test_lost_answers_while_a_journal_begins(ledger, transport, lost):
    """Container, root, its end row, the first segment, the first append: whichever answer is lost."""
    ledger.put_once("container", b"")
    transport.lose = lost
    journal = ledger.journal("source/a")
    watermark = journal.append(entries(1, 2), after=None, batch_id="b1")

    assert watermark.last_seq == 2
    assert [row.row_id for _, row in journal.read()] == ["1", "2"]


def test_a_cursor_in_doubt_is_looked_up_again(ledger, transport):
    tag = ledger.cursors.save("source/a", b"1", None)
    transport.lose = 1

    with pytest.raises(InDoubtError) as raised:
        ledger.cursors.save("source/a", b"2", tag)
    assert "SECRET" not in str(raised.value)
    assert ledger.cursors.load("source/a")[0] == b"2"


def test_with_no_answer_at_all_the_batch_is_delivered_again(ledger, transport):
    journal = ledger.journal("source/a")
    watermark = journal.append(entries(1), after=None, batch_id="b1")

    def losing_before_it_is_sent(request, **kwargs):
        raise ServiceResponseError("reset")

    send, transport.send = transport.send, losing_before_it_is_sent
    with pytest.raises(RetryError):
        journal.append(entries(2), after=watermark, batch_id="b2")
    transport.send = send

    assert journal.append(entries(2), after=watermark, batch_id="b3").batch_id == "b3"
    assert [row.row_id for _, row in journal.read()] == ["1", "2"]
