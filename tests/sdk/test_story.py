"""The existing SDKs work unchanged: each buys, polls, verifies and validates at a real shop over HTTP."""

from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from keysat.infra.store import Store
from tests.catalog.shelf import a_code, a_product, a_tier
from tests.sdk import go, python, typescript
from tests.sdk.client import Client, PublicKey, ServerError, required, without
from tests.sdk.go import Go
from tests.sdk.offline import KeyRefused
from tests.sdk.python import Python
from tests.sdk.typescript import TypeScript
from tests.web.conftest import ADMIN
from tests.web.selling import Front, open_front

pytestmark = pytest.mark.once

APP = {"product_slug": "studio", "hostname": "desk", "platform": "linux"}
PURCHASE = ("invoice_id", "btcpay_invoice_id", "checkout_url", "poll_url")
BUYER = {"buyer_email": "ann@example.org", "buyer_note": "für Ann", "redirect_url": "https://app.example/thanks"}


@pytest.fixture
async def front(store: Store, tmp_path: Path) -> AsyncGenerator[Front, None]:
    async with open_front(store, tmp_path) as front:
        core = {"slug": "core", "name": "Core", "description": "All of it"}
        await a_product(store, "studio", price_currency="USD", price_value=2500, entitlements_catalog=[core])
        pro = {"price_sats_override": 7500, "max_machines": 2, "duration_seconds": 31_536_000, "entitlements": ["core"]}
        await a_tier(store, "pro", "studio", **pro)
        await a_tier(store, "free", "studio", price_value=0)
        await a_code(store, "FIFTH")
        await a_code(store, "GIFT", "free_license", 0)
        yield front


def noon(front: Front) -> int:
    return int(front.counter.now.timestamp())


async def previewed(front: Front, code: str) -> int:
    """No SDK asks for it; the app's own page does."""
    query = {"code": code, "product": "studio", "policy_slug": "pro"}
    return (await front.http.get("/v1/discount-codes/preview", params=query)).json()["final_price_sats"]


async def recovered(front: Front, invoice_id: str) -> str:
    """No SDK asks for it either."""
    body = {"invoice_id": invoice_id, "email": BUYER["buyer_email"]}
    return (await front.http.post("/v1/recover", json=body)).json()["license_key"]


async def pay(front: Front) -> None:
    await front.counter.pay(await front.order())


async def revoke(front: Front, license_id: str) -> None:
    answer = await front.http.post(f"/v1/admin/licenses/{license_id}/revoke", json={"reason": "x"}, headers=ADMIN)
    assert answer.status_code == 200, answer.text


def each_loss_is_noticed(sdk: Client) -> None:
    """For every answer that was read, and every field of it that this SDK needs: without it, reading fails."""
    assert {shape.__name__ for shape, _ in sdk.heard} >= {"PublicKey", "Tiers", "Purchase", "Validation"}
    for shape, said in sdk.heard:
        for path in required(shape, said):
            with pytest.raises(msgspec.ValidationError):
                msgspec.convert(without(said, path), shape)


@pytest.mark.parametrize("kind", [Python, TypeScript])
async def test_an_app_sells_and_licenses_itself(front: Front, kind: type[Python | TypeScript]) -> None:
    sdk = kind(front.http)
    pem = await sdk.public_key()
    listed = await sdk.tiers("studio")
    assert listed.product
    assert isinstance(listed.product.entitlements_catalog, list)
    assert isinstance(listed.policies, list)
    assert [(tier.slug, tier.price_sats, tier.max_machines) for tier in listed.policies] == [
        ("free", 0, 1),
        ("pro", 7500, 2),
    ]
    assert (listed.product.base_price_sats, listed.policies[1].duration_seconds) == (50_000, 31_536_000)
    assert [feature.name for feature in listed.product.entitlements_catalog] == ["Core"]

    made = await sdk.purchase("studio", policy_slug="pro", code="FIFTH", **BUYER)
    assert made.amount_sats == await previewed(front, "FIFTH") == 120_000
    assert made.poll_url.endswith(f"/v1/purchase/{made.invoice_id}")
    assert (await sdk.poll(made.invoice_id)).status == "pending"
    done = await sdk.wait_for_license(made.invoice_id, lambda: pay(front))
    assert done.status == "settled"
    key = str(done.license_key)
    said = sdk.verify(key, pem, noon(front))
    assert (str(said.license_id), said.entitlements) == (done.license_id, ("core",))
    assert await recovered(front, made.invoice_id) == key

    good = await sdk.validate(key, fingerprint="one", **APP)
    assert (good.ok, good.status, good.max_machines, good.entitlements) == (True, "active", 2, ["core"])
    came = await sdk.activate(key, "one", hostname="desk", platform="linux")
    assert (came.ok, came.machine_id, came.active_count) == (True, good.machine_id, 1)
    assert (await sdk.heartbeat(key, "one")).machine_id == good.machine_id
    assert (await sdk.heartbeat(key, "two")).reason == "not_activated"
    assert (await sdk.activate(key, "two")).ok
    full = await sdk.activate(key, "three")
    assert (full.ok, full.machine_id, full.reason, full.max_machines) == (False, None, "too_many_machines", 2)
    assert (await sdk.deactivate(key, "one", "sold the computer")).ok
    assert (await sdk.deactivate(key, "one")).reason == "not_found"

    await redeems(sdk, front)
    await refuses(sdk, front)
    await revoke(front, str(done.license_id))
    refused = await sdk.validate(key)
    assert (refused.ok, refused.reason) == (False, "revoked")
    gone = await sdk.poll(made.invoice_id)
    assert (gone.status, gone.license_key, gone.license_id) == ("settled", None, done.license_id)
    each_loss_is_noticed(sdk)


