import asyncio

import pytest

from keysat.catalog import codes
from keysat.infra.store import Store
from keysat.kit.errors import BadRequest, Conflict
from tests.conftest import NOON, TESTER


async def claimed(store: Store, code: str, kind: str) -> str:
    async with store.work(NOON, TESTER) as work:
        return await codes.claim(work, code, kind)


async def test_a_code_is_found_however_it_is_typed(store: Store):
    assert await claimed(store, " Spring-26 ", "discount") == "SPRING-26"
    async with store.read() as reading:
        found = await codes.code_of(reading, "spring-26\n")
        assert found is not None
        assert (found.code, found.kind) == ("SPRING-26", "discount")
        assert await codes.code_of(reading, "SPRING") is None
        assert await codes.code_of(reading, "no code\0") is None


async def test_all_kinds_share_one_namespace(store: Store):
    done = await asyncio.gather(
        *(claimed(store, "GIFT", kind) for kind in ("discount", "free", "coupon")), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in done) == ["Conflict", "Conflict", "str"]
    async with store.work(NOON, TESTER) as work:
        await codes.release(work, "GIFT")
    assert await claimed(store, "gift", "coupon") == "GIFT"
    with pytest.raises(Conflict):
        await claimed(store, "Gift", "coupon")


@pytest.mark.parametrize("typed", ["", " ", "a b", "A" * 65, "straße", "ﬁ", "A\0"])
def test_what_cannot_be_typed_everywhere_is_no_code(typed: str):
    with pytest.raises(BadRequest):
        codes.normal(typed)
