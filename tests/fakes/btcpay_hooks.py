"""The fake's webhooks: one strictly sequential queue each, retries, and what can go wrong (`payment-rails.md` 1.12)."""

import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx

RETRIES_AFTER = tuple(timedelta(seconds=seconds) for seconds in (10, 60, 600, 600, 600, 600, 600, 600))


@dataclass
class Delivery:
    id: str
    original_id: str
    kind: str
    payload: dict[str, Any]
    due_at: datetime
    raised_at: datetime
    attempt: int = 0
    http_code: int | None = None
    error: str | None = None
    status: str = ""
    done_at: datetime | None = None

    def body(self, webhook_id: str) -> bytes:
        envelope = {
            "deliveryId": self.id,
            "webhookId": webhook_id,
            "originalDeliveryId": self.original_id,
            "isRedelivery": self.id != self.original_id,
            "type": self.kind,
        }
        return json.dumps({**envelope, **self.payload}, indent=2).encode()


@dataclass
class Hook:
    id: str
    store_id: str
    url: str = ""
    secret: str = ""
    enabled: bool = True
    automatic_redelivery: bool = True
    everything: bool = True
    events: list[str] = field(default_factory=list[str])
    queue: list[Delivery] = field(default_factory=list[Delivery])
    past: list[Delivery] = field(default_factory=list[Delivery])

    def wants(self, kind: str) -> bool:
        return self.enabled and (self.everything or kind in self.events)

    def json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "url": self.url,
            "enabled": self.enabled,
            "automaticRedelivery": self.automatic_redelivery,
            "authorizedEvents": {"everything": self.everything, "specificEvents": self.events},
        }


@dataclass
class Script:
    """What befalls the next messages; counted down as they are raised."""

    drop: int = 0
    duplicate: int = 0
    delay: timedelta = timedelta(0)  # of the next one alone
    holding: bool = False


class Post:
    """Delivers. `transport`: how the outside is reached; None: real HTTP."""

    def __init__(self, transport: httpx.AsyncBaseTransport | None, next_id: Callable[[str], str]) -> None:
        self.transport = transport
        self.script = Script()
        self.hooks: dict[str, Hook] = {}
        self._next_id = next_id
        self._delivering = False

    def raise_event(self, store_id: str, kind: str, payload: dict[str, Any], now: datetime) -> None:
        for hook in self.hooks.values():
            if hook.store_id != store_id or not hook.wants(kind):
                continue
            if self.script.drop > 0:
                self.script.drop -= 1
                continue
            delivery_id = self._next_id("delivery")
            delay, self.script.delay = self.script.delay, timedelta(0)
            hook.queue.append(Delivery(delivery_id, delivery_id, kind, payload, now + delay, now))
            if self.script.duplicate > 0:
                self.script.duplicate -= 1
                hook.queue.append(self._again(hook.queue[-1], now + delay))

    def next_due(self) -> list[datetime]:
        return [] if self.script.holding else [hook.queue[0].due_at for hook in self.hooks.values() if hook.queue]

    async def deliver(self, now: datetime) -> None:
        """All that is due; a failing head blocks its queue until it succeeds or is given up."""
        if self._delivering or self.script.holding:
            return
        self._delivering = True
        try:
            for hook in list(self.hooks.values()):
                while hook.queue and hook.queue[0].due_at <= now:
                    delivery = hook.queue.pop(0)
                    if await self._send(hook, delivery, now) and hook.automatic_redelivery:
                        self._retry(hook, delivery, now)
        finally:
            self._delivering = False

    def restart(self) -> None:
        """BTCPay restarts: what was queued in memory is lost."""
        for hook in self.hooks.values():
            hook.queue.clear()

    def redeliver(self, hook: Hook, delivery_id: str, now: datetime) -> str:
        past = next(delivery for delivery in hook.past if delivery.id == delivery_id)
        again = self._again(past, now)
        hook.queue.append(again)
        return again.id

    def _again(self, delivery: Delivery, due_at: datetime, attempt: int = 0) -> Delivery:
        fresh = self._next_id("delivery")
        return Delivery(
            fresh, delivery.original_id, delivery.kind, delivery.payload, due_at, delivery.raised_at, attempt
        )

    def _retry(self, hook: Hook, delivery: Delivery, now: datetime) -> None:
        if delivery.attempt < len(RETRIES_AFTER):
            due_at = now + RETRIES_AFTER[delivery.attempt]
            hook.queue.insert(0, self._again(delivery, due_at, delivery.attempt + 1))

    async def _send(self, hook: Hook, delivery: Delivery, now: datetime) -> bool:
        """Whether it must be tried again: since 2.3.4 only after 5xx, 429, 408 and network errors."""
        body = delivery.body(hook.id)
        headers = {"Content-Type": "application/json; charset=utf-8", "BTCPay-Sig": sign(hook.secret, body)}
        delivery.done_at = now
        hook.past.append(delivery)
        try:
            async with httpx.AsyncClient(
                transport=self.transport,
                timeout=60,  # a machine that does other things besides is no broken receiver
                trust_env=False,
                follow_redirects=True,
                verify=False,  # loading the certificates takes longer than all the rest
            ) as client:
                answer = await client.post(hook.url, content=body, headers=headers)
        except httpx.TransportError as error:
            delivery.status, delivery.error = "Failed", f"{type(error).__name__}: {error}"
            return True
        delivery.http_code = answer.status_code
        delivery.status = "HttpSuccess" if answer.is_success else "HttpError"
        return answer.status_code >= 500 or answer.status_code in (408, 429)


def sign(secret: str, body: bytes) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
