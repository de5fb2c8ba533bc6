from sqlalchemy import update

from keysat.customers import accounts, invariants
from keysat.customers.tables import Customer
from keysat.infra.store import Store
from tests.conftest import NOON, TESTER


async def test_an_erased_customer_with_an_address_is_told_by_id(store: Store):
    async with store.work(NOON, TESTER) as work:
        customer_id = await accounts.remember(work, "ada@example.com")
        await work.session.execute(update(Customer).values(erased_at=NOON))
    async with store.read() as reading:
        assert await invariants.broken(reading, NOON) == [
            f"Customer {customer_id} was erased but still has personal data."
        ]


async def test_a_row_that_its_address_does_not_find_is_told(store: Store):
    async with store.work(NOON, TESTER) as work:
        customer_id = await accounts.remember(work, "ada@example.com")
        await work.session.execute(update(Customer).values(email_normal="Ada@Example.com"))
    async with store.read() as reading:
        assert await invariants.broken(reading, NOON) == [f"Customer {customer_id} cannot be found by its address."]
