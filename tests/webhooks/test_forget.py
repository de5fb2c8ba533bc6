"""How long deliveries wait, and how long they are kept."""

import pytest

from keysat.infra.attention import settle_about
from keysat.webhooks.endpoints import EndpointEdit, edit
from keysat.webhooks.forget import forget
from tests.conftest import TESTER
from tests.webhooks.conftest import Teller
from tests.webhooks.receiver import receiving


async def days_later(teller: Teller, days: int) -> dict[str, int]:
    teller.pass_by(days=days)
    async with teller.store.work(teller.now(), TESTER) as work:
        assert not await forget(work)
    return await teller.statuses()


@pytest.mark.once
async def test_what_is_done_with_is_forgotten_after_a_while(teller: Teller) -> None:
    async with receiving() as receiver:
        await teller.endpoint(receiver.url)
        await teller.happen(1)
        await teller.run()
        assert await days_later(teller, 29) == {"delivered": 1}
        assert await days_later(teller, 2) == {}


async def test_what_waited_for_ninety_days_is_a_dead_letter_and_is_called_once(teller: Teller) -> None:
    endpoint_id = (await teller.endpoint("http://127.0.0.1:9/nobody")).endpoint.id

    async def switch(*, on: bool) -> None:
        async with teller.store.work(teller.now(), TESTER) as work:
            await edit(work, endpoint_id, EndpointEdit(active=on))

    await switch(on=False)
    await teller.happen(1, 1, 2)
    await teller.run()
    assert await days_later(teller, 89) == {"pending": 3}
    assert await teller.calls() == []
    assert await days_later(teller, 2) == {"failed": 3}
    assert await teller.calls() == ["Webhooks to 127.0.0.1 waited for 90 days, and are dead letters now."]
    assert await teller.events("webhook_delivery") == ["webhook_delivery.failed"] * 3

    async with teller.store.work(teller.now(), TESTER) as work:
        await settle_about(work, endpoint_id)
    await teller.happen(3)
    await teller.run()
    assert await days_later(teller, 91) == {"failed": 1}
    assert await teller.calls() == []

    for on in (True, False):  # another pause is another matter
        await switch(on=on)
    await teller.happen(4)
    await teller.run()
    assert await days_later(teller, 91) == {"failed": 1}
    assert len(await teller.calls()) == 1
