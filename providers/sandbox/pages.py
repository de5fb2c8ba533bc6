"""The checkout page: what it shows, and the buttons that let things happen. No JavaScript, nothing from elsewhere."""

import base64
import hashlib
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import segno
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import MediaType, Request, Response, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from keysat.kit.currencies import SAT
from keysat.kit.errors import BadRequest
from keysat.kit.money import Money
from providers.sandbox.accidents import ACCIDENTS
from providers.sandbox.cards import CARDS
from providers.sandbox.invoice import Invoice, Status, marked
from providers.sandbox.texts import BY_OTHERS, BY_THE_BUYER, CONFIRM, Button, standing
from providers.sandbox.wallet import Wallet, sats

_HERE = Path(__file__).parent
_TEMPLATES = Environment(
    loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
_STYLE = (_HERE / "checkout.css").read_text()
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

_BACK_TO_THE_SHOP = ("pay", "overpay")


@get("/checkout/{checkout_id:str}", media_type=MediaType.HTML)
async def show_checkout(checkout_id: FromPath[str], wallet: NamedDependency[Wallet]) -> Response[str]:
    invoice = wallet.checkout(checkout_id)
    return Response(page(invoice, wallet.now()), media_type=MediaType.HTML, headers=_headers(invoice.return_url))


@post("/checkout/{checkout_id:str}/{accident:str}", status_code=303)
async def play(checkout_id: FromPath[str], accident: FromPath[str], wallet: NamedDependency[Wallet]) -> Response[None]:
    """Any body, or none, and no question where it comes from: this is play money."""
    if accident not in ACCIDENTS:
        raise NotFoundException(detail="No such button.")
    invoice = wallet.change(wallet.checkout(checkout_id).id, ACCIDENTS[accident])
    return _onward(invoice, done=accident in _BACK_TO_THE_SHOP)


@post("/checkout/{checkout_id:str}/pay-card", status_code=303)
async def pay_by_card(
    request: Request[object, object, State], checkout_id: FromPath[str], wallet: NamedDependency[Wallet]
) -> Response[None]:
    """The form's `card` is a name of CARDS, the first one when it is absent; `save` keeps it for renewals."""
    form = await request.form()
    card = CARDS.get(str(form.get("card", next(iter(CARDS)))))
    if card is None:
        raise BadRequest(f"There is no such play card; there are {', '.join(CARDS)}.")
    return _onward(wallet.pay_by_card(checkout_id, card, save="save" in form), done=True)


def _onward(invoice: Invoice, *, done: bool) -> Response[None]:
    """Back to the shop when nothing is left to do here."""
    paid = done and invoice.status is Status.SETTLED
    location = invoice.return_url if paid else f"/checkout/{invoice.checkout_id}"
    return Response(None, status_code=303, headers={"location": location, "cache-control": "no-store"})


def page(invoice: Invoice, now: datetime) -> str:
    unconfirmed = not all(payment.confirmed for payment in invoice.payments)
    price, due = Money(invoice.currency, invoice.price_minor), Money(invoice.currency, invoice.due_minor)
    return _TEMPLATES.get_template("checkout.html").render(
        style=_STYLE,
        invoice=invoice,
        price=written(price),
        price_sats=None if price.currency == SAT else _grouped(sats(price)),
        paid=written(Money(invoice.currency, invoice.paid_minor)),
        due=written(due),
        standing=standing(invoice),
        time_left=left(invoice.expires_at - now) if invoice.status is Status.NEW else None,
        now=now,
        qr=_qr(invoice, sats(due)) if invoice.status is Status.NEW else None,
        buttons=BY_THE_BUYER,
        cards=CARDS.values() if invoice.status is Status.NEW else (),
        others=_others(invoice),
        confirm_first=unconfirmed,
        settled=invoice.status is Status.SETTLED,
    )


def written(amount: Money) -> str:
    whole, point, decimals = amount.decimal_text().partition(".")
    return f"{_grouped(int(whole))}{point}{decimals} {'sats' if amount.currency == SAT else amount.currency}"


def left(span: timedelta) -> str:
    """`14 min 20 s`, `1 h 5 min`, `2 days 3 h`: the two largest units that are not zero."""
    seconds = max(0, int(span.total_seconds()))
    days, hours, minutes = seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60
    parts = [
        (days, "day" if days == 1 else "days"),
        (hours, "h"),
        (minutes, "min"),
        (seconds % 60, "s"),
    ]
    shown = [f"{count} {unit}" for count, unit in parts if count][:2]
    return " ".join(shown) or "0 s"


def _others(invoice: Invoice) -> list[Button]:
    """Without a mark that would change nothing: as in BTCPay, what settled by itself cannot be marked."""
    wanted = {
        "confirm": not all(payment.confirmed for payment in invoice.payments),
        "mark-settled": marked(invoice, settled=True)[0] != invoice,
        "mark-invalid": marked(invoice, settled=False)[0] != invoice,
    }
    return [button for button in (CONFIRM, *BY_OTHERS) if wanted.get(button.path, True)]


def _grouped(number: int) -> str:
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def _qr(invoice: Invoice, due_sats: int) -> str:
    """A scheme that no wallet knows, so that nobody pays it with real money by mistake."""
    code = segno.make(f"sandbox:{invoice.id}?sats={due_sats}", micro=False, error="m")
    return code.svg_inline(scale=4, border=3, omitsize=True, svgclass="qr", dark="#1c1917")


def _headers(return_url: str) -> dict[str, str]:
    """`form-action` names the shop too: Chromium applies it to the redirect that answers the form."""
    shop = urlsplit(return_url)
    policy = (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self' {shop.scheme}://{shop.netloc}; "
        "base-uri 'none'; frame-ancestors 'none'"
    )
    return {
        "content-security-policy": policy,
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "cache-control": "no-store",
    }
