"""What holds for every operation of the operator's API, found by walking all of them: a later one cannot forget it."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

import httpx
import pytest

from keysat.web.openapi import Call, operations
from tests.web.conftest import ADMIN

pytestmark = pytest.mark.once

NO_LIST: Mapping[str, str] = {
    "listRates": "a row for each currency that is asked for or pinned",
    "summarizeRevenue": "a row for each currency that was sold in",
    "getSelfLicense": "what one license grants",
    "getTier": "what one license grants",
    "listWebhookEventTypes": "the words there are",
    "getPaymentStatus": "the few providers there are",
    "listBtcpayMethods": "what BTCPay says, word for word",
    "listEvents": "a feed, which goes on after a position",
}
"""Answers with lists in them that have no pages, since they end by themselves."""

ACTS = frozenset(
    {
        *("revokeLicense", "suspendLicense", "unsuspendLicense", "cancelTierChange", "releaseMachine"),
        *("cancelSubscriptionAsOperator", "keepSubscriptionOn", "pauseSubscription", "resumeSubscription"),
        *("retrySubscription", "changeSubscriptionPrice", "refuseOrder", "retryOrder", "settleAttention"),
        *("refreshRate", "setOperatorName", "eraseCustomer", "resetAccount"),
        *("presentSelfLicense", "refreshSelfLicense"),
        *("setDefaultMerchantProfile", "checkProvider", "repairProvider"),
        *("disconnectProvider", "disconnectBtcpay", "disconnectZaprite"),
        *("testWebhookEndpoint", "retireOldWebhookSecrets", "replayWebhookDeliveries", "retryWebhookDelivery"),
    }
)
"""POSTs that make nothing new: done twice, the second does nothing, or is refused for what the first has done."""

Schema = Mapping[str, Any]


def admin_calls(document: Schema) -> Iterator[tuple[str, Call]]:
    return ((name, call) for name, call in operations(document).items() if call.path.startswith("/v1/admin/"))


def answer(call: Call, document: Schema) -> Schema:
    """The schema of what is answered with 200."""
    [shown] = call.operation["responses"]["200"]["content"].values()
    return resolved(shown["schema"], document)


def resolved(schema: Schema, document: Schema) -> Schema:
    if "$ref" in schema:
        return document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def taken(call: Call) -> set[str]:
    return {parameter["name"] for parameter in call.operation.get("parameters", ())}


def address(call: Call) -> str:
    return re.sub(r"\{(\w+)\}", lambda name: "7" if name[1] == "attention_id" else str(UUID(int=7)), call.path)


def is_list(name: str, call: Call, document: Schema) -> bool:
    fields = answer(call, document).get("properties", {})
    has_rows = any(field.get("type") == "array" for field in fields.values()) and not call.path.endswith("}")
    return call.method == "GET" and name not in NO_LIST and ("next_cursor" in fields or has_rows)


async def test_every_list_has_pages_and_refuses_a_filter_that_it_cannot_take(
    client: httpx.AsyncClient, document: dict[str, Any]
) -> None:
    lists = {name: call for name, call in admin_calls(document) if is_list(name, call, document)}
    assert len(lists) > 15
    for name, call in lists.items():
        assert {"limit", "cursor"} <= taken(call), name
        assert {"next_cursor"} <= set(answer(call, document)["required"]), name
        asked = {one["name"]: one for one in call.operation["parameters"] if one["in"] == "query"}
        needed = {one: "x" for one in asked if asked[one]["required"]}
        moments = [one for one in asked if '"date-time"' in json.dumps(asked[one])]
        assert {one for one in asked if one.endswith(("_after", "_before")) or one in ("since", "until")} == {*moments}
        for wrong in (
            *({"nobody_reads_this": "1"}, {"limit": "0"}, {"limit": "201"}, {"limit": ["7", "7"]}),
            *({one: text} for one in moments for text in ("2026", "2026-01-15T12:00:00", "0001-01-01T00:00:00+14:00")),
        ):
            refused = await client.get(address(call), params=needed | wrong, headers=ADMIN)
            assert (refused.status_code, refused.json()["error"]) == (400, "bad_request"), (name, wrong)
            assert next(iter(wrong)) in refused.json()["message"], (name, wrong)


def test_every_post_that_makes_something_takes_an_idempotency_key(document: dict[str, Any]) -> None:
    posts = {name: call for name, call in admin_calls(document) if call.method == "POST"}
    collections = {call.path for name, call in admin_calls(document) if is_list(name, call, document)}
    for name, call in posts.items():
        creates = "Idempotency-Key" in taken(call)
        assert creates != (name in ACTS), f"{name}: opt=CREATES, or a line in ACTS"
        assert creates or call.path not in collections, name
    assert set(posts) >= ACTS


def test_what_can_be_edited_has_an_etag_and_its_edits_take_if_match(document: dict[str, Any]) -> None:
    shown = {call.path: call for _, call in admin_calls(document) if call.method == "GET"}
    edited = {name: call for name, call in admin_calls(document) if call.method in ("PATCH", "PUT", "DELETE")}
    for name, call in edited.items():
        thing = call.path if call.path.endswith("}") else call.path.rpartition("/")[0]
        if thing not in shown:
            assert call.method != "PATCH", f"{name}: what can be edited can be shown, at {thing}"
            continue
        for one, header in ((shown[thing], "If-None-Match"), (call, "If-Match")):
            assert header in taken(one), (name, header)
            tells = "headers" in one.operation["responses"]["200"]
            assert tells == (one.method != "DELETE"), (name, header)
        assert "412" in call.operation["responses"], name


async def test_an_edit_leaves_what_is_absent_and_refuses_what_nobody_reads(
    client: httpx.AsyncClient, document: dict[str, Any]
) -> None:
    for name, call in admin_calls(document):
        if "requestBody" not in call.operation or "application/json" not in call.operation["requestBody"]["content"]:
            continue
        asked = resolved(call.operation["requestBody"]["content"]["application/json"]["schema"], document)
        if call.method == "PATCH" and call.path.endswith("}"):
            assert asked.get("required", []) == [], name
        refused = await client.request(call.method, address(call), json={"nobody_reads_this": 1}, headers=ADMIN)
        assert (refused.status_code, refused.json()["error"]) == (400, "bad_request"), name


def test_every_answer_is_an_object_and_every_refusal_a_problem(document: dict[str, Any]) -> None:
    for name, call in admin_calls(document):
        assert answer(call, document).get("type") == "object", name
        assert {"401", "403"} <= set(call.operation["responses"]), name


def test_the_document_tells_that_a_reason_may_be_left_out(document: dict[str, Any]) -> None:
    for name in ("revokeLicense", "suspendLicense", "releaseMachine", "cancelSubscriptionAsOperator"):
        assert not operations(document)[name].operation["requestBody"].get("required"), name
