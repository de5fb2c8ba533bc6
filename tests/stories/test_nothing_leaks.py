"""No secret, key or e-mail in logs, events or rows: a full story, and afterwards all that was written is read."""

import base64
import io
import json
import logging
import re
import sqlite3
from collections.abc import AsyncGenerator, Generator, Iterable, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from email.headerregistry import Address
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from sqlalchemy import select, text

from keysat.checkout.pay_link import pay_token
from keysat.checkout.read import order_by_invoice
from keysat.checkout.recover import claim_code
from keysat.infra.links import token_of
from keysat.infra.log import configure
from keysat.infra.mail import Mailer
from keysat.infra.store import Store
from keysat.infra.tables import OneTimeLink
from keysat.operators import totp
from tests.catalog.shelf import a_code, a_tier
from tests.checkout.counter import PUBLIC_URL
from tests.conftest import TESTER
from tests.fakes.btcpay import API_KEY, Accident
from tests.fakes.post_office import PostOffice, post_office
from tests.stories.conftest import Story
from tests.web.conftest import ADMIN, ADMIN_KEY, BROWSER, browse, doors_of
from tests.web.selling import open_front

pytestmark = pytest.mark.once

EMAIL, NOTE, FINGERPRINT = "ann.lovelace@letters.example", "call me on 555 0123", "board-4711-disk-0815"
CANCELS, COSTS = "my mother is ill, I stop", "the landlord in Lodz wants more"
WRONG_KEY, SCOPED = "not-the-admin-key-but-somebodys-secret", "ks_somebodys0scoped0key0"
OPERATOR, LABEL, MISTYPED = "Ines Quartermain", "the website's robot", "a password in the wrong field"
HOMES = {
    "e-mail": {"customers.email", "customers.email_normal"},
    "note": {"customers.note"},
    "invoice id": {"orders.invoice_id"},
    "cancel reason": {"subscriptions.cancellation_reason"},
    "price reason": {"subscriptions.next_value_reason"},
    "operator": {"accounts.name", "accounts.name_normal"},
    "label": {"api_keys.label"},
}
"""Where a person's data and the order's secret id are meant to stand, and nowhere else."""
Written = tuple[str, str]
"""Where it stands, and what."""


def leaks(secrets: Mapping[str, str], written: Iterable[Written]) -> set[tuple[str, str]]:
    """Which secret stands where: in any case, with or without hyphens, quoted for an address, or in base64."""
    wanted = {(name, disguise) for name, secret in secrets.items() for disguise in disguises(secret)}
    found: set[tuple[str, str]] = set()
    for place, words in written:
        bare = _bare(words)
        found |= {(name, place) for name, disguise in wanted if disguise in bare}
    return found


def disguises(secret: str) -> set[str]:
    return {_bare(secret), _bare(quote(secret, safe="")), _bare(base64.b64encode(secret.encode()).decode().rstrip("="))}


def _bare(words: str) -> str:
    return words.lower().replace("-", "")


@pytest.mark.parametrize(
    "said",
    [
        "GET /x/{} failed",
        '{{"a": "{}"}}',
        "<{}>",
    ],
)
@pytest.mark.parametrize("secret", [EMAIL, NOTE, "LIC1-AIAA-QZ7M", "ABCDE-FGHIJ"])
def test_the_search_finds_what_was_planted(said: str, secret: str) -> None:
    shapes = (secret, secret.lower(), quote(secret, safe=""), secret.replace("-", ""))
    for shape in (*shapes, base64.b64encode(secret.encode()).decode()):
        assert leaks({"it": secret}, [("log", said.format(shape)), ("rows", "nothing")]) == {("it", "log")}


@pytest.fixture
def log() -> Generator[io.StringIO, None, None]:
    """All that a daemon would log, at its most talkative."""
    root, written = logging.getLogger(), io.StringIO()
    level = root.level
    logging.getLogger("mail.log").setLevel(logging.WARNING)  # the mail server of the test itself
    configure("debug", "json", written)
    yield written
    for handler in [each for each in root.handlers if getattr(each, "stream", None) is written]:
        root.removeHandler(handler)
    root.setLevel(level)
    logging.getLogger("uvicorn.access").disabled = False


