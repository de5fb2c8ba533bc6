"""A stateful Zaprite for tests: an ASGI application whose answers, and our requests, are held against what is known.

Where Zaprite is not known, the fake does what is worst for us: `expiresAt` ends nothing (but see `abandons`), an id of
ours is taken twice, a charge too, messages are not signed, profiles are listed later than the message that tells of the
payment, and `paidAt` is the confirmation. Drive it by its methods; what they tell goes out with `tick()`.
"""

import json
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx

from keysat.kit.clock import Clock
from tests.fakes.served import Accident, Call, HandClock, Mishap, Refusal, Reply
from tests.fakes.zaprite_contract import STATUSES, faults_of_answer, faults_of_request

API_KEY = "zpk_5d41402abc4b2a76b9719d911017c592"
ORGANIZATION = "org_tidecharts"
BASE_URL = "http://api.zaprite.test"
PAGE = 5
RETRY_AFTER_SECONDS = 7
LISTED_AFTER = timedelta(seconds=2)
BANK_TAKES = timedelta(seconds=10)
METHODS = {"onchain": "BITCOIN", "lightning": "LIGHTNING", "card": "CARD", "cash": "CASH"}


@dataclass
class Payment:
    id: str
    method: str
    minor: int  # of the order's currency
    status: str = "CONFIRMED"
    plugin: str = "stripe"
    ends_at: datetime | None = None  # then the bank has its last word:
    ends_as: str = "CONFIRMED"


@dataclass
class Order:
    id: str
    body: dict[str, Any]
    made_at: datetime
    payments: list[Payment] = field(default_factory=list[Payment])
    paid_at: datetime | None = None
    is_closed: bool = False  # by hand, in the dashboard
    word: str | None = None  # a status that nobody has written down
    told: str = "PENDING"

    @property
    def total(self) -> int:
        return self.body["amount"]

    @property
    def expires_at(self) -> datetime | None:
        return datetime.fromisoformat(self.body["expiresAt"]) if "expiresAt" in self.body else None

    def sum(self, *statuses: str) -> int:
        return sum(payment.minor for payment in self.payments if payment.status in statuses)

    def status(self, now: datetime, *, abandons: bool) -> str:
        confirmed, seen = self.sum("CONFIRMED"), self.sum("CONFIRMED", "PENDING")
        if self.word is not None or self.is_closed:
            return self.word or "COMPLETE"
        if confirmed >= self.total:
            return "OVERPAID" if confirmed > self.total else "PAID"
        if seen:
            return "PROCESSING" if seen >= self.total else "UNDERPAID"
        is_over = self.expires_at is not None and now >= self.expires_at
        return "ABANDONED" if abandons and is_over else "PENDING"


@dataclass
class Profile:
    id: str
    contact_id: str
    source: str
    saved_at: datetime
    card: str  # a name of tests.providers.worlds.PlayCard

    @property
    def expires_at(self) -> datetime:
        return self.saved_at + timedelta(days=10 if self.card == "expires" else 1095)


