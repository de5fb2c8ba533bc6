"""What every door of the operator has in common: strict, and of one version. Who gets in: `test_who_may.py`."""

from importlib.metadata import version
from typing import Any

import httpx
import pytest

from tests.web.conftest import ADMIN

pytestmark = pytest.mark.once


@pytest.mark.parametrize("expires_at", ["soon", "2026-13-01", "2030-01-01T00:00:00", "", None, 7])
async def test_an_end_that_is_no_moment_is_not_taken(client: httpx.AsyncClient, expires_at: object) -> None:  # W-36
    client.headers.update(ADMIN)
    await client.post("/v1/admin/products", json={"slug": "app", "name": "App", "price_sats": 5000})
    answer = await client.post("/v1/admin/licenses", json={"product_slug": "app", "expires_at": expires_at})
    assert (answer.status_code, answer.json()["error"]) == (400, "bad_request")
    assert (await client.get("/v1/admin/licenses")).json()["licenses"] == []


@pytest.mark.parametrize("field", [{"tip_recipient": "a@b.test"}, {"tip_pct_bps": 100}, {"tip_label": "Thanks"}])
async def test_a_tip_that_nobody_would_pay_is_not_taken(client: httpx.AsyncClient, field: dict[str, Any]) -> None:
    """D-31: Keysat pays nobody out."""
    client.headers.update(ADMIN)
    await client.post("/v1/admin/products", json={"slug": "app", "name": "App", "price_sats": 5000})
    body = {"product_slug": "app", "slug": "pro", "name": "Pro"}
    refused = await client.post("/v1/admin/policies", json=body | field)
    assert (refused.status_code, next(iter(field)) in refused.json()["message"]) == (400, True)
    assert (await client.post("/v1/admin/policies", json=body)).status_code == 200


async def test_all_that_tell_a_version_tell_the_same(client: httpx.AsyncClient) -> None:  # D-37
    document = (await client.get("/v1/openapi.json")).json()
    root = (await client.get("/", headers={"Accept": "application/json"})).json()
    assert {document["info"]["version"], root["version"]} == {version("keysat")}
