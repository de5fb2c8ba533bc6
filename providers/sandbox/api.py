"""The wallet's JSON API, for the shop alone: every route wants the bearer key."""

import hmac
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

from litestar import Router, get, post
from litestar.connection import ASGIConnection, Request
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.exceptions import NotAuthorizedException
from litestar.handlers import BaseRouteHandler
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta

from keysat.kit.money import Money
from providers.sandbox.cards import CARDS
from providers.sandbox.invoice import Invoice
from providers.sandbox.wallet import Wallet, sats
from providers.sandbox.wire import (
    PAGE,
    InvoicePage,
    InvoiceView,
    NewCharge,
    NewInvoice,
    NewWebhook,
    Profile,
    Profiles,
    WalletHealth,
    Webhook,
)

VERSION = "1"

AnyConnection = ASGIConnection[BaseRouteHandler, object, object, State]
AnyRequest = Request[object, object, State]
_EVER = datetime(1970, 1, 1, tzinfo=UTC)
Skip = Annotated[int, QueryParameter(), Meta(ge=0, le=2**31)]


def api(api_key: str) -> Router:
    return Router(
        "/api",
        route_handlers=[health, create_invoice, get_invoice, list_invoices, list_profiles, charge, register_webhook],
        guards=[_bearer(api_key)],
    )


@get("/health")
async def health(wallet: NamedDependency[Wallet]) -> WalletHealth:
    webhook_ids = [webhook.id for webhook in wallet.book.webhooks()]
    return WalletHealth(wallet_id=wallet.id, network="sandbox", version=VERSION, webhook_ids=webhook_ids)


@post("/invoices", status_code=200)
async def create_invoice(
    request: AnyRequest, data: JSONBody[NewInvoice], wallet: NamedDependency[Wallet]
) -> InvoiceView:
    return _view(wallet.create(data), wallet, request)


@get("/invoices/{invoice_id:str}")
async def get_invoice(request: AnyRequest, invoice_id: FromPath[str], wallet: NamedDependency[Wallet]) -> InvoiceView:
    return _view(wallet.invoice(invoice_id), wallet, request)


@get("/invoices")
async def list_invoices(
    request: AnyRequest,
    wallet: NamedDependency[Wallet],
    attempt: Annotated[str | None, QueryParameter()] = None,
    since: Annotated[datetime | None, QueryParameter()] = None,
    skip: Skip = 0,
) -> InvoicePage:
    """Either of one attempt, or all created since; oldest first, PAGE at a time."""
    if attempt is not None:
        found = wallet.by_attempt(attempt, skip, PAGE + 1)
    else:
        found = wallet.created_since((since or _EVER).astimezone(UTC), skip, PAGE + 1)
    return InvoicePage([_view(invoice, wallet, request) for invoice in found[:PAGE]], more=len(found) > PAGE)


@get("/customers/{customer_id:str}/profiles")
async def list_profiles(customer_id: FromPath[str], wallet: NamedDependency[Wallet]) -> Profiles:
    return Profiles(
        [
            Profile(
                id=saved.id,
                method=CARDS[saved.card].label,
                expires_at=saved.expires_at,
                source_attempt_id=saved.source_attempt_id,
            )
            for saved in wallet.cards_of(customer_id)
        ]
    )


@post("/invoices/{invoice_id:str}/charge", status_code=200)
async def charge(
    request: AnyRequest, invoice_id: FromPath[str], data: JSONBody[NewCharge], wallet: NamedDependency[Wallet]
) -> InvoiceView:
    return _view(wallet.charge(invoice_id, data.profile_id), wallet, request)


@post("/webhook", status_code=200)
async def register_webhook(data: JSONBody[NewWebhook], wallet: NamedDependency[Wallet]) -> Webhook:
    return wallet.add_webhook(data.url)


def _bearer(api_key: str) -> Callable[[AnyConnection, BaseRouteHandler], None]:
    expected = f"Bearer {api_key}".encode()

    def guard(connection: AnyConnection, _: BaseRouteHandler) -> None:
        given = connection.headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, expected):
            raise NotAuthorizedException(detail="This needs the wallet's API key as a bearer.")

    return guard


def _view(invoice: Invoice, wallet: Wallet, request: AnyRequest) -> InvoiceView:
    return InvoiceView(
        id=invoice.id,
        wallet_id=wallet.id,
        attempt_id=invoice.attempt_id,
        currency=invoice.currency,
        price_minor=invoice.price_minor,
        paid_minor=invoice.paid_minor,
        due_sats=sats(Money(invoice.currency, invoice.due_minor)),
        status=invoice.status,
        additional_status=invoice.extra,
        all_confirmed=invoice.all_confirmed,
        created_at=invoice.created_at,
        expires_at=invoice.expires_at,
        monitor_until=invoice.monitor_until,
        last_payment_at=invoice.last_payment_at,
        checkout_url=f"{str(request.base_url).rstrip('/')}/checkout/{invoice.checkout_id}",
        customer_id=invoice.customer_id,
    )
