"""Real wires for the hosts' tests: a broker a test, one Azurite for all of them, containers of one's own."""

from itertools import count

import pytest

from chargeback.settings import Settings
from tests.support import azurite
from tests.support.broker import Broker
from tests.support.consuming import HUB, environment
from tests.support.ingestion import IngestionEndpoint

_numbers = count(1)


def pytest_runtest_setup(item):
    """Skip here, not in the fixture: one line in the summary instead of one for each test."""
    if item.get_closest_marker("azurite"):
        azurite.script_or_skip()


@pytest.fixture(scope="session")
def storage():
    with azurite.running() as connection:
        yield connection


@pytest.fixture
def broker():
    with Broker({HUB: 4}, groups=("$Default", "other")) as running:
        yield running


@pytest.fixture
def ingestion():
    with IngestionEndpoint() as running:
        yield running


@pytest.fixture
def settings_for(broker, storage, monkeypatch):
    """Settings of a consumer with a ledger of its own; keywords are more of the environment."""

    def make(telemetry=None, **more):
        told = environment(broker, storage, f"ledger-h{next(_numbers)}", telemetry)
        for name, value in {**told, **more}.items():
            monkeypatch.setenv(name, value)
        return Settings.load()

    return make
