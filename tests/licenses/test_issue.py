"""Licenses are issued, shown, suspended, revoked, and their keys replaced."""

from datetime import timedelta
from uuid import UUID

import pytest

from keysat.infra.store import Store
from keysat.kit.errors import BadRequest, Conflict, NotFound, Unavailable
from keysat.kit.licensekey import parse
from keysat.kit.states import IllegalStep
from keysat.licenses.issue import Terms, issue, replace_key, revoke, suspend, unsuspend
from keysat.licenses.issuers import rotate
from keysat.licenses.tables import LicenseStatus
from tests.catalog.shelf import a_product
from tests.conftest import NOON, TESTER
from tests.licenses.seller import Seller

LATE = NOON + timedelta(microseconds=987_654)


async def test_a_key_says_what_was_sold(seller: Seller) -> None:
    license = await seller.sell(LATE, expires_at=LATE + timedelta(days=1), entitlements=("core", "pro"), is_trial=True)
    payload = parse(await seller.key(license.id)).payload
    assert (payload.version, payload.flags, payload.is_bound) == (2, 2, False)
    assert (payload.product_id, payload.license_id) == (seller.product_id, license.id)
    assert payload.issued_at == int(NOON.timestamp())
    assert payload.expires_at == int((NOON + timedelta(days=1)).timestamp())
    assert payload.entitlements == ("core", "pro")


async def test_a_perpetual_license_has_no_expiry_in_its_key(seller: Seller) -> None:
    assert parse(await seller.key((await seller.sell()).id)).payload.expires_at == 0


async def test_grace_is_in_the_key_of_a_subscribed_license_alone(seller: Seller) -> None:
    end = NOON + timedelta(days=30)
    once = await seller.sell(expires_at=end, grace_seconds=600)
    paid = await seller.sell(expires_at=end, grace_seconds=600, is_subscribed=True)
    assert parse(await seller.key(once.id)).payload.expires_at == int(end.timestamp())
    assert parse(await seller.key(paid.id)).payload.expires_at == int(end.timestamp()) + 600


async def test_a_key_is_the_same_to_the_byte_while_the_license_is_unchanged(seller: Seller) -> None:
    license = await seller.sell()
    first = await seller.key(license.id)
    assert await seller.key(license.id) == first
    await seller.change(license.id, entitlements=["more"])
    refreshed = await seller.key(license.id)
    assert refreshed != first
    assert [(await seller.validate(key)).ok for key in (first, refreshed)] == [True, True]


async def test_a_license_is_signed_by_its_first_issuer_for_ever(seller: Seller) -> None:
    old = await seller.sell()
    before = await seller.key(old.id)
    async with seller.store.work(NOON, TESTER) as work:
        await rotate(work, seller.vault)
    await seller.ring.refresh()
    assert await seller.key(old.id) == before
    new = await seller.sell()
    assert (await seller.license(new.id)).issuer_key_id == seller.ring.signing.id != old.issuer_key_id
    assert (await seller.validate(before)).ok
    assert (await seller.validate(await seller.key(new.id))).ok


async def test_the_sale_is_recorded(seller: Seller) -> None:
    license = await seller.sell(entitlements=("core",), expires_at=NOON)
    assert await seller.events("license") == [
        (
            "license.issued",
            {
                "license_id": str(license.id),
                "product_id": str(seller.product_id),
                "policy_id": None,
                "order_id": None,
                "customer_id": None,
                "is_trial": False,
                "expires_at": "2026-01-15T12:00:00Z",
                "entitlements": ["core"],
                "source": "manual",
            },
        )
    ]


async def test_ids_do_not_tell_when_they_were_made(seller: Seller) -> None:
    assert (await seller.sell()).id.version == 4


async def test_nothing_is_sold_without_an_issuer_key(store: Store) -> None:
    product = await a_product(store)
    with pytest.raises(Unavailable):
        async with store.work(NOON, TESTER) as work:
            await issue(work, Terms(product.id, None), order_id=None, customer_id=None, source="manual")


async def test_entitlements_that_no_key_can_hold_are_refused(seller: Seller) -> None:
    with pytest.raises(BadRequest):
        await seller.sell(entitlements=("x" * 256,))


async def test_revoked_is_the_end(seller: Seller) -> None:
    license = await seller.sell()
    async with seller.store.work(NOON, TESTER) as work:
        await suspend(work, license.id, "late")
        await revoke(work, license.id, "fraud")
    revoked = await seller.license(license.id)
    assert (revoked.status, revoked.revoked_at, revoked.revocation_reason) == (LicenseStatus.REVOKED, NOON, "fraud")
    async with seller.store.work(NOON, TESTER) as work:
        with pytest.raises(IllegalStep):
            await unsuspend(work, license.id)
        with pytest.raises(IllegalStep):
            await suspend(work, license.id, "")
        with pytest.raises(IllegalStep):
            await revoke(work, license.id, "")
    assert [name for name, _ in await seller.events("license")] == [
        "license.issued",
        "license.suspended",
        "license.revoked",
    ]
    assert await seller.broken() == []


async def test_unsuspending_leaves_no_trace_in_the_row_but_in_the_events(seller: Seller) -> None:
    license = await seller.sell()
    async with seller.store.work(NOON, TESTER) as work:
        await suspend(work, license.id, "late")
        await unsuspend(work, license.id)
    active = await seller.license(license.id)
    assert (active.status, active.suspended_at, active.suspension_reason) == (LicenseStatus.ACTIVE, None, None)
    assert [name for name, _ in await seller.events("license")][1:] == ["license.suspended", "license.unsuspended"]
    assert await seller.broken() == []


async def test_a_replaced_key_is_newer_by_a_whole_second_at_least(seller: Seller) -> None:
    license = await seller.sell(LATE)
    for now, expected in ((LATE, 1), (LATE, 2), (LATE + timedelta(hours=1), 3600), (NOON, 3601)):
        async with seller.store.work(now, TESTER) as work:
            replaced = await replace_key(work, license.id)
        assert replaced.key_issued_at == replaced.keys_valid_from == NOON + timedelta(seconds=expected)
        assert replaced.issued_at == LATE
    assert (await seller.license(license.id)).key_issued_at == NOON + timedelta(seconds=3601)
    assert (await seller.events("license.key_replaced"))[0][1]["keys_valid_from"] == "2026-01-15T12:00:01Z"
    assert await seller.broken() == []


async def test_only_a_license_that_lives_gets_a_new_key(seller: Seller) -> None:
    license = await seller.sell()
    with pytest.raises(Conflict):
        async with seller.store.work(NOON, TESTER) as work:
            await revoke(work, license.id, "fraud")
            await replace_key(work, license.id)
    with pytest.raises(NotFound):
        async with seller.store.work(NOON, TESTER) as work:
            await replace_key(work, UUID(int=7))
