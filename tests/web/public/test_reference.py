"""The page of the API, as a browser without JavaScript reads it."""

import re
from html import unescape

import httpx
import pytest

from keysat.web.openapi import document
from keysat.web.public.reference import kind, prose
from tests.web.conftest import BROWSER, bare

pytestmark = pytest.mark.once


async def test_the_page_tells_all_of_the_document_and_leads_nowhere_else(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/docs", headers=BROWSER)
    assert answer.status_code == 200
    assert "http" not in answer.headers["content-security-policy"]
    text, told = answer.text, document(bare())
    ids = set(re.findall(r'\bid="([^"]+)"', text))
    operations = [operation for methods in told["paths"].values() for operation in methods.values()]
    assert {operation["operationId"] for operation in operations} <= ids
    assert {f"shape-{name}" for name in told["components"]["schemas"]} <= ids
    addresses = set(re.findall(r'\b(?:href|src|action)="([^"]+)"', text))
    assert {address[1:] for address in addresses if address.startswith("#")} <= ids
    assert {address for address in addresses if not address.startswith(("#", "/"))} == set()
    assert "<style" not in text
    assert 'style="' not in text
    assert "<script>" not in text
    assert "nonce=" not in text  # the page is kept


async def test_an_example_is_a_line_for_the_shell(client: httpx.AsyncClient) -> None:
    text = unescape((await client.get("/v1/docs")).text)
    assert "curl -X POST \\\n  https://shop.test/v1/validate \\\n  -H 'Content-Type: application/json' \\\n" in text
    pinned = (
        "curl -X PUT \\\n  https://shop.test/v1/admin/rates/EUR/pin \\\n"
        '  -H "Authorization: Bearer $KEYSAT_ADMIN_API_KEY" \\\n'
        "  -H 'Content-Type: application/json' \\\n  -d '{\"price\": \"92000.00\"}'"
    )
    assert pinned in text


async def test_the_front_page_leads_to_it(client: httpx.AsyncClient) -> None:
    assert 'href="/v1/docs"' in (await client.get("/", headers=BROWSER)).text


def test_words_of_the_code_stay_words() -> None:
    assert prose("`<b>` & more\n\nNext") == "<code>&lt;b&gt;</code> &amp; more<br>Next"
    tier = {"type": "array", "items": {"$ref": "#/components/schemas/Tier"}}
    assert kind({"oneOf": [tier, {"type": "null"}]}) == 'list of <a href="#shape-Tier">Tier</a> or null'
    assert kind({"type": "object", "additionalProperties": {"type": "integer"}}) == "map of whole number"
    assert kind({}) == "anything"
