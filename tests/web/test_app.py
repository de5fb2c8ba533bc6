import httpx
import pytest

from keysat.upkeep.shop import Shop
from keysat.web.app import create_app
from tests.web.conftest import browse

pytestmark = pytest.mark.once


async def test_nothing_stands_beside_the_document(client: httpx.AsyncClient) -> None:
    for path in ("/v1", "/v1/openapi.yaml", "/schema", "/v1/swagger"):
        assert (await client.get(path)).status_code == 404, path


async def test_static_files_may_be_kept_for_a_day(client: httpx.AsyncClient) -> None:
    answer = await client.get("/static/.gitkeep")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "max-age=86400, public")
    assert (await client.get("/static/../pyproject.toml")).status_code == 404
    assert (await client.get("/static/%2e%2e/pyproject.toml")).status_code == 404


async def test_the_served_app_is_the_same(shop: Shop) -> None:
    async with browse(create_app(shop)) as client:
        assert (await client.get("/healthz")).json() == {"ok": True}
