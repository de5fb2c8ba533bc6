import json
from typing import Any

import httpx
import pytest
from litestar import post
from litestar.params import JSONBody

from keysat.upkeep.shop import Shop
from keysat.web.idempotency import CREATES
from keysat.web.wire import Inbound, Line
from tests.web.conftest import browse, doors_of

pytestmark = pytest.mark.once


class Baking(Inbound, frozen=True, kw_only=True):
    kind: Line


@post("/v1/loaves", status_code=200, operation_id="bake", opt=CREATES)
async def bake(data: JSONBody[Baking]) -> None: ...


@pytest.fixture
async def document(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.get("/v1/openapi.json")
    assert answer.headers["content-type"].startswith("application/json")
    return answer.json()


async def test_the_api_is_described_without_help_from_elsewhere(document: dict[str, Any]) -> None:
    assert str(document["openapi"]).startswith("3.1")
    assert "cdn" not in json.dumps(document)


async def test_every_operation_is_named_and_tells_its_errors_as_problems(document: dict[str, Any]) -> None:
    paths = document["paths"]
    seen: set[str] = set()
    for path, methods in paths.items():
        for method, operation in methods.items():
            assert operation["operationId"] not in seen, (path, method)
            seen.add(operation["operationId"])
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    assert list(answer["content"]) == ["application/problem+json"], (path, method, status)
    assert {"validateLicense", "getPubkey"} <= seen


async def test_only_the_admin_api_wants_a_bearer(document: dict[str, Any]) -> None:
    paths = document["paths"]
    for path, methods in paths.items():
        for operation in methods.values():
            security = operation.get("security", document.get("security"))
            assert security == ([{"adminKey": []}] if path.startswith("/v1/admin") else [{}]), path


async def test_a_creating_operation_tells_of_its_idempotency_key(shop: Shop) -> None:
    async with browse(doors_of(shop, bake)) as client:
        first, second = [(await client.get("/v1/openapi.json")).json() for _ in range(2)]
    operation = first["paths"]["/v1/loaves"]["post"]
    assert [parameter["name"] for parameter in operation["parameters"]] == ["Idempotency-Key"]
    assert {"200", "400", "409", "422"} <= set(operation["responses"])
    assert first == second
