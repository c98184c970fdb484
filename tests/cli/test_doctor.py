"""Every line of the doctor, on the right and on the wrong side."""

import time
from datetime import timedelta

import pytest

from chargeback import wiring
from chargeback.cli import checkups, doctor
from chargeback.cli.checkups import AdviceError, Patient, SkippedError, TroubleError, asking, machine
from chargeback.errors import UsageError
from chargeback.settings import Settings
from chargeback.sources import event_hub
from chargeback.wiring import hub_of, now, open_ledger
from tests.support import oracle
from tests.support.broker import Broker
from tests.support.ingestion import IngestionEndpoint

HUB = "usage"
NOWHERE = "http://127.0.0.1:9"


def patient(tmp_path, **told):
    told = {
        "CHARGEBACK_LEDGER": str(tmp_path / "ledger"),
        "CHARGEBACK_RATES": str(oracle.SAMPLE_RATES),
        **told,
    }
    return Patient(Settings(**told))


def check(name, of):
    return checkups.CHECKS[name](of)


def insights(url):
    key = "InstrumentationKey=00000000-0000-0000-0000-000000000001"
    return {"APPLICATIONINSIGHTS_CONNECTION_STRING": f"{key};IngestionEndpoint={url}/"}


@pytest.fixture
def broker():
    with Broker({HUB: 2}, groups=("$Default", "other")) as running:
        yield running


def on_hub(broker, tmp_path, **more):
    told = {"EVENT_HUB_CONNECTION": broker.connection_string(), "EVENT_HUB_NAME": HUB, **more}
    return patient(tmp_path, **told)


def test_a_rate_table_may_be_good_old_broken_or_missing(tmp_path):
    table = tmp_path / "rates.yaml"
    table.write_text(oracle.SAMPLE_RATES.read_text())
    assert "version sample" in check("rate table", patient(tmp_path, CHARGEBACK_RATES=str(table)))

    table.write_text(table.read_text().replace("\npolicy:\n", "\npolicy:\n  stale_after_days: 1\n"))
    with pytest.raises(AdviceError, match="chargeback rates import"):
        check("rate table", patient(tmp_path, CHARGEBACK_RATES=str(table)))

    table.write_text("rates: 7")
    with pytest.raises(Exception, match="correct all of them"):
        check("rate table", patient(tmp_path, CHARGEBACK_RATES=str(table)))
    with pytest.raises(UsageError, match="set CHARGEBACK_RATES"):
        check("rate table", patient(tmp_path, CHARGEBACK_RATES=""))


STORAGE = "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=a2V5;BlobEndpoint=http://127.0.0.1:9/a"


