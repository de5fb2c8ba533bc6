from typing import Any
from uuid import UUID

import httpx
import pytest

from keysat.licenses.issue import Terms, issue, key_text, revoke
from keysat.licenses.tables import License
from keysat.upkeep.shop import Shop
from tests.catalog.shelf import a_product
from tests.conftest import TESTER
from tests.web.conftest import Watch, browse, doors_of


@pytest.fixture
async def license(shop: Shop) -> License:
    product = await a_product(shop.store, "app")
    async with shop.work(TESTER) as work:
        terms = Terms(product.id, None, max_machines=2, entitlements=("core",))
        return await issue(work, terms, order_id=None, customer_id=None, source="manual")


@pytest.fixture
async def key(license: License, shop: Shop) -> str:
    async with shop.read() as read:
        return await key_text(read, license, shop.ring)


async def ask(client: httpx.AsyncClient, path: str, **body: Any) -> dict[str, Any]:
    answer = await client.post(f"/v1/{path}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_good_key_is_told_with_all_the_contract_has(
    client: httpx.AsyncClient, key: str, license: License
) -> None:
    answer = await ask(client, "validate", key=key, product_slug="app", newer_field=1)
    assert answer == {
        "ok": True,
        "license_id": str(license.id),
        "product_id": str(license.product_id),
        "product_slug": "app",
        "issued_at": "2026-01-15T12:00:00Z",
        "entitlements": ["core"],
        "status": "active",
        "max_machines": 2,
    }


async def test_refusals_are_answers(client: httpx.AsyncClient, key: str, license: License, shop: Shop) -> None:
    assert await ask(client, "validate", key="nonsense") == {"ok": False, "reason": "bad_format"}
    assert await ask(client, "validate", key=key, product_slug="else") == {"ok": False, "reason": "product_mismatch"}
    async with shop.work(TESTER) as work:
        await revoke(work, license.id, "refunded")
    assert await ask(client, "validate", key=key) == {"ok": False, "reason": "revoked"}


async def test_a_sandbox_says_so(key: str, sandbox: Shop) -> None:
    async with browse(doors_of(sandbox)) as client:
        assert (await ask(client, "validate", key=key))["sandbox"] is True
        assert (await ask(client, "validate", key="nonsense"))["sandbox"] is True


async def test_a_machine_comes_lives_and_goes(client: httpx.AsyncClient, key: str) -> None:
    came = await ask(client, "machines/activate", key=key, fingerprint="one", hostname="desk")
    assert (came["ok"], came["active_count"], came["max_machines"], came["reason"]) == (True, 1, 2, None)
    assert UUID(came["machine_id"])
    one, two = {"key": key, "fingerprint": "one"}, {"key": key, "fingerprint": "two"}
    assert await ask(client, "machines/heartbeat", **one) == {"ok": True, "machine_id": came["machine_id"]}
    assert await ask(client, "machines/heartbeat", **two) == {"ok": False, "reason": "not_activated"}
    assert await ask(client, "machines/deactivate", **one) == {"ok": True}
    assert await ask(client, "machines/deactivate", **one) == {"ok": False, "reason": "not_found"}


async def test_a_seat_too_many_is_refused(client: httpx.AsyncClient, key: str) -> None:
    for fingerprint in ("one", "two"):
        await ask(client, "validate", key=key, fingerprint=fingerprint)
    answer = await ask(client, "machines/activate", key=key, fingerprint="three")
    assert (answer["ok"], answer["machine_id"], answer["reason"]) == (False, None, "too_many_machines")


async def test_a_key_that_is_none_is_an_error_of_the_machine_endpoints(client: httpx.AsyncClient) -> None:
    for path in ("activate", "heartbeat", "deactivate"):
        answer = await client.post(f"/v1/machines/{path}", json={"key": "nonsense", "fingerprint": "one"})
        assert (answer.status_code, answer.json()["error"]) == (400, "bad_request")


async def test_a_license_is_limited_by_itself_and_not_by_its_address(shop: Shop, key: str, watch: Watch) -> None:
    app = doors_of(shop)
    async with browse(app) as client:
        for _ in range(60):
            assert (await ask(client, "validate", key=key))["ok"] is True
        assert (await ask(client, "validate", key="nonsense"))["reason"] == "bad_format"
    async with browse(app, peer="198.51.100.1") as client:
        assert await ask(client, "validate", key=key) == {"ok": False, "reason": "rate_limited"}
        assert (await ask(client, "machines/activate", key=key, fingerprint="one"))["reason"] == "rate_limited"
        assert (await ask(client, "machines/deactivate", key=key, fingerprint="one"))["reason"] == "rate_limited"
        assert (await ask(client, "machines/heartbeat", key=key, fingerprint="one"))["reason"] == "not_activated"
        watch.pass_by(seconds=1)
        answer = await client.post("/v1/validate", json={"key": key})
    assert (answer.json()["ok"], answer.headers["ratelimit"]) == (True, '"license";r=0;t=60')


async def test_guessing_is_limited_by_address(shop: Shop, key: str) -> None:
    app = doors_of(shop)
    async with browse(app) as client:
        for _ in range(60):
            await ask(client, "validate", key="nonsense")
        assert (await ask(client, "validate", key="nonsense"))["reason"] == "rate_limited"
        assert (await ask(client, "validate", key=key))["ok"] is True
        refused = await client.post("/v1/machines/activate", json={"key": "nonsense", "fingerprint": "one"})
        assert (refused.status_code, refused.json()["reason"]) == (200, "rate_limited")
    async with browse(app, peer="198.51.100.1") as client:
        assert (await ask(client, "validate", key="nonsense"))["reason"] == "bad_format"


async def test_an_app_may_leave_out_what_it_does_not_know(client: httpx.AsyncClient, key: str) -> None:
    answer = await ask(client, "validate", key=key, product_slug=None, fingerprint="", hostname=None, platform=None)
    assert (answer["ok"], "machine_id" in answer) == (True, False)
