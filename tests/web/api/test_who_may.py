"""Every operation of the operator x every credential. What each needs is written here by hand, apart from the code."""

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

import httpx
import pytest
from litestar.enums import HttpMethod
from litestar.routes import HTTPRoute

from keysat.operators import api_keys
from keysat.operators.scopes import Role, Scope
from keysat.upkeep.shop import Shop
from keysat.web.auth import ADMIN_PATH, SESSION_COOKIE
from keysat.web.entry import entry
from keysat.web.throttle import Throttle
from tests.conftest import NOON, TESTER
from tests.web.admin.signing_in import token_for
from tests.web.conftest import ADMIN, Watch, bare, browse

pytestmark = pytest.mark.once

NEEDS = {  # scope: the operations that need it; `owner` is what no scoped key has
    "products:read": "listAllProducts getAnyProduct planProductDeletion",
    "products:write": "createProduct editProduct setProductActive deleteProduct",
    "policies:read": "listPolicies getPolicy planPolicyDeletion listOffers getOffer",
    "policies:write": """createPolicy editPolicy setPolicyActive setPolicyArchived setPolicyPublic deletePolicy
        createOffer editOffer deleteOffer""",
    "discount_codes:read": "listCodes getCode reportCodes",
    "discount_codes:write": "createCode editCode setCodeActive deleteCode",
    "licenses:read": """listLicenses getLicense searchLicenses countLicenses summarizeLicenses listLicenseEvents""",
    "licenses:write": """issueLicense issueLicenses editLicense changeTier cancelTierChange showLicenseKey
        replaceLicenseKey suspendLicense unsuspendLicense revokeLicense""",
    "machines:read": "listMachines",
    "machines:write": "releaseMachine",
    "subscriptions:read": "listSubscriptions getSubscription listSubscriptionOrders",
    "subscriptions:write": """cancelSubscriptionAsOperator keepSubscriptionOn pauseSubscription resumeSubscription
        retrySubscription changeSubscriptionPrice""",
    "customers:read": "listCustomers getCustomer exportCustomer",
    "customers:write": "editCustomer",
    "orders:read": "listOrders getOrder listPayments listAttention summarizeRevenue",
    "orders:write": "refuseOrder retryOrder settleAttention",
    "rates:read": "listRates",
    "rates:write": "refreshRate pinRate unpinRate",
    "merchant_profiles:read": "listMerchantProfiles getMerchantProfile",
    "merchant_profiles:write": """createMerchantProfile editMerchantProfile deleteMerchantProfile
        setDefaultMerchantProfile setRailPreference clearRailPreference""",
    "payment_providers:read": """listProviders getProvider getPaymentStatus getBtcpayStatus listBtcpayMethods
        getZapriteStatus""",
    "payment_providers:write": "connectBtcpay",
    "webhooks:read": """listWebhookEndpoints getWebhookEndpoint getWebhookEndpointHealth listWebhookEventTypes
        listWebhookDeliveries getWebhookDelivery listEvents""",
    "webhooks:write": """createWebhookEndpoint editWebhookEndpoint setWebhookEndpointActive deleteWebhookEndpoint
        rotateWebhookSecret retireOldWebhookSecrets testWebhookEndpoint replayWebhookDeliveries retryWebhookDelivery""",
    "audit:read": "listAudit",
    "settings:read": "getOperatorName",
    "tier:read": "getTier",
    "owner": """createApiKey listApiKeys revokeApiKey createAccount listAccounts getAccount editAccount resetAccount
        settleOrder eraseCustomer export_everything checkProvider repairProvider disconnectProvider disconnectBtcpay
        connectZaprite disconnectZaprite getDatabase setOperatorName getSelfLicense presentSelfLicense
        refreshSelfLicense dropSelfLicense""",
}
SCOPE_OF = {operation: scope for scope, operations in NEEDS.items() for operation in operations.split()}
WRITES = {  # beside every scope that ends in `:read`
    "read-only": "",
    "license-issuer": "licenses:write",
    "support": "licenses:write subscriptions:write machines:write",
    "merchant-onboard": "licenses:write products:write policies:write",
}
A_LA_CARTE = "payment_providers:write"
UNKNOWN = {"Authorization": "Bearer ks_" + 43 * "A"}
METHODS = {HttpMethod.GET, HttpMethod.POST, HttpMethod.PUT, HttpMethod.PATCH, HttpMethod.DELETE}
PLACES = {"uuid": str(UUID(int=7)), "int": "7"}


