"""Telling the shop: signed, in order, again and again until it has heard."""

import asyncio
from datetime import timedelta

import httpx
import msgspec

from keysat.kit.ids import Chance, token
from providers.sandbox.book import Waiting
from providers.sandbox.wallet import Wallet
from providers.sandbox.wire import SIGNATURE_HEADER, Delivery, signature

BACKOFF_SECONDS = (1, 5, 30, 300)
"""The last one again and again, until TRIES_MAX."""

TRIES_MAX = 300
"""A day of a shop that is down."""

TIMEOUT_SECONDS = 10


class Courier:
    def __init__(self, wallet: Wallet, http: httpx.AsyncClient, chance: Chance) -> None:
        self._wallet = wallet
        self._http = http
        self._chance = chance

    async def deliver_due(self) -> None:
        """All that can be said now. A webhook whose first waiting delivery fails hears nothing later before it."""
        while due := self._wallet.book.due(self._wallet.now()):
            await asyncio.gather(*(self._try(waiting) for waiting in due))

    async def _try(self, waiting: Waiting) -> None:
        body = msgspec.json.encode(self._delivery(waiting))
        headers = {"content-type": "application/json", SIGNATURE_HEADER: signature(waiting.secret, body)}
        try:
            answer = await self._http.post(waiting.url, content=body, headers=headers, timeout=TIMEOUT_SECONDS)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            said, heard = type(error).__name__, False
        else:
            # As BTCPay since 2.3.4: any other answer is final, a refusal too.
            said, heard = str(answer.status_code), answer.status_code < 500 and answer.status_code not in (408, 429)
        wait = BACKOFF_SECONDS[min(waiting.tries, len(BACKOFF_SECONDS) - 1)]
        over = heard or waiting.tries + 1 >= TRIES_MAX
        next_at = None if over else self._wallet.now() + timedelta(seconds=wait)
        self._wallet.book.tried(waiting.position, said, next_at)

    def _delivery(self, waiting: Waiting) -> Delivery:
        return Delivery(
            delivery_id=token(self._chance, 80) if waiting.tries else waiting.id,
            original_delivery_id=waiting.id,
            is_redelivery=waiting.tries > 0,
            type=waiting.event.type,
            timestamp=int(waiting.happened_at.timestamp()),
            invoice_id=waiting.invoice_id,
            detail=waiting.event.detail,
        )
