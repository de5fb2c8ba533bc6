"""A shop that was tampered with is noticed."""

from typing import Any

import pytest
from sqlalchemy import update

from keysat.licenses.tables import IssuerKey, IssuerStatus, LicenseStatus
from tests.conftest import NOON, TESTER
from tests.licenses.seller import Seller


async def test_a_shop_that_was_left_alone_is_whole(seller: Seller) -> None:
    license = await seller.sell()
    await seller.activate(await seller.key(license.id), "f1")
    assert await seller.broken() == []


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"max_machines": 1, "seats_taken": 2}, "more seats"),
        ({"seats_taken": 1}, "count of seats"),
        ({"revoked_at": NOON}, "revocation"),
        ({"status": LicenseStatus.REVOKED}, "revocation"),
        ({"status": LicenseStatus.SUSPENDED}, "suspension"),
        ({"suspended_at": NOON}, "suspension"),
        ({"keys_valid_from": NOON.replace(year=2030)}, "present key"),
    ],
)
async def test_what_does_not_fit_is_told(seller: Seller, values: dict[str, Any], words: str) -> None:
    license = await seller.sell(max_machines=3)
    await seller.change(license.id, **values)
    lines = await seller.broken()
    assert any(str(license.id) in line and words in line for line in lines)


async def test_licenses_without_a_signing_key_are_told(seller: Seller) -> None:
    await seller.sell()
    async with seller.store.work(NOON, TESTER) as work:
        await work.session.execute(update(IssuerKey).values(status=IssuerStatus.VERIFYING))
    assert await seller.broken() == ["0 issuer keys sign new licenses instead of one"]
