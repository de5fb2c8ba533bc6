"""Licenses are found by order and listed page by page."""

from datetime import timedelta
from uuid import UUID

import msgspec
import pytest

from keysat.kit.errors import BadRequest
from keysat.kit.paging import encode_cursor
from keysat.licenses.issue import revoke
from keysat.licenses.read import LicenseFilter, list_licenses, machines_of
from keysat.licenses.tables import LicenseStatus
from tests.conftest import NOON, TESTER
from tests.licenses.seller import Seller


async def test_pages_give_each_license_once_the_latest_sale_first(seller: Seller) -> None:
    sold = [(await seller.sell(NOON + timedelta(seconds=second // 2))).id for second in range(7)]
    seen: list[UUID] = []
    cursor = None
    async with seller.store.read() as read:
        while True:
            page = await list_licenses(read, LicenseFilter(), 3, cursor)
            seen += [license.id for license in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
    assert (len(seen), set(seen)) == (7, set(sold))
    assert seen[0] == sold[6]


async def test_filters_narrow_and_unknown_ones_are_refused(seller: Seller) -> None:
    first, second = await seller.sell(), await seller.sell(is_trial=True)
    async with seller.store.work(NOON, TESTER) as work:
        await revoke(work, first.id, "fraud")
    async with seller.store.read() as read:

        async def found(**wanted: object) -> list[UUID]:
            page = await list_licenses(read, msgspec.convert(wanted, LicenseFilter), 10)
            return [license.id for license in page.items]

        assert await found(status="revoked") == [first.id]
        assert await found(is_trial=True) == [second.id]
        assert await found(is_trial=False, status="active") == []
        assert set(await found(product_id=str(seller.product_id))) == {first.id, second.id}
        assert await found(customer_id=str(UUID(int=1))) == []
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"colour": "red"}, LicenseFilter)
    assert LicenseFilter(status=LicenseStatus.ACTIVE).product_id is None


@pytest.mark.parametrize("cursor", ["", "x", encode_cursor("a", "b"), encode_cursor("2026-01-01", str(UUID(int=1)))])
async def test_a_cursor_that_is_not_ours_is_refused(seller: Seller, cursor: str) -> None:
    async with seller.store.read() as read:
        with pytest.raises(BadRequest):
            await list_licenses(read, LicenseFilter(), 3, cursor)


async def test_machines_are_listed_the_latest_seen_first(seller: Seller) -> None:
    license = await seller.sell(max_machines=3)
    key = await seller.key(license.id)
    ids = [(await seller.activate(key, f"f{n}", NOON + timedelta(hours=n))).machine_id for n in range(3)]
    await seller.deactivate(key, "f1")
    async with seller.store.read() as read:
        assert [machine.id for machine in await machines_of(read, license.id)] == [ids[2], ids[0]]
