"""One holder at a time."""

import pytest


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
