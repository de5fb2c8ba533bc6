"""Every door of the operator, found by the document that describes them all: shut, strict and of one version."""

import re
from importlib.metadata import version
from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.web.conftest import ADMIN

pytestmark = pytest.mark.once

WRONG = ({}, {"Authorization": "Bearer "}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic YTpi"})


async def admin_doors(client: httpx.AsyncClient) -> list[tuple[str, str]]:
    document: dict[str, Any] = (await client.get("/v1/openapi.json")).json()
    return [
        (method.upper(), re.sub(r"\{[^}]+\}", "7" if "/attention/" in path else str(UUID(int=7)), path))
        for path, methods in document["paths"].items()
        if path.startswith("/v1/admin")
        for method in methods
    ]


async def test_no_door_of_the_operator_opens_without_the_admin_key(client: httpx.AsyncClient) -> None:  # D-13
    doors = await admin_doors(client)
    assert len(doors) > 20
    for number, (method, path) in enumerate(doors):
        answer = await client.request(method, path, json={}, headers=WRONG[number % 2])
        assert (answer.status_code, answer.json()["error"]) == (401, "unauthorized"), (method, path)
    for headers in WRONG:
        assert (await client.get("/v1/admin/products", headers=headers)).status_code in (401, 403)


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