class FakeZaprite:
    def __init__(self, *, clock: Clock | None = None, webhook_transport: httpx.AsyncBaseTransport | None = None):
        self.clock: Clock = clock or HandClock()
        self.abandons = False  # whether an order whose time is over is ABANDONED by itself
        self.sorts = True  # whether the guessed words for sorting are taken
        self.takes_bitcoin = True
        self.declines_silently = False  # a declined charge is answered with 200 and an order that is not paid
        self.plugin = "stripe"
        self.orders: dict[str, Order] = {}
        self.contacts: dict[str, str] = {}
        self.profiles: dict[str, Profile] = {}
        self.webhook_url: str | None = None  # what the operator pasted into the dashboard
        self.queue: list[dict[str, Any]] = []
        self.mishaps: list[Mishap] = []
        self.requests: list[tuple[str, str]] = []
        self.violations: list[str] = []
        self._webhooks = webhook_transport
        self._made = 0

    @property
    def fields(self) -> dict[str, str]:
        """What an operator types to connect."""
        return {"api_key": API_KEY, "base_url": BASE_URL}

    @property
    def transport(self) -> httpx.AsyncBaseTransport:
        return httpx.ASGITransport(app=self)

    @property
    def now(self) -> datetime:
        return self.clock.now()

    def check(self) -> None:
        """Raises AssertionError when anything was not as it is written. Call it at the end of each test."""
        assert not self.violations, "\n".join(self.violations)

    def fail_next(self, accident: Accident | str, *, method: str = "", path: str = "") -> None:
        self.mishaps.append(Mishap(Accident(accident), method, path))

    # The payer, the bank and the operator's dashboard

    async def pay(
        self,
        order_id: str,
        *,
        percent: int = 100,
        rail: str = "onchain",
        confirmed: bool = True,
    ) -> None:
        order = self.orders[order_id]
        status = "CONFIRMED" if confirmed or rail != "onchain" else "PENDING"
        amount = order.total * percent // 100
        order.payments.append(Payment(self._id("tx"), METHODS[rail], amount, status, self.plugin))
        await self.tick()

    async def pay_by_card(self, order_id: str, card: str) -> None:
        """The buyer lets the card be saved, where the shop offers it."""
        order = self.orders[order_id]
        order.payments.append(Payment(self._id("tx"), "CARD", order.total, plugin=self.plugin))
        if order.body.get("allowSavePaymentProfile"):
            profile = Profile(self._id("pp"), order.body["contactId"], order.body["externalUniqId"], self.now, card)
            self.profiles[profile.id] = profile
        await self.tick()

    async def confirm(self, order_id: str) -> None:
        self._turn(order_id, "CONFIRMED")
        await self.tick()

    async def replace(self, order_id: str) -> None:
        """What is not confirmed is spent elsewhere, or the bank takes it back."""
        self._turn(order_id, "CANCELED")
        await self.tick()

    async def close(self, order_id: str) -> None:
        """By hand."""
        self.orders[order_id].is_closed = True
        await self.tick()

    async def say(self, order_id: str, word: str | None) -> None:
        """A status that is not among the known ones, for instance after a refund in the dashboard."""
        self.orders[order_id].word = word
        await self.tick()

    def _turn(self, order_id: str, status: str) -> None:
        for payment in self.orders[order_id].payments:
            if payment.status == "PENDING":
                payment.status = status

    # Time and messages

    async def tick(self) -> None:
        """Let the banks have their word, and tell of every order that changed since."""
        self._look()
        while self.queue:
            body = self.queue.pop(0)
            if self.webhook_url is not None and self._webhooks is not None:
                async with httpx.AsyncClient(transport=self._webhooks) as client:
                    await client.post(self.webhook_url, json=body)

    def _look(self) -> None:
        for order in self.orders.values():
            for payment in order.payments:
                if payment.status == "PENDING" and payment.ends_at is not None and payment.ends_at <= self.now:
                    payment.status = payment.ends_as
            if order.paid_at is None and order.sum("CONFIRMED") >= order.total:
                order.paid_at = self.now
            status = order.status(self.now, abandons=self.abandons)
            if status != order.told:
                order.told = status
                self.queue.append({"event": "order.change", "data": {"id": order.id, "status": status}})

    def _id(self, kind: str) -> str:
        self._made += 1
        return f"{kind}_{self._made:06d}"

    # The API

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        body = b""
        while (message := await receive()).get("more_body"):
            body += message["body"]
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        if headers.get("host") != urlsplit(BASE_URL).netloc:
            raise httpx.ConnectError("no such host")
        query = parse_qsl(scope["query_string"].decode(), keep_blank_values=True)
        call = Call(scope["method"], scope["path"], query, headers, body + message.get("body", b""))
        reply = self._with_accident(call)
        sent = {
            "content-type": "application/json",
            "date": format_datetime(self.now, usegmt=True),
            **dict(reply.headers),
        }
        pairs = [(name.encode(), value.encode()) for name, value in sent.items()]
        await send({"type": "http.response.start", "status": reply.status, "headers": pairs})
        await send({"type": "http.response.body", "body": reply.body})

    def _with_accident(self, call: Call) -> Reply:
        self.requests.append((call.method, call.path))
        mishap = next((one for one in self.mishaps if one.method in ("", call.method) and one.path in call.path), None)
        if mishap is None:
            return self._judged(call)
        self.mishaps.remove(mishap)
        match mishap.accident:
            case Accident.LOST_BEFORE:
                raise httpx.ConnectError("nobody there")
            case Accident.LOST_AFTER:
                self._judged(call)
                raise httpx.ReadTimeout("no answer came")
            case Accident.BUSY:
                return Reply(429, b"", (("retry-after", str(RETRY_AFTER_SECONDS)),))
            case Accident.BROKEN:
                return Reply(500, b"<html>Internal Server Error</html>")
            case Accident.GARBAGE:
                return Reply(200, b"<html>Please wait</html>")
            case Accident.LOCKED_OUT:
                return _refused(401, "UNAUTHORIZED", "Invalid API key").reply

    def _judged(self, call: Call) -> Reply:
        found = faults_of_request(call.method, call.path, [name for name, _ in call.query], call.body)
        reply = _refused(400, "BAD_REQUEST", "; ".join(found)).reply if found else self._carried_out(call)
        found += faults_of_answer(call.method, call.path, reply.status, reply.body)
        self.violations += [f"{call.method} {call.path}: {fault}" for fault in found]
        return reply

    def _carried_out(self, call: Call) -> Reply:
        self._look()
        try:
            return Reply(200, json.dumps(self._answer(call)).encode())
        except Refusal as refusal:
            return refusal.reply
        finally:
            self._look()

    def _answer(self, call: Call) -> Any:
        if call.key != API_KEY:
            raise _refused(401, "UNAUTHORIZED", "Invalid API key")
        match call.method, call.path.removeprefix("/v1/").split("/"):
            case "POST", ["orders"]:
                return self._create(call.json())
            case "GET", ["orders"]:
                return self._list(call)
            case "POST", ["orders", "charge"]:
                return self._charge(call.json())
            case "GET", ["orders", name]:
                return self._json(self._named(name))
            case "POST", ["contacts"]:
                contact_id = self._id("con")
                self.contacts[contact_id] = call.json()["email"]
                return {"id": contact_id, "paymentProfiles": []}
            case "GET", ["contacts", name] if name in self.contacts:
                return {"id": name, "paymentProfiles": self._profiles(name)}
            case _:
                raise _refused(404, "NOT_FOUND", "Not found")

    def _create(self, body: dict[str, Any]) -> Any:
        if body["currency"] == "BTC" and not self.takes_bitcoin:
            raise _refused(400, "BAD_REQUEST", "No payment method for BTC")
        if body.get("allowSavePaymentProfile") and "contactId" not in body:
            raise _refused(400, "BAD_REQUEST", "contactId is required")
        if "contactId" in body and body["contactId"] not in self.contacts:
            raise _refused(400, "BAD_REQUEST", "Unknown contact")
        order = Order(self._id("od"), body, self.now)
        self.orders[order.id] = order
        return self._json(order)

    def _list(self, call: Call) -> Any:
        if call.values("sortBy") not in ([], ["createdAt"]) or (call.values("sortBy") and not self.sorts):
            raise _refused(400, "BAD_REQUEST", "Unknown sortBy")
        found = list(self.orders.values())
        if call.values("sortOrder") == ["desc"]:
            found.reverse()
        if call.values("includePending") != ["true"]:
            found = [order for order in found if order.told != "PENDING"]
        start = (call.number("page", 1) - 1) * PAGE
        items = [self._json(order) for order in found[start : start + PAGE]]
        return {"items": items, "meta": {"pagesCount": -(-len(found) // PAGE), "itemsCount": len(found)}}

    def _charge(self, body: dict[str, Any]) -> Any:
        order, profile = self.orders.get(body["orderId"]), self.profiles.get(body["paymentProfileId"])
        if order is None or profile is None:
            raise _refused(404, "NOT_FOUND", "No such order or payment profile")
        if order.body.get("contactId") != profile.contact_id:
            raise _refused(400, "BAD_REQUEST", "The payment profile is another contact's")
        if profile.card == "declines" or profile.expires_at <= self.now:
            if self.declines_silently:
                return self._json(order)
            raise _refused(400, "BAD_REQUEST", "Your card was declined.")
        payment = Payment(self._id("tx"), "CARD", order.total, plugin=self.plugin)
        if profile.card in ("slow", "taken-back"):
            payment.status, payment.ends_at = "PENDING", self.now + BANK_TAKES
            payment.ends_as = "CONFIRMED" if profile.card == "slow" else "CANCELED"
        order.payments.append(payment)
        return self._json(order)

    def _named(self, name: str) -> Order:
        """By Zaprite's id, or the newest with this one of ours."""
        found = [one for one in self.orders.values() if name in (one.id, one.body.get("externalUniqId"))]
        if not found:
            raise _refused(404, "NOT_FOUND", "Order not found")
        return found[-1]

    def _profiles(self, contact_id: str) -> Sequence[dict[str, Any]]:
        return [
            {
                "id": one.id,
                "method": "CARD",
                "expiresAt": one.expires_at.isoformat(),
                "sourceOrder": {"externalUniqId": one.source},
            }
            for one in self.profiles.values()
            if one.contact_id == contact_id and self.now - one.saved_at >= LISTED_AFTER
        ]

    def _json(self, order: Order) -> dict[str, Any]:
        status, currency = order.status(self.now, abandons=self.abandons), order.body["currency"]
        if status not in STATUSES and status != order.word:
            self.violations.append(f"the fake said {status}")
        contact_id = order.body.get("contactId")
        return {
            "id": order.id,
            "checkoutUrl": f"http://pay.zaprite.test/order/{order.id}",
            "status": status,
            "totalAmount": order.total,
            "currency": currency,
            "externalUniqId": order.body.get("externalUniqId"),
            "expiresAt": order.body.get("expiresAt"),
            "orgId": ORGANIZATION,
            "contact": {"id": contact_id} if contact_id else None,
            "customCheckoutId": None,
            "paidAt": order.paid_at.isoformat() if order.paid_at else None,
            "receiptPdfUrl": None,
            "orderType": "CHECKOUT",
            "metadata": order.body.get("metadata"),
            "transactions": [
                {
                    "id": payment.id,
                    "method": payment.method,
                    "status": payment.status,
                    "amount": payment.minor,
                    "currency": currency,
                    "amountInOrderCurrency": payment.minor,
                    "orderCurrency": currency,
                    "externalRef": None,
                    "pluginSlug": payment.plugin,
                }
                for payment in order.payments
            ],
        }


def _refused(status: int, code: str, message: str) -> Refusal:
    return Refusal(status, {"code": code, "message": message, "issues": []})
