"""Everything for its owner, in lines; and what a key that is not the owner's may not have."""

import json

import httpx
import pytest

from keysat.schema import metadata
from keysat.upkeep.export import is_secret, told
from tests.web.conftest import ADMIN, ADMIN_KEY

pytestmark = pytest.mark.once


async def test_the_owner_has_everything_in_lines_and_it_is_recorded(client: httpx.AsyncClient) -> None:
    client.headers.update(ADMIN)
    body = {"slug": "app", "name": "App", "price_currency": "USD", "price_value": 0}
    assert (await client.post("/v1/admin/products", json=body)).status_code == 200
    bought = (await client.post("/v1/purchase", json={"product": "app", "buyer_email": "ann@example.org"})).json()
    answer = await client.get("/v1/admin/export")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson")
    rows = [json.loads(line) for line in answer.text.splitlines()]
    found = {row["table"] for row in rows}
    assert found >= {"products", "orders", "licenses", "customers", "issuer_keys", "events"}
    assert [row["row"]["email"] for row in rows if row["table"] == "customers"] == ["ann@example.org"]
    assert bought["license_key"] not in answer.text
    assert ADMIN_KEY not in answer.text
    assert "shop.exported" in [row["row"]["name"] for row in rows if row["table"] == "events"]


async def test_a_key_that_is_not_the_owners_exports_and_erases_nothing(client: httpx.AsyncClient) -> None:
    made = await client.post("/v1/admin/api-keys", json={"label": "ci", "role": "full-admin"}, headers=ADMIN)
    key = {"Authorization": f"Bearer {made.json()['token']}"}
    nobody = "01a0c3d6-5a00-71cd-90dc-5d1f47c1c739"
    assert (await client.get("/v1/admin/export", headers=key)).status_code == 403
    assert (await client.post(f"/v1/admin/customers/{nobody}/erase", headers=key)).status_code == 403
    assert (await client.get(f"/v1/admin/customers/{nobody}/export", headers=key)).status_code == 404
    assert (await client.post(f"/v1/admin/customers/{nobody}/erase", headers=ADMIN)).status_code == 404


def test_no_column_that_holds_a_secret_is_told() -> None:
    """A new table is told without a word here: bytes are not, and neither is what is named as a secret."""
    secret = {f"{table.name}.{column.name}" for table in metadata.sorted_tables for column in table.columns} - {
        f"{table.name}.{column.name}" for table in metadata.sorted_tables for column in told(table)
    }
    assert secret >= {
        "issuer_keys.sealed_seed",
        "provider_connections.secrets_sealed",
        "accounts.password_hash",
        "accounts.totp_sealed",
        "sessions.hash",
        "api_keys.hash",
        "one_time_links.hash",
        "idempotent_answers.answer_sealed",
        "event_origins.salt",
        "house.value",
        "trials.hash",
    }
    assert not any(is_secret(column) for column in metadata.tables["licenses"].columns)
    assert not is_secret(metadata.tables["events"].columns["sealed"])