@dataclass
class Witness(Story):
    """A buyer, an operator and some strangers before one shop; `secrets` grows as they are told them."""

    office: PostOffice
    statuses: list[int] = field(default_factory=list[int])
    secrets: dict[str, str] = field(default_factory=dict[str, str])

    async def ask(self, method: str, path: str, status: int, **request: Any) -> Any:
        answer = await self.front.http.request(method, path, **request)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        self.statuses.append(status)
        return answer.json() if "json" in answer.headers.get("content-type", "") else answer.text

    async def all_jobs(self) -> None:
        await self.run("seal", "look", "renew", "letters", "health", "sweep", "telemetry")


@pytest.fixture
async def witness(log: io.StringIO, store: Store, tmp_path: Path) -> AsyncGenerator[Witness, None]:
    async with open_front(store, tmp_path) as front, post_office() as office:
        shop = replace(front.shop, mailer=Mailer(office.smtp(), Address("Shop", addr_spec="keys@shop.test")))
        await a_code(store, "SPRING")
        await a_code(store, "GIFT", "free_license", 0)
        await a_tier(store, "free", price_value=0)
        await a_tier(store, "try", price_value=9900, trial_days=14, trial_needs="fingerprint")
        async with browse(doors_of(shop)) as http:
            http.base_url = httpx.URL("http://shop.test")
            yield Witness(replace(front, shop=shop, http=http), shop, office)
        await shop.telemetry.close()


async def test_a_full_story_leaves_no_secret_behind(witness: Witness, log: io.StringIO, tmp_path: Path) -> None:
    witness.secrets |= {"e-mail": EMAIL, "note": NOTE, "fingerprint": FINGERPRINT}
    witness.secrets |= {"cancel reason": CANCELS, "price reason": COSTS}
    witness.secrets |= {"admin key": ADMIN_KEY, "wrong admin key": WRONG_KEY, "scoped key": SCOPED}
    hook = witness.shop.tills.all()[0].connection.secrets["webhook_secret"]
    witness.secrets |= {"provider key": API_KEY, "webhook secret": hook}
    await buys(witness)
    await uses(witness)
    await subscribes(witness)
    await recovers(witness)
    await operators_come_and_go(witness)
    await strangers_try(witness)
    await all_breaks(witness)
    assert {200, 400, 401, 403, 404, 405, 409, 413, 415, 422, 500, 503} <= set(witness.statuses)

    lines = log.getvalue().splitlines()
    assert {"order.unfulfilled", "sweep.unanswered", "letter.refused"} <= {json.loads(line)["event"] for line in lines}
    assert any("failed (request" in line for line in lines)
    written = [("log", line) for line in lines]
    written += [cell for file in ("keysat", "telemetry") for cell in cells(tmp_path, file)]
    assert {place for place, _ in written} >= {"events.body", "attention.reason", "letters.failure", "outcomes.outcome"}
    expected = {(name, place) for name, places in HOMES.items() for place in places}
    assert leaks(witness.secrets, written) == expected


def cells(folder: Path, file: str) -> Iterable[Written]:
    """Every cell of every table, whoever wrote it."""
    with closing(sqlite3.connect(folder / f"{file}.db")) as database:
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            rows = database.execute(f'SELECT * FROM "{table}"')
            names = [column[0] for column in rows.description]
            for row in rows:
                for name, value in zip(names, row, strict=True):
                    words = value.decode("latin-1") if isinstance(value, bytes) else str(value)
                    yield f"{table}.{name}", words


