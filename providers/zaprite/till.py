"""One open organization at Zaprite. Every answer is read anew with our own credential."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from keysat.infra.http import HttpClient
from keysat.payments.calls import decoded, segment
from keysat.payments.provider import (
    Connection,
    CredentialGone,
    Declined,
    Health,
    InvoiceRequest,
    InvoiceSnapshot,
    Malformed,
    NoSuchId,
    Nudge,
    OutcomeUnknown,
    PermissionMissing,
    ProviderError,
    Rail,
    Rejected,
    SavedProfile,
    Transient,
    Unsupported,
)
from providers.zaprite import webhook, wire
from providers.zaprite.api import Api, Said
from providers.zaprite.orders import body_of, snapshot_of

CREATE_SECONDS = 6.0  # the published clients give up after 10 s, and a contact may be made before
CONTACT_SECONDS = 2.0
CHARGE_SECONDS = 20.0  # the bank is asked, and nobody waits at a page
PAGES_MAX = 100
NEWEST_FIRST = (("sortBy", "createdAt"), ("sortOrder", "desc"))


class ZapriteTill:
    def __init__(self, connection: Connection, http: HttpClient) -> None:
        self._connection = connection
        self._api = Api(http, connection.base_url, connection.secrets.get("api_key", ""))

    async def health(self) -> Health:
        try:
            listed = await list_orders(self._api)
        except Transient:
            return Health(reachable=False, authorized=False)
        except (CredentialGone, PermissionMissing):
            return Health(reachable=True, authorized=False)
        except (Malformed, NoSuchId, Rejected):
            return Health(reachable=True, authorized=False, warnings=("What answers there is not Zaprite's API.",))
        others = {order.org_id for order in readable(listed.what) if order.org_id} - {self._connection.account_id}
        warnings = ("The API key is another organization's: connect it anew.",) if others else ()
        return Health(reachable=True, authorized=True, warnings=warnings)

    async def ensure_webhook(self, url: str) -> Connection:
        raise Unsupported(
            f"Zaprite's webhooks are set up by hand: paste {url} as a webhook in the settings of your Zaprite "
            "organization. Until the first message comes, payments are found by asking, up to a minute later."
        )

    async def create_invoice(self, request: InvoiceRequest) -> InvoiceSnapshot:
        """Zaprite takes the same id twice: on OutcomeUnknown, `find_by_attempt` first."""
        contact_id = await self._contact(request)
        if contact_id is not None:
            try:
                return await self._create(request, contact_id)
            except Rejected:  # the contact is gone, or this organization keeps no cards: it is sold all the same
                pass
        return await self._create(request, None)

    async def find_by_attempt(self, attempt_id: str) -> Sequence[InvoiceSnapshot]:
        try:
            found = await self._order(attempt_id)
        except NoSuchId:
            return []
        return [found] if found.attempt_id == attempt_id else []

    async def get_invoice(self, invoice_id: str) -> InvoiceSnapshot:
        return await self._order(invoice_id)

    async def changed_since(self, since: datetime) -> AsyncIterator[InvoiceSnapshot]:
        """Only orders that Keysat made: of others nobody says when that was. Zaprite cannot leave out older ones.

        The words for sorting are guessed from the names of the parameters. Refused, all pages are walked.
        """
        seen: set[str] = set()
        sorting = NEWEST_FIRST
        for page in range(1, PAGES_MAX + 1):
            try:
                listed = await list_orders(self._api, page, sorting)
            except Rejected:
                sorting = ()
                listed = await list_orders(self._api, page)
            found = self._snapshots(listed)
            for snapshot in found:
                if snapshot.created_at is not None and snapshot.created_at >= since and snapshot.invoice_id not in seen:
                    seen.add(snapshot.invoice_id)  # a new one pushes others to the next page
                    yield snapshot
            is_through = bool(sorting) and any(_was_made_before(one, since) for one in found)
            if is_through or page >= listed.what.meta.pages_count:
                return
        raise Rejected(f"more than {PAGES_MAX} pages of orders since {since.isoformat()}")

    async def btc_rate(self, currency: str) -> Decimal | None:
        return None

    async def list_profiles(self, customer_ref: str) -> Sequence[SavedProfile]:
        """In Zaprite's order: it does not tell when one was saved. Bitcoin cannot be pulled, so each is a card."""
        contact = (await self._api.ask(f"/contacts/{segment(customer_ref)}", wire.Contact)).what
        return [
            SavedProfile(
                id=one.id,
                rail=Rail.CARD,
                label=f"saved {one.method.lower() or 'card'}"[:64],
                expires_at=one.expires_at,
                source_attempt_id=one.source_order.external_uniq_id if one.source_order else None,
            )
            for one in contact.payment_profiles
        ]

    async def charge_saved(self, invoice_id: str, profile_id: str) -> InvoiceSnapshot:
        """What a charge answers is not known, so the order is asked for after it."""
        charge = wire.NewCharge(segment(invoice_id), segment(profile_id))
        try:
            await self._api.make("/orders/charge", charge, dict[str, object], seconds=CHARGE_SECONDS)
        except Declined:
            raise
        except Rejected as error:
            raise Declined(f"the charge was declined: {error}") from error
        try:
            return await self._order(invoice_id)
        except ProviderError as error:
            raise OutcomeUnknown(f"the charge was answered, and its order cannot be read: {error}") from error

    def parse_webhook(self, headers: Mapping[str, str], raw_body: bytes) -> Nudge | None:
        return webhook.read(raw_body)

    async def _create(self, request: InvoiceRequest, contact_id: str | None) -> InvoiceSnapshot:
        made = await self._api.make("/orders", body_of(request, contact_id), wire.Order, seconds=CREATE_SECONDS)
        try:
            return snapshot_of(made.what, made.at, self._connection)
        except Malformed as error:
            raise OutcomeUnknown(str(error)) from error

    async def _order(self, name: str) -> InvoiceSnapshot:
        """By Zaprite's id or by ours."""
        found = await self._api.ask(f"/orders/{segment(name)}", wire.Order)
        return snapshot_of(found.what, found.at, self._connection)

    async def _contact(self, request: InvoiceRequest) -> str | None:
        """Who may keep a card; None where nobody can be named, or Zaprite does not take the name."""
        if not request.may_save_card:
            return None
        if request.customer_ref is not None:
            return request.customer_ref
        if request.buyer_email is None:
            return None
        body = wire.NewContact(request.buyer_email, request.buyer_email)
        try:
            return (await self._api.make("/contacts", body, wire.Contact, seconds=CONTACT_SECONDS)).what.id
        except ProviderError:  # the sale counts for more than the card
            return None

    def _snapshots(self, listed: Said[wire.Listed]) -> list[InvoiceSnapshot]:
        found: list[InvoiceSnapshot] = []
        for order in readable(listed.what):
            try:
                found.append(snapshot_of(order, listed.at, self._connection))
            except Malformed:  # another tool's, without a price we can read
                continue
        return found


def _was_made_before(shown: InvoiceSnapshot, moment: datetime) -> bool:
    """Of another tool's order only so much is sure that it was not made after it was paid or over."""
    known = shown.created_at or shown.last_payment_at or shown.expires_at
    return known is not None and known < moment


async def list_orders(api: Api, page: int = 1, more: Sequence[tuple[str, str]] = ()) -> Said[wire.Listed]:
    return await api.ask("/orders", wire.Listed, [("page", str(page)), ("includePending", "true"), *more])


def readable(listed: wire.Listed) -> list[wire.Order]:
    found: list[wire.Order] = []
    for item in listed.items:
        try:
            found.append(decoded(item, wire.Order, "Zaprite"))
        except Malformed:
            continue
    return found
