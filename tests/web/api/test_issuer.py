import hashlib

import httpx

from keysat.licenses.issuers import announce
from keysat.upkeep.shop import Shop
from tests.conftest import TESTER
from tests.web.conftest import BROWSER, browse, doors_of


async def test_the_root_tells_a_program_what_this_is(client: httpx.AsyncClient, shop: Shop) -> None:
    answer = await client.get("/")
    body = answer.json()
    assert answer.status_code == 200
    assert body["service"] == "keysat"
    assert (body["key_algorithm"], body["key_format_version"], body["operator"]) == ("ed25519", 2, None)
    assert body["public_key_pem"].startswith("-----BEGIN PUBLIC KEY-----\n")
    assert "sandbox" not in body
    assert answer.headers["vary"] == "Accept"


async def test_a_sandbox_says_so(sandbox: Shop) -> None:
    async with browse(doors_of(sandbox)) as client:
        assert (await client.get("/")).json()["sandbox"] is True
        assert "sandbox" in (await client.get("/", headers=BROWSER)).text.lower()


async def test_the_root_is_a_page_for_a_browser(client: httpx.AsyncClient) -> None:
    answer = await client.get("/", headers=BROWSER)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "<h1>" in answer.text
    assert "sandbox" not in answer.text.lower()


async def test_all_paths_of_the_public_key_give_the_signing_key(client: httpx.AsyncClient) -> None:
    pem = (await client.get("/")).json()["public_key_pem"]
    assert (await client.get("/v1/pubkey")).json() == {"algorithm": "ed25519", "public_key_pem": pem}
    assert (await client.get("/v1/issuer/public-key")).json() == {
        "public_key_pem": pem,
        "key_algorithm": "ed25519",
        "key_format_version": 2,
    }


async def test_an_announced_key_is_published_before_it_signs(client: httpx.AsyncClient, shop: Shop) -> None:
    async with shop.work(TESTER) as work:
        new = await announce(work, shop.vault)
    await shop.ring.refresh()
    keys = (await client.get("/v1/issuer/keys")).json()["keys"]
    assert sorted(key["status"] for key in keys) == ["announced", "signing"]
    jwks = (await client.get("/.well-known/jwks.json")).json()["keys"]
    assert hashlib.sha256(new.public_key).hexdigest()[:16] in [key["kid"] for key in jwks]
    assert {key["crv"] for key in jwks} == {"Ed25519"}
