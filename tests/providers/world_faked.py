"""What worlds share whose provider is a fake behind the client's transport: payer, messages, accidents."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

import httpx

from keysat.infra.http import HttpClient
from keysat.payments.provider import Rail
from tests.providers.worlds import Accident, Message


class Fake(Protocol):
    @property
    def transport(self) -> httpx.AsyncBaseTransport: ...

    @property
    def fields(self) -> Mapping[str, str]: ...

    @property
    def now(self) -> datetime: ...

    async def pay(self, invoice_id: str, /, *, percent: int, rail: str, confirmed: bool) -> object: ...

    async def confirm(self, invoice_id: str, /) -> None: ...

    async def replace(self, invoice_id: str, /) -> None: ...

    def fail_next(self, accident: str, /) -> None: ...


class FakedWorld:
    def __init__(self, fake: Fake, webhook_url: str, messages: list[Message]) -> None:
        self._fake = fake
        self.http = HttpClient(transport=fake.transport)
        self.webhook_url = webhook_url
        self.messages: Sequence[Message] = messages

    @property
    def fields(self) -> Mapping[str, str]:
        return self._fake.fields

    @property
    def now(self) -> datetime:
        return self._fake.now

    async def pay(
        self, invoice_id: str, *, percent: int = 100, rail: Rail = Rail.ONCHAIN, confirmed: bool = True
    ) -> None:
        await self._fake.pay(invoice_id, percent=percent, rail=rail, confirmed=confirmed)

    async def confirm(self, invoice_id: str) -> None:
        await self._fake.confirm(invoice_id)

    async def replace(self, invoice_id: str) -> None:
        await self._fake.replace(invoice_id)

    def fail_next(self, accident: Accident) -> None:
        self._fake.fail_next(accident.value)


class Mailbox:
    """Our own door, as the fake sees it: keeps what is told."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.refuse_with: int | None = None
        """What is answered instead of 200."""

    @property
    def transport(self) -> httpx.AsyncBaseTransport:
        return httpx.MockTransport(self._take)

    def _take(self, request: httpx.Request) -> httpx.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.messages.append(Message(headers, request.content))
        return httpx.Response(self.refuse_with or 200)
