import httpx
import pytest

from keysat.web.html import static

pytestmark = pytest.mark.once

FOR_EVER = "public, max-age=31536000, immutable"


@pytest.mark.parametrize("name", ["keysat.css", "keysat.js", "icons/keysat.svg"])
async def test_a_file_by_the_address_its_pages_give_is_kept_for_ever(client: httpx.AsyncClient, name: str) -> None:
    answer = await client.get(static(name))
    assert (answer.status_code, answer.headers.get_list("cache-control")) == (200, [FOR_EVER])


@pytest.mark.parametrize("query", ["", "?v=", "?v=0123456789ab"])
async def test_by_any_other_address_it_is_kept_for_a_day(client: httpx.AsyncClient, query: str) -> None:
    answer = await client.get(f"/static/keysat.css{query}")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "max-age=86400, public")


async def test_nothing_beside_the_folder_is_served(client: httpx.AsyncClient) -> None:
    assert (await client.get("/static/../pyproject.toml")).status_code == 404
    assert (await client.get("/static/%2e%2e/pyproject.toml")).status_code == 404
