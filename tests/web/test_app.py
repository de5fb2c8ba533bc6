import httpx
import pytest

from keysat.upkeep.shop import Shop
from keysat.web.app import create_app
from tests.web.conftest import browse

pytestmark = pytest.mark.once


async def test_nothing_stands_beside_the_document(client: httpx.AsyncClient) -> None:
    for path in ("/v1", "/v1/openapi.yaml", "/schema", "/v1/swagger"):
        assert (await client.get(path)).status_code == 404, path


async def test_the_served_app_is_the_same(shop: Shop) -> None:
    async with browse(create_app(shop)) as client:
        assert (await client.get("/healthz")).json() == {"ok": True}