async def buys(witness: Witness) -> None:
    """An order that is paid for, asked for twice; and refusals of others like it."""
    body = {"product": "app", "policy_slug": "pro", "code": "SPRING", "buyer_email": EMAIL, "buyer_note": NOTE}
    once = {"headers": {"Idempotency-Key": "once"}}
    made = await witness.ask("POST", "/v1/purchase", 200, json=body, **once)
    assert await witness.ask("POST", "/v1/purchase", 200, json=body, **once) == made
    await witness.ask("POST", "/v1/purchase", 422, json=body | {"buyer_note": NOTE + "!"}, **once)
    await witness.ask("POST", "/v1/purchase", 400, json=body | {"code": EMAIL})
    await witness.ask("POST", "/v1/purchase", 404, json=body | {"product": EMAIL})
    order = await witness.front.order()
    witness.secrets |= {"invoice id": order.invoice_id, "claim code": claim_code(witness.shop.vault, order.id)}
    await witness.ask("GET", f"/v1/purchase/{order.invoice_id}", 200)
    await witness.front.counter.pay(order)
    done = await witness.ask("GET", f"/v1/purchase/{order.invoice_id}", 200)
    witness.secrets |= {"license key": done["license_key"], "signature": done["license_key"].rpartition("-")[2]}
    page = await witness.ask("GET", f"/thank-you?invoice_id={order.invoice_id}", 200, headers=BROWSER)
    assert witness.secrets["claim code"] in page
    await witness.all_jobs()
    assert witness.office.letters[0]["To"] == EMAIL


async def uses(witness: Witness) -> None:
    key = witness.secrets["license key"]
    device = {"key": key, "fingerprint": FINGERPRINT}
    for path in ("validate", "machines/activate", "machines/heartbeat", "machines/deactivate", "machines/deactivate"):
        await witness.ask("POST", f"/v1/{path}", 200, json=device)
    await witness.ask("POST", "/v1/validate", 200, json=device | {"product_slug": "other"})
    await witness.ask("POST", "/v1/validate", 200, json={"key": key[:-3] + "AAA", "fingerprint": FINGERPRINT})
    await witness.ask("POST", "/v1/machines/activate", 400, json={"key": key[:60], "fingerprint": FINGERPRINT})
    await witness.ask("POST", "/v1/licenses/refresh", 200, json={"license_key": key})
    await witness.ask("GET", f"/v1/discount-codes/preview?product=app&code={quote(EMAIL)}", 200)
    trial = {"product": "app", "policy_slug": "try", "fingerprint": FINGERPRINT, "buyer_email": EMAIL}
    for status in (200, 409):
        await witness.ask("POST", "/v1/purchase", status, json=trial)
    given = await witness.ask("POST", "/v1/redeem", 200, json={"product": "app", "code": "GIFT", "buyer_email": EMAIL})
    witness.secrets |= {"second key": given["license_key"]}


async def subscribes(witness: Witness) -> None:
    """A month that is paid by the link of the letter, a new price, the buyer's own page, and the end of it."""
    await witness.tier("monthly", 2500)
    key = witness.secrets["subscriber's key"] = await witness.buy("monthly", buyer_email=EMAIL)
    row = await witness.subscription()
    token = witness.secrets["pay token"] = pay_token(witness.shop.vault, row.id)
    witness.front.counter.clock.move(row.paid_through)
    witness.front.counter.fake.fail_next(Accident.BROKEN, method="POST")
    await witness.all_jobs()
    witness.front.counter.clock.move(row.paid_through + timedelta(minutes=5))
    await witness.all_jobs()
    await witness.ask("GET", f"/pay/{token}", 200, headers=BROWSER)
    await witness.ask("POST", f"/pay/{token}", 303, headers=BROWSER)
    await witness.pay(await witness.renewal())
    price = {"value": 2600, "reason": COSTS}
    await witness.ask("POST", f"/v1/admin/subscriptions/{row.id}/price", 200, json=price, headers=ADMIN)
    await witness.all_jobs()
    await witness.ask("GET", f"/pay/{token[:-1]}", 404, headers=BROWSER)
    for act in ("", "download", "keep_on", "dance"):
        status = {"keep_on": 409, "dance": 400}.get(act, 200)
        form = {"license_key": key, "act": act}
        await witness.ask("POST", "/license", status, data=form, headers=BROWSER | {"Origin": PUBLIC_URL})
    await witness.ask("POST", "/v1/subscriptions/cancel", 200, json={"license_key": key, "reason": CANCELS})
    await witness.all_jobs()


