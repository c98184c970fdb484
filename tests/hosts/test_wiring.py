"""Settings to storage: every form of naming it, files and blobs alike, and faults in one line without secrets."""

import json
import subprocess
from pathlib import Path

import pytest
from pydantic import SecretStr

from chargeback.errors import UsageError
from chargeback.journal import blob
from chargeback.settings import Settings, StorageAccess
from chargeback.sources import capture_files
from chargeback.wiring import container_of, fetched, open_ledger, rates_of
from tests.support import azurite, oracle

KEY = azurite.KEY


@pytest.mark.parametrize(
    ("told", "url"),
    [
        ({"P__blobServiceUri": "https://a.blob.core.windows.net"}, "https://a.blob.core.windows.net"),
        ({"P__accountName": "acct"}, "https://acct.blob.core.windows.net"),
        ({}, None),
    ],
)
def test_an_identity_names_the_account_by_url_or_name(told, url):
    access = StorageAccess.named("P", {**told, "P__credential": "managedidentity", "P__clientId": "c"})

    assert (access.url, access.credential, access.client_id) == (url, "managedidentity", "c")
    assert access.is_known is (url is not None)


def test_another_prefix_may_hold_the_ledger(monkeypatch):
    monkeypatch.setenv("AzureWebJobsStorage", "functions' own")
    monkeypatch.setenv("CHARGEBACK_STORAGE", "LEDGER_STORAGE")
    monkeypatch.setenv("LEDGER_STORAGE", f"AccountKey={KEY}")

    access = Settings.load().storage_access

    assert access.setting == "LEDGER_STORAGE"
    assert access.connection == SecretStr(f"AccountKey={KEY}")
    assert KEY not in repr(access)


def test_a_broken_connection_string_is_named_and_not_repeated(monkeypatch):
    monkeypatch.setenv("AzureWebJobsStorage", f"AccountKey {KEY}")

    with pytest.raises(UsageError) as raised:
        open_ledger("ledger-container", Settings.load())
    assert KEY not in str(raised.value)


@pytest.mark.parametrize("where", ["Not_A_Container", "a--b", "ab"])
def test_what_is_neither_folder_nor_container_is_refused(where, monkeypatch):
    monkeypatch.setenv("AzureWebJobsStorage", "UseDevelopmentStorage=true")

    with pytest.raises(UsageError, match="expected a folder"):
        open_ledger(where, Settings.load())


def test_a_container_without_storage_says_what_to_set():
    with pytest.raises(UsageError, match="AzureWebJobsStorage__blobServiceUri"):
        container_of(StorageAccess(setting="AzureWebJobsStorage"), "ledger")


@pytest.fixture
def filled(storage, monkeypatch):
    """A container with a rate table and a file of captured events; yields its URL."""
    monkeypatch.setenv("AzureWebJobsStorage", storage)
    with blob.by_connection_string(storage, "things") as client:
        objects = blob.BlobObjects(blob.Container(client))
        objects.put("tables/rates.yaml", oracle.SAMPLE_RATES.read_bytes())
        for number in (1, 2):
            objects.put(f"captured/day-{number}/events.jsonl", json.dumps({"n": number}).encode() + b"\n")
        yield str(client.url)


@pytest.mark.azurite
def test_rates_come_from_a_blobs_url_or_its_container_and_path(filled, monkeypatch):
    for where in (f"{filled}/tables/rates.yaml", "things/tables/rates.yaml"):
        monkeypatch.setenv("CHARGEBACK_RATES", where)
        read, source = rates_of(Settings.load())

        assert read() == oracle.SAMPLE_RATES.read_text("utf-8")
        assert source.endswith("things/tables/rates.yaml")
    monkeypatch.setenv("CHARGEBACK_RATES", "things/tables/none.yaml")
    read, _ = rates_of(Settings.load())
    with pytest.raises(UsageError, match="no such blob"):
        read()


@pytest.mark.azurite
def test_captured_events_come_from_blobs_by_url(filled):
    with fetched([Path(f"{filled}/captured")], Settings.load()) as files:
        bodies = [event.body for event in capture_files.read(capture_files.find(files))]

    assert bodies == [b'{"n": 1}', b'{"n": 2}']
    assert not files[0].exists(), "the copies are gone"
    with pytest.raises(UsageError, match="none below it"), fetched([Path(f"{filled}/no")], Settings.load()):
        pass


@pytest.mark.azurite
def test_azurite_needs_no_switch_for_our_requests(tmp_path):
    """The emulator refuses API versions newer than its own: ours is pinned where the emulator is meant."""
    script = azurite.script_or_skip()
    port = azurite._free_port()
    options = [
        "--blobHost",
        "127.0.0.1",
        "--blobPort",
        str(port),
        "--inMemoryPersistence",
        "--silent",
        "--disableTelemetry",
    ]
    log = tmp_path / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(["node", script.resolve(), *options], cwd=tmp_path, stdout=out, stderr=out)
    try:
        azurite._wait_for(port, process, log)
        with blob.by_connection_string(azurite.connection_string(port), "ledger") as client:
            assert blob.BlobObjects(blob.Container(client)).put("a", b"1")
    finally:
        process.terminate()
        process.wait(30)


def test_a_rate_table_that_is_not_there_is_named_with_its_setting(monkeypatch, tmp_path):
    monkeypatch.setenv("CHARGEBACK_RATES", str(tmp_path / "no.yaml"))
    read, _ = rates_of(Settings.load())

    with pytest.raises(UsageError, match=r"CHARGEBACK_RATES: .*no\.yaml cannot be read: No such file"):
        read()