async def redeems(sdk: Python | TypeScript, front: Front) -> None:
    """What is free is never looked for in the purchase's own answer: it must be there for the poll."""
    free = await sdk.purchase("studio", policy_slug="free", code="", redirect_url="")
    assert (free.checkout_url, free.amount_sats) == ("", 0)
    assert (await sdk.poll(free.invoice_id)).license_key
    gift = await sdk.redeem("studio", "gift", buyer_email="bob@example.org", buyer_note="thanks")
    assert gift.redemption_id
    polled = await sdk.poll(gift.invoice_id)
    assert (polled.license_key, polled.license_id) == (gift.license_key, gift.license_id)


async def refuses(sdk: Python | TypeScript, front: Front) -> None:
    """Refusals that are errors, and an order that comes to nothing."""
    with pytest.raises(ServerError, match="not_found") as missing:
        await sdk.purchase("nothing")
    assert missing.value.status == 404
    with pytest.raises(ServerError, match="requires payment") as dear:
        await sdk.redeem("studio", "FIFTH")
    assert dear.value.status == 400
    made = await sdk.purchase("studio", policy_slug="pro")
    ended = await sdk.wait_for_license(made.invoice_id, lambda: front.counter.travel(hours=2))
    assert (ended.status, ended.license_key or None) == ("expired", None)


async def test_an_app_in_go_buys_and_validates(front: Front) -> None:
    """What it has no call for, its user's browser does."""
    sdk = Go(front.http)
    pem = await sdk.public_key()
    listed = await sdk.tiers("studio")
    assert [(tier.slug, tier.price_sats, tier.entitlements) for tier in listed.policies] == [
        ("free", 0, []),
        ("pro", 7500, ["core"]),
    ]
    assert [feature.slug for feature in listed.product.entitlements_catalog] == ["core"]
    made = await sdk.purchase("studio", policy_slug="pro", code="FIFTH", **BUYER)
    assert (made.amount_sats, made.base_price_sats, made.discount_applied_sats) == (120_000, 150_000, 30_000)
    await pay(front)
    key = await recovered(front, made.invoice_id)
    said = sdk.verify(key, pem, noon(front))
    good = await sdk.validate(key, fingerprint="one", **APP)
    assert (good.ok, good.license_id, good.product_slug) == (True, str(said.license_id), "studio")
    assert good.machine_id
    assert (await sdk.validate(key, product_slug="other")).reason == "product_mismatch"
    with pytest.raises(ServerError) as missing:
        await sdk.tiers("nothing")
    assert missing.value.status == 404
    each_loss_is_noticed(sdk)


async def test_a_trial_in_its_grace_is_read_by_all(front: Front) -> None:
    """The fields that are only there at times: expiry, grace and trial."""
    await a_tier(front.shop.store, "team", "studio", price_value=9900, trial_days=14, grace_seconds=7200)
    made = await Python(front.http).purchase("studio", policy_slug="team", buyer_email=BUYER["buyer_email"])
    assert (made.checkout_url, made.amount_sats) == ("", 0)
    key = (await Python(front.http).poll(made.invoice_id)).license_key
    assert key
    with pytest.raises(ServerError, match="conflict"):
        await Go(front.http).purchase("studio", policy_slug="team", buyer_email=BUYER["buyer_email"])
    front.counter.clock.move(front.counter.now + timedelta(days=14, hours=1))
    for sdk in (Python(front.http), TypeScript(front.http), Go(front.http)):
        seen = await sdk.validate(key)
        assert (seen.ok, seen.in_grace_period, seen.is_trial) == (True, True, True)
        assert str(seen.grace_until) > str(seen.expires_at) > str(seen.issued_at)
        pem = await sdk.public_key()
        with pytest.raises(KeyRefused, match="expired"):
            sdk.verify(key, pem, noon(front) + 7200)
    front.counter.clock.move(front.counter.now + timedelta(hours=2))
    for sdk in (Python(front.http), TypeScript(front.http), Go(front.http)):
        assert (await sdk.validate(key)).reason == "expired"


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        (PublicKey, {"public_key_pem": None}),
        (go.Validation, {"ok": "true"}),
        (go.Validation, {"ok": True, "max_machines": 2.0}),
        (go.Validation, {"ok": True, "entitlements": [7]}),
        (python.Tier, {"max_machines": None}),
        (python.Product, {"base_price_sats": None}),
        (typescript.Validation, {"ok": False, "reason": None}),
        (typescript.Tiers, {"product": None, "policies": []}),
        (typescript.Purchase, {**dict.fromkeys(PURCHASE, ""), "amount_sats": "98000"}),
    ],
)
def test_a_wrong_type_breaks_a_client(shape: type[msgspec.Struct], said: dict[str, Any]) -> None:
    """8.4: what each language trips over, so that the stories above can fail."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(said, shape)
