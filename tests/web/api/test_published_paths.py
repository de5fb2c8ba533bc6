"""Each path of the published server's admin API: where it is here, or why not (`published-server.md` 2.1-2.11)."""

import re
from collections.abc import Mapping
from typing import Any

import pytest

from keysat.web.openapi import operations

pytestmark = pytest.mark.once

HERE: Mapping[str, str] = {
    # 2.1
    "POST /v1/admin/products": "createProduct",
    "PATCH /v1/admin/products/:id": "editProduct",
    "PATCH /v1/admin/products/:id/active": "setProductActive",
    "DELETE /v1/admin/products/:id": "deleteProduct",
    # 2.2
    "POST /v1/admin/policies": "createPolicy",
    "GET /v1/admin/policies": "listPolicies",
    "PATCH /v1/admin/policies/:id": "editPolicy",
    "PATCH /v1/admin/policies/:id/active": "setPolicyActive",
    "PATCH /v1/admin/policies/:id/public": "setPolicyPublic",
    "PATCH /v1/admin/policies/:id/archived": "setPolicyArchived",
    "DELETE /v1/admin/policies/:id": "deletePolicy",
    # 2.3
    "GET /v1/admin/licenses": "listLicenses",
    "GET /v1/admin/licenses/search": "searchLicenses",
    "GET /v1/admin/licenses/summary": "summarizeLicenses",
    "GET /v1/admin/licenses/counts": "countLicenses",
    "GET /v1/admin/revenue/summary": "summarizeRevenue",
    "POST /v1/admin/licenses": "issueLicense",
    "POST /v1/admin/licenses/:id/revoke": "revokeLicense",
    "POST /v1/admin/licenses/:id/suspend": "suspendLicense",
    "POST /v1/admin/licenses/:id/unsuspend": "unsuspendLicense",
    # 2.4
    "POST /v1/admin/licenses/:id/change-tier": "changeTier",
    # 2.5
    "GET /v1/admin/machines": "listMachines",
    "POST /v1/admin/machines/:id/deactivate": "releaseMachine",
    # 2.6
    "GET /v1/admin/subscriptions": "listSubscriptions",
    "POST /v1/admin/subscriptions/:id/cancel": "cancelSubscriptionAsOperator",
    # 2.7
    "POST /v1/admin/discount-codes": "createCode",
    "GET /v1/admin/discount-codes": "listCodes",
    "GET /v1/admin/discount-codes/:id": "getCode",
    "PATCH /v1/admin/discount-codes/:id": "editCode",
    "PATCH /v1/admin/discount-codes/:id/active": "setCodeActive",
    "DELETE /v1/admin/discount-codes/:id": "deleteCode",
    # 2.8
    "POST /v1/admin/webhook-endpoints": "createWebhookEndpoint",
    "GET /v1/admin/webhook-endpoints": "listWebhookEndpoints",
    "PATCH /v1/admin/webhook-endpoints/:id/active": "setWebhookEndpointActive",
    "DELETE /v1/admin/webhook-endpoints/:id": "deleteWebhookEndpoint",
    "GET /v1/admin/webhook-deliveries": "listWebhookDeliveries",
    "POST /v1/admin/webhook-deliveries/:id/retry": "retryWebhookDelivery",
    # 2.9
    "GET /v1/admin/merchant-profiles": "listMerchantProfiles",
    "GET /v1/admin/merchant-profiles/:id": "getMerchantProfile",
    "POST /v1/admin/merchant-profiles": "createMerchantProfile",
    "PATCH /v1/admin/merchant-profiles/:id": "editMerchantProfile",
    "DELETE /v1/admin/merchant-profiles/:id": "deleteMerchantProfile",
    "POST /v1/admin/merchant-profiles/:id/set-default": "setDefaultMerchantProfile",
    "PUT /v1/admin/merchant-profiles/:id/rail-preferences/:rail": "setRailPreference",
    "DELETE /v1/admin/merchant-profiles/:id/rail-preferences/:rail": "clearRailPreference",
    # 2.10
    "GET /v1/admin/payment-provider/status": "getPaymentStatus",
    "GET /v1/admin/btcpay/status": "getBtcpayStatus",
    "GET /v1/admin/btcpay/payment-methods": "listBtcpayMethods",
    "POST /v1/admin/btcpay/connect": "connectBtcpay",
    "POST /v1/admin/btcpay/disconnect": "disconnectBtcpay",
    "POST /v1/admin/zaprite/connect": "connectZaprite",
    "POST /v1/admin/zaprite/disconnect": "disconnectZaprite",
    "GET /v1/admin/zaprite/status": "getZapriteStatus",
    # 2.11
    "GET /v1/admin/self-license": "getSelfLicense",
    "POST /v1/admin/self-license": "presentSelfLicense",
    "POST /v1/admin/self-license/refresh": "refreshSelfLicense",
    "GET /v1/admin/tier": "getTier",
    "GET /v1/admin/rates": "listRates",
    "POST /v1/admin/rates/refresh": "refreshRate",
    "GET /v1/admin/settings/operator-name": "getOperatorName",
    "POST /v1/admin/settings/operator-name": "setOperatorName",
    "GET /v1/admin/audit": "listAudit",
    "POST /v1/admin/api-keys": "createApiKey",
    "GET /v1/admin/api-keys": "listApiKeys",
    "DELETE /v1/admin/api-keys/:id": "revokeApiKey",
    "GET /v1/admin/db-info": "getDatabase",
}
"""At the same address, with the same method."""

NOT_HERE: Mapping[str, str] = {
    "PATCH /v1/admin/policies/:id/tip": "Nobody is paid out (D-31).",
    "GET /v1/admin/tips": "Nobody is paid out (D-31).",
    "GET /v1/admin/community-analytics": "Nothing leaves the house: there is no collector.",
    "POST /v1/admin/community-analytics": "As above.",
    "POST /v1/admin/community-analytics/reset": "As above.",
    "POST /v1/admin/web-password": "Operators have accounts; each changes the password of their own.",
    "POST /v1/admin/import-issuer-key": "A key comes with `keysat key restore` or `keysat import`, never over HTTP.",
    "GET /v1/btcpay/authorize/callback": "A page, at this address (`web/public/authorize.py`).",
    "POST /v1/btcpay/authorize/callback": "As above.",
    "GET /v1/openapi.json": "It is there, made from the handlers, and describes all but itself.",
}


@pytest.fixture(scope="module")
def calls(document: dict[str, Any]) -> Mapping[str, str]:
    """Method and shape of the path, by operation id."""
    return {name: f"{call.method} {shape(call.path)}" for name, call in operations(document).items()}


def shape(path: str) -> str:
    return re.sub(r"\{[^}]+\}|:\w+", "{}", path)


@pytest.mark.parametrize(("published", "operation_id"), HERE.items())
def test_what_was_published_is_at_the_same_address(published: str, operation_id: str, calls: Mapping[str, str]) -> None:
    method, _, path = published.partition(" ")
    assert calls.get(operation_id) == f"{method} {shape(path)}"


def test_what_is_not_here_is_nowhere_here(calls: Mapping[str, str]) -> None:
    left_out = {f"{method} {shape(path)}" for method, _, path in (row.partition(" ") for row in NOT_HERE)}
    assert left_out & set(calls.values()) == set()
    assert set(HERE) & set(NOT_HERE) == set()
