"""BTCPay's JSON as far as we read or write it (Greenfield 2.4.1; what 1.x names otherwise is noted).

Enumerations are plain text here: a minor release may add a word, and a word we do not know must not break the rest.
"""

from datetime import UTC, datetime
from decimal import Decimal

import msgspec
from msgspec import UNSET, UnsetType

from keysat.payments.provider import Malformed


class Wire(msgspec.Struct, frozen=True, rename="camel"):
    pass


class Problem(Wire, frozen=True):
    code: str = ""
    message: str = ""
    missing_permission: str | None = None


class FieldProblem(Wire, frozen=True):
    path: str | None = None
    message: str | None = None


class ApiKey(Wire, frozen=True):
    permissions: tuple[str, ...]


class Store(Wire, frozen=True):
    id: str
    name: str = ""
    speed_policy: str = ""
    payment_tolerance: Decimal = Decimal(0)
    anyone_can_create_invoice: bool = False
    archived: bool = False


class StoreMethod(Wire, frozen=True):
    payment_method_id: str
    enabled: bool


class ServerInfo(Wire, frozen=True):
    version: str | None = None
    fully_synched: bool | None = None


class Rate(Wire, frozen=True):
    currency_pair: str
    rate: Decimal | None = None
    errors: tuple[str, ...] | None = None


class Invoice(Wire, frozen=True):
    id: str
    status: str
    currency: str
    amount: Decimal | None = None  # null: a top-up invoice
    store_id: str | None = None
    paid_amount: Decimal | None = None  # since 2.1
    type: str = "Standard"
    additional_status: str = "None"
    checkout_link: str | None = None
    created_time: int | None = None
    expiration_time: int | None = None
    monitoring_expiration: int | None = None
    metadata: dict[str, object] | None = None


class Payment(Wire, frozen=True):
    status: str
    received_date: int | None = None


class PaymentMethod(Wire, frozen=True):
    payment_method_id: str | None = None
    legacy_id: str | None = msgspec.field(name="paymentMethod", default=None)  # 1.x
    currency: str | None = None
    legacy_currency: str | None = msgspec.field(name="cryptoCode", default=None)  # 1.x
    destination: str | None = None
    rate: Decimal | None = None
    total_paid: Decimal | None = None
    due: Decimal | None = None
    payment_method_fee: Decimal | None = None
    legacy_fee: Decimal | None = msgspec.field(name="networkFee", default=None)  # 1.x
    payments: tuple[Payment, ...] = ()

    @property
    def kind(self) -> str:
        return self.payment_method_id or self.legacy_id or ""

    @property
    def coin(self) -> str:
        return self.currency or self.legacy_currency or ""


class Metadata(Wire, frozen=True):
    order_id: str
    item_desc: str
    item_code: str


class Checkout(Wire, frozen=True):
    speed_policy: str
    expiration_minutes: int
    monitoring_minutes: int
    payment_tolerance: int = 0
    redirect_url: str | UnsetType = msgspec.field(name="redirectURL", default=UNSET)
    redirect_automatically: bool | UnsetType = UNSET
    payment_methods: tuple[str, ...] | UnsetType = UNSET
    lazy_payment_methods: bool | UnsetType = UNSET


class NewInvoice(Wire, frozen=True):
    amount: str
    currency: str
    metadata: Metadata
    checkout: Checkout
    additional_search_terms: tuple[str, ...] = ()


class Mark(Wire, frozen=True):
    status: str


class Events(Wire, frozen=True):
    everything: bool = True
    specific_events: tuple[str, ...] = ()


class Hook(Wire, frozen=True):
    id: str
    url: str
    enabled: bool = True
    automatic_redelivery: bool = True
    authorized_events: Events = Events()


class NewHook(Wire, frozen=True):
    url: str
    secret: str
    authorized_events: Events
    enabled: bool = True
    automatic_redelivery: bool = True


class Delivery(Wire, frozen=True):
    id: str
    status: str = ""
    timestamp: int | None = None
    delivery_time: int | None = None  # since 2.3.4

    @property
    def at(self) -> datetime | None:
        return moment(self.delivery_time or self.timestamp)


class Event(Wire, frozen=True):
    type: str
    delivery_id: str = ""
    original_delivery_id: str | None = None
    misspelt_delivery_id: str | None = msgspec.field(name="orignalDeliveryId", default=None)  # very old versions
    is_redelivery: bool = False
    store_id: str | None = None
    invoice_id: str | None = None


def moment(seconds: int | None) -> datetime | None:
    """BTCPay's times are Unix seconds. Raises Malformed."""
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise Malformed(f"BTCPay gave {seconds} as a time") from error