async def recovers(witness: Witness) -> None:
    """By address, by claim code and by a mailed link, which the mail server refuses once; and a key that leaked."""
    order_id, code = witness.secrets["invoice id"], witness.secrets["claim code"]
    async with witness.shop.read() as read:
        order = await order_by_invoice(read, order_id)
    for told in ({"email": EMAIL}, {"claim_code": code}):
        await witness.ask("POST", "/v1/recover", 200, json={"invoice_id": order_id} | told)
    await witness.ask("POST", "/v1/recover", 404, json={"invoice_id": order_id, "email": "x" + EMAIL})
    await witness.ask("POST", "/v1/recover", 200, json={"invoice_id": order.support_reference, "email": EMAIL})
    async with witness.shop.read() as read:
        link = (await read.session.scalars(select(OneTimeLink))).one()
    token = witness.secrets["one-time token"] = token_of(witness.shop.vault, link.id)
    links = f"http://shop.test/recover/{token} http://shop.test/thank-you?invoice_id={order_id}"
    witness.office.data_answer = f"451 <{EMAIL}>: blocked for {links}"
    await witness.all_jobs()
    for method, status in (("GET", 200), ("POST", 200), ("POST", 404)):
        await witness.ask(method, f"/recover/{token}", status, headers=BROWSER)
    body = {"license_key": witness.secrets["license key"], "claim_code": code}
    answer = await witness.ask("POST", "/v1/licenses/replace-key", 200, json=body, headers={"Idempotency-Key": "new"})
    witness.secrets["new key"] = answer["license_key"]
    await witness.ask("POST", "/v1/licenses/replace-key", 404, json=body | {"claim_code": code[::-1]})


async def operators_come_and_go(witness: Witness) -> None:
    """An account and a key are made, logins fail and succeed, the second step is switched on. ASVS 16.2.5."""
    named = {"name": OPERATOR, "role": "owner"}
    made = await witness.ask("POST", "/v1/admin/accounts", 200, json=named, headers=ADMIN | {"Idempotency-Key": "one"})
    key = await witness.ask("POST", "/v1/admin/api-keys", 200, json={"label": LABEL, "role": "support"}, headers=ADMIN)
    witness.secrets |= {"operator": OPERATOR, "label": LABEL, "password": made["password"], "made key": key["token"]}
    witness.secrets |= {"mistyped": MISTYPED}
    await witness.ask("GET", "/v1/admin/orders", 200, headers={"Authorization": f"Bearer {key['token']}"})
    browser = BROWSER | {"Origin": PUBLIC_URL}
    for form in ({"name": MISTYPED, "password": OPERATOR}, {"name": OPERATOR, "password": MISTYPED}):
        await witness.ask("POST", "/admin/login", 401, data=form, headers=browser)
    password = {"password": made["password"]}
    await witness.ask("POST", "/admin/login", 303, data=password | {"name": OPERATOR}, headers=browser)
    token = witness.secrets["session token"] = witness.front.http.cookies["keysat_session"]
    browser |= {"Cookie": f"keysat_session={token}"}
    page = await witness.ask("POST", "/admin/account/totp", 200, data=password, headers=browser)
    [seed], [offer] = re.findall(r'"seed">([A-Z2-7 ]+)<', page), re.findall(r'"offer" value="([^"]+)"', page)
    witness.secrets["seed"] = seed.replace(" ", "")
    form = {
        "offer": offer,
        "code": totp.code(base64.b32decode(witness.secrets["seed"]), totp.step_of(witness.shop.now())),
    }
    page = await witness.ask("POST", "/admin/account/totp/on", 200, data=form, headers=browser)
    witness.secrets["recovery code"] = re.findall(r"<code>([a-z2-7-]{29})</code>", page)[0]
    witness.secrets["second token"] = witness.front.http.cookies["keysat_session"]


