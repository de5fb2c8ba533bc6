"""What Keysat keeps of the machines that ask it: hashes and counts."""

from sqlalchemy import select

from keysat.infra.tables import Base
from keysat.licenses.issue import revoke, suspend
from keysat.licenses.tables import Machine
from tests.conftest import NOON, TESTER
from tests.licenses.seller import Seller

FINGERPRINT = "serial-number-C02XK1ABJGH5"


async def everything(seller: Seller) -> str:
    """Every value of every row, as text."""
    async with seller.store.read() as read:
        rows = [row for table in Base.metadata.sorted_tables for row in await read.session.execute(select(table))]
    return "\n".join(sorted(repr(tuple(row)) for row in rows))


async def test_no_row_tells_the_fingerprint_of_a_machine(seller: Seller) -> None:  # W-39
    license = await seller.sell(max_machines=2)
    key = await seller.key(license.id)
    for fingerprint in (FINGERPRINT, FINGERPRINT + "-2", FINGERPRINT + "-3"):  # taken, taken, refused
        await seller.validate(key, fingerprint=fingerprint)
        await seller.activate(key, fingerprint)
    await seller.deactivate(key, FINGERPRINT)
    kept = await everything(seller)
    assert str(license.id)[:8] in kept
    assert FINGERPRINT not in kept


async def test_what_people_type_as_a_reason_stands_in_rows_and_in_no_event(seller: Seller) -> None:
    typed = "ask ada@example.org"
    license = await seller.sell()
    key = await seller.key(license.id)
    await seller.activate(key, "f1")
    assert (await seller.deactivate(key, "f1", reason=typed)).ok
    async with seller.store.work(NOON, TESTER) as work:
        await suspend(work, license.id, typed)
        await revoke(work, license.id, typed)
    row = await seller.license(license.id)
    assert (row.suspension_reason, row.revocation_reason) == (typed, typed)
    async with seller.store.read() as read:
        assert (await read.session.scalars(select(Machine.deactivation_reason))).all() == [typed]
    bodies = [body for _, body in await seller.events("")]
    assert len(bodies) > 4
    assert "ada@" not in repr(bodies)


async def test_validating_again_writes_nothing(seller: Seller) -> None:
    license = await seller.sell()
    key = await seller.key(license.id)
    await seller.validate(key, fingerprint="f1")
    await seller.validate(key, fingerprint="another")  # of which the operator is told, once an hour
    before = await everything(seller)
    for _ in range(5):
        await seller.validate(key, fingerprint="f1")
        await seller.validate(key, fingerprint="another")
    assert await everything(seller) == before
    async with seller.store.read() as read:
        assert len((await read.session.scalars(select(Machine))).all()) == 1
