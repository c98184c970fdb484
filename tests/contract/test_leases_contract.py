"""One holder at a time."""

import time

import pytest

from chargeback.ports import MovedError
from tests.support.events import NOON

SHORTEST_S = 15
"""The service grants no shorter lease."""


class TestLeases:
    def test_is_held_by_one_until_its_block_ends(self, storage):
        first = storage.leases.hold("expiry/ns/hub", 15)
        with first as lease:
            lease.renew()

            assert storage.leases.hold("expiry/ns/hub", 15) is None
            with storage.leases.hold("expiry/ns/other", 15):
                pass
        with storage.leases.hold("expiry/ns/hub", 15):
            pass

    def test_an_error_in_the_block_ends_it_too(self, storage):
        with pytest.raises(ZeroDivisionError), storage.leases.hold("a", 15):
            _ = 1 / 0

        with storage.leases.hold("a", 15):
            pass


@pytest.mark.azurite
def test_a_lease_nobody_renews_runs_out_and_another_takes_over(blob_container):
    """Time is the storage's, so the test asks until it is so; nothing else ends a lease nobody renews."""
    from chargeback.journal import blob

    leases = blob.ledger(blob_container, writer="w", now=lambda: NOON).leases
    with leases.hold("settle", SHORTEST_S) as lease:  # its process is stopped here, and goes on much later
        since = time.monotonic()
        refused, found = 0, None
        while found is None and time.monotonic() < since + 2 * SHORTEST_S:
            found = leases.hold("settle", SHORTEST_S)
            refused += found is None
            time.sleep(0.2)
        took_s = time.monotonic() - since

        assert refused > 10
        assert SHORTEST_S - 2 < took_s < SHORTEST_S + 4
        with pytest.raises(MovedError):
            lease.renew()
    with found as second:
        second.renew()