async def strangers_try(witness: Witness) -> None:
    """Secrets where they do not belong: in paths, queries, bodies that cannot be read, and wrong credentials."""
    key, order_id = witness.secrets["license key"], witness.secrets["invoice id"]
    hook = f"/v1/btcpay/webhook/{witness.shop.tills.all()[0].id}"
    for bearer in (WRONG_KEY, SCOPED):
        await witness.ask("GET", "/v1/admin/orders", 403, headers={"Authorization": f"Bearer {bearer}"})
    await witness.ask("GET", f"/v1/admin/orders?email={quote(EMAIL)}", 400, headers=ADMIN)
    await witness.ask("POST", hook, 401, json={"invoiceId": order_id}, headers={"BTCPay-Sig": "sha256=" + 64 * "0"})
    await witness.ask("GET", f"/v1/purchase/{key}", 404)
    await witness.ask("GET", f"/v1/{order_id}/{key}?key={key}&email={quote(EMAIL)}&invoice_id={order_id}", 404)
    await witness.ask("GET", f"/{quote(NOTE)}?{order_id}", 404, headers=BROWSER)
    await witness.ask("DELETE", f"/v1/purchase/{order_id}", 405)
    await witness.ask("POST", "/v1/validate", 415, content=key, headers={"Content-Type": "text/plain"})
    await witness.ask("POST", "/v1/validate", 413, json={"key": key + 70_000 * "A"})
    await witness.ask("POST", "/v1/recover", 400, json={"invoice_id": order_id, "email": [EMAIL]})
    shown = await witness.ask("POST", "/v1/licenses/refresh", 200, json={"license_key": witness.secrets["second key"]})
    replaced = await witness.ask("POST", f"/v1/admin/licenses/{shown['license_id']}/replace-key", 200, headers=ADMIN)
    witness.secrets["third key"] = replaced["license_key"]
    await witness.ask(
        "POST", "/v1/admin/products", 409, json={"slug": "app", "name": EMAIL, "price_sats": 1}, headers=ADMIN
    )


async def all_breaks(witness: Witness) -> None:
    """The provider, and tables that are not there, while requests full of secrets come in."""
    counter, order_id = witness.front.counter, witness.secrets["invoice id"]
    device = {"key": witness.secrets["new key"], "fingerprint": FINGERPRINT}
    made = await witness.ask(
        "POST", "/v1/purchase", 200, json={"product": "app", "code": "SPRING", "buyer_email": EMAIL}
    )
    async with witness.shop.read() as read:
        order = await order_by_invoice(read, made["invoice_id"])
    async with away(witness, "redemptions"):
        await counter.pay(order)
    for accident in (Accident.BROKEN, Accident.LOCKED_OUT):
        counter.fake.fail_next(accident, times=20)
        await witness.all_jobs()
        counter.fake.mishaps.clear()
    async with away(witness, "machines"):
        for path in ("validate", "machines/activate"):
            await witness.ask("POST", f"/v1/{path}", 500, json=device)
    async with away(witness, "orders"):
        await witness.ask("GET", f"/v1/purchase/{order_id}", 503)
        await witness.ask("GET", f"/thank-you?invoice_id={order_id}", 503, headers=BROWSER)
        await witness.ask("POST", "/v1/recover", 503, json={"invoice_id": order_id, "email": EMAIL})
    async with away(witness, "customers"):
        await witness.ask(
            "POST", "/v1/purchase", 503, json={"product": "app", "buyer_email": EMAIL, "buyer_note": NOTE}
        )
    await witness.all_jobs()


@asynccontextmanager
async def away(witness: Witness, table: str) -> AsyncGenerator[None, None]:
    """The table has another name meanwhile."""
    for before, after in ((table, "elsewhere"), ("elsewhere", table)):
        async with witness.shop.work(TESTER) as work:
            await work.session.execute(text(f"ALTER TABLE {before} RENAME TO {after}"))
        if after == "elsewhere":
            yield