def may(role: str, scope: str) -> bool:
    if role in ("owner", "admin key"):
        return True
    if role.startswith("full-admin"):
        return scope not in ("owner", A_LA_CARTE) or (scope == A_LA_CARTE and role.endswith(A_LA_CARTE))
    return scope.endswith(":read") or scope in WRITES[role].split()


def operations() -> dict[str, tuple[str, str]]:
    """Method and an address of each, also of those that are left out of the document."""
    found: dict[str, tuple[str, str]] = {}
    for route in bare().routes:
        if isinstance(route, HTTPRoute) and route.path.startswith(ADMIN_PATH):
            path = re.sub(r"\{\w+:(\w+)\}", lambda place: PLACES.get(place[1], "x7"), route.path)
            for method in route.methods & METHODS:
                handler, _ = route.route_handler_map[method]
                name = handler.operation_id if isinstance(handler.operation_id, str) else handler.fn.__name__
                found[name] = (method, path)
    return found


@asynccontextmanager
async def doors(shop: Shop) -> AsyncGenerator[httpx.AsyncClient, None]:
    async with browse(entry(bare(), shop, Throttle(off=True), {})) as client:
        yield client


async def a_key(shop: Shop, role: Role, *scopes: Scope, ended: bool = False) -> dict[str, str]:
    async with shop.work(TESTER) as work:
        ends = NOON + timedelta(microseconds=1) if ended else None
        _, token = await api_keys.create(work, role, role, frozenset(scopes), ends)
    return {"Authorization": f"Bearer {token}"}


def test_each_operation_stands_in_the_table():
    there = operations().keys()
    missing, gone = sorted(there - SCOPE_OF.keys()), sorted(SCOPE_OF.keys() - there)
    assert not missing, f"New operations: write in NEEDS of {__name__} which scope each needs: {missing}"
    assert not gone, f"These operations are not there any more: take them out of NEEDS: {gone}"
    assert NEEDS.keys() <= set(Scope)


async def test_each_operation_is_for_exactly_those_who_may(sandbox: Shop):  # D-13
    """In a sandbox shop, where a key may be allowed to connect a provider."""
    shop = sandbox
    callers = {role: await a_key(shop, Role(role)) for role in (*WRITES, "full-admin")}
    callers[f"full-admin and {A_LA_CARTE}"] = await a_key(shop, Role.FULL_ADMIN, Scope.PAYMENT_PROVIDERS_WRITE)
    session = f"{SESSION_COOKIE}={await token_for(shop)}"
    callers |= {"owner": {"Cookie": session, "Origin": "https://shop.test"}, "admin key": ADMIN}
    wrong: list[str] = []
    async with doors(shop) as client:
        for operation, (method, path) in operations().items():
            scope = SCOPE_OF.get(operation)
            if scope is None:  # the test above tells
                continue
            refusal = f"This needs the scope {scope}."
            for role, headers in callers.items():
                answer = await client.request(method, path, json={}, headers=headers)
                refused = answer.status_code == 403 and answer.json()["message"] == refusal
                allowed = answer.status_code != 401 and "needs the scope" not in answer.text
                if not (allowed if may(role, scope) else refused):
                    wrong.append(f"{role}: {operation} ({scope}): {answer.status_code} {answer.text[:160]}")
    assert not wrong, "\n".join(wrong)


async def test_nobody_else_gets_past_any_door(shop: Shop, watch: Watch):  # D-13
    ended = await a_key(shop, Role.FULL_ADMIN, ended=True)
    watch.pass_by(seconds=1)
    nobodies = (({}, 401), ({"Cookie": f"{SESSION_COOKIE}={43 * 'A'}"}, 401), (UNKNOWN, 403), (ended, 403))
    async with doors(shop) as client:
        for operation, (method, path) in operations().items():
            for headers, status in nobodies:
                answer = await client.request(method, path, json={}, headers=headers)
                assert (answer.status_code, answer.json()["ok"]) == (status, False), (operation, headers)
