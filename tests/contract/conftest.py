"""Every contract test runs against every adapter; Azurite starts at most once."""

from itertools import count

import pytest

from chargeback.journal import local
from tests.contract.memory import MemoryStorage
from tests.support import azurite


class LocalStorage:
    def __init__(self, root):
        self.root = root
        self.objects = local.LocalObjects(root)
        self.leases = local.LocalLeases(root / "leases")

    def segments(self, folder):
        return local.LocalSegments(self.root / folder)

    def ledger(self, **options):
        return local.ledger(self.root, **options)


class BlobStorage:
    def __init__(self, container):
        from chargeback.journal import blob

        self.container = container
        self._box = blob.Container(container)
        self.objects = blob.BlobObjects(self._box)
        self.leases = blob.BlobLeases(self._box)

    def segments(self, folder):
        from chargeback.journal import blob

        return blob.BlobSegments(self._box, folder)

    def ledger(self, **options):
        from chargeback.journal import blob

        return blob.ledger(self.container, **options)


_numbers = count(1)


def pytest_runtest_setup(item):
    """Skip here, not in the fixture: one line in the summary instead of one for each test."""
    if item.get_closest_marker("azurite"):
        azurite.script_or_skip()


@pytest.fixture(scope="session")
def azurite_connection():
    with azurite.running() as connection:
        yield connection


@pytest.fixture
def blob_container(azurite_connection):
    """A client of a container that does not exist yet."""
    from chargeback.journal import blob

    with blob.by_connection_string(azurite_connection, f"ledger-{next(_numbers)}") as container:
        yield container


@pytest.fixture(params=["memory", "local", pytest.param("blob", marks=pytest.mark.azurite)])
def storage(request, tmp_path):
    match request.param:
        case "memory":
            return MemoryStorage()
        case "local":
            return LocalStorage(tmp_path / "ledger")
        case _:
            return BlobStorage(request.getfixturevalue("blob_container"))