@pytest.mark.parametrize(
    ("named", "is_folder", "both"),
    [
        ("ledger", True, True),
        ("./ledger", True, False),
        ("container:ledger", False, False),
        ("other", False, False),
    ],
)
def test_a_ledger_that_may_be_folder_or_container_is_told(named, is_folder, both, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ledger").mkdir()
    with_storage = Settings(CHARGEBACK_LEDGER=named, AzureWebJobsStorage=STORAGE)
    without = Settings(CHARGEBACK_LEDGER=named)

    assert wiring.is_folder(named) is is_folder
    assert wiring.may_be_both(named, with_storage) is both
    assert not wiring.may_be_both(named, without)
    if both:
        with pytest.raises(
            AdviceError, match=r"\./ledger for the folder, to container:ledger for the container"
        ):
            check("storage", Patient(with_storage))
    if is_folder:
        assert "can be written" in check("storage", Patient(without))


def test_the_same_container_by_either_name(tmp_path, monkeypatch):
    from chargeback.journal import blob

    opened = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(blob, "ledger", lambda client, **_: opened.append(client.container_name))
    for named in ("container:ledger", "ledger"):
        open_ledger(named, Settings(AzureWebJobsStorage=STORAGE))

    assert opened == ["ledger", "ledger"]


def test_a_setting_nobody_reads_is_told_with_the_one_that_may_be_meant(monkeypatch):
    for name in ("CHARGEBACK_AZURITE", "CHARGEBACK_REQUIRE_WORKER", "CHARGEBACK_LEDGER"):
        monkeypatch.setenv(name, "x")
    assert doctor.strangers(Settings()) == ""

    monkeypatch.setenv("CHARGEBACK_LEGDER", "x")
    assert "CHARGEBACK_LEGDER (did you mean CHARGEBACK_LEDGER?)" in doctor.strangers(Settings())


@pytest.mark.parametrize(("off_s", "told"), [(3600, "ahead of"), (-3600, "behind")])
def test_the_clock_is_compared_with_a_server_of_the_settings(off_s, told, tmp_path, monkeypatch):
    with IngestionEndpoint() as endpoint:
        of = patient(tmp_path, **insights(endpoint.url))
        assert "within 60 s of" in check("clock", of)

        monkeypatch.setattr(machine, "now", lambda: now() + timedelta(seconds=off_s))
        with pytest.raises(TroubleError, match=rf"this clock is 3[56]\d\d s {told} .*NTP"):
            check("clock", of)


def test_without_a_server_the_clock_is_not_judged(tmp_path):
    with pytest.raises(SkippedError, match="tells the time"):
        check("clock", patient(tmp_path, **insights(NOWHERE)))


def test_an_extra_that_is_asked_for_and_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_is_there", lambda _: False)

    assert "`consume` also needs [consumer]" in check("python", patient(tmp_path))
    with pytest.raises(TroubleError, match=r"azure-openai-chargeback\[opencensus\]"):
        check("python", patient(tmp_path, CHARGEBACK_TELEMETRY="opencensus"))


def test_the_consumer_group_is_asked_for(broker, tmp_path, monkeypatch):
    assert "consumer group nobodys (not asked" in check(
        "hub", on_hub(broker, tmp_path, EVENT_HUB_CONSUMER_GROUP="nobodys")
    )
    broker.put(HUB, 1, [b"{}"])
    other = on_hub(broker, tmp_path, EVENT_HUB_CONSUMER_GROUP="other")
    nobodys = on_hub(broker, tmp_path, EVENT_HUB_CONSUMER_GROUP="nobodys")

    assert "2 partitions, consumer group other" in check("hub", other)
    monkeypatch.setattr(asking, "LISTEN_S", 1)
    with pytest.raises(TroubleError, match="nothing to the consumer group 'nobodys'; create it"):
        check("hub", nobodys)
    with pytest.raises(SkippedError, match="see `hub`"):
        check("gateway", nobodys)


@pytest.fixture
def trusted(monkeypatch):
    """The consumer group is not asked for: that takes seconds and has a test of its own."""

    async def yes(*_):
        return True

    monkeypatch.setattr(asking, "_answers", yes)


@pytest.mark.usefixtures("trusted")
def test_a_gateway_may_be_new_alive_or_silent(broker, tmp_path):
    with pytest.raises(AdviceError, match="no event has come"):
        check("gateway", on_hub(broker, tmp_path))
    broker.put(HUB, 0, [b"{}"], now_ms=int((time.time() - 30 * 3600) * 1000))
    with pytest.raises(AdviceError, match="silent for 30 h"):
        check("gateway", on_hub(broker, tmp_path))
    broker.put(HUB, 1, [b"{}"])
    assert "newest event came" in check("gateway", on_hub(broker, tmp_path))


@pytest.mark.usefixtures("trusted")
def test_lag_is_what_the_journals_have_not_of_the_hub(broker, tmp_path):
    broker.put(HUB, 0, [b"{}"] * 5, now_ms=int((time.time() - 3600) * 1000))
    of = on_hub(broker, tmp_path)
    assert check("lag", of) == "5 events wait to be billed"

    committed(of, through=4)
    assert check("lag", of) == "everything in the hub is billed"

    broker.put(HUB, 0, [b"{}"] * 3)
    with pytest.raises(AdviceError, match=r"3 events wait, up to \d\d min"):
        check("lag", on_hub(broker, tmp_path))

    broker.call(lambda: broker.hubs[HUB].partitions[0].drop_head(7))
    with pytest.raises(TroubleError, match="events 5 to 6 left the hub before"):
        check("lag", on_hub(broker, tmp_path))


def committed(of, through):
    """Bill the events of partition 0 as the worker does, up to a number."""
    from chargeback.journal.rows import Ignored
    from chargeback.ports import Entry

    stream = event_hub.stream_of(hub_of(of.settings), 1, "0")
    at = now() - timedelta(hours=1)
    entries = [
        Entry(position=n, enqueued_at=at, rows=(Ignored(row_id=f"{stream}/{n}/0", reason="not_usage"),))
        for n in range(through + 1)
    ]
    open_ledger(None, of.settings).journal(f"stream/{stream}").append(entries, after=None, batch_id="test")
