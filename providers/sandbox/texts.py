"""What the checkout page says, in honest words."""

from dataclasses import dataclass

from keysat.kit.currencies import SAT
from keysat.kit.money import Money
from providers.sandbox.invoice import Extra, Invoice, Status


@dataclass(frozen=True, slots=True)
class Standing:
    mood: str  # the CSS class: waiting, seen, good, odd, over
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Button:
    path: str
    title: str
    text: str


BY_THE_BUYER = (
    Button("pay", "Pay", "The full amount arrives by Lightning, final at once. This is how it should go."),
    Button("underpay", "Pay too little", "Only half arrives. Press Pay afterwards and the rest follows."),
    Button("overpay", "Pay too much", "Ten percent more than asked arrives. The shop sells once and notes the rest."),
    Button("pay-late", "Pay too late", "The time runs out first; then the full amount arrives, confirmed."),
    Button("expire", "Let it expire", "The time is over now. What has arrived so far stays."),
    Button(
        "double-spend",
        "Spend it twice",
        "A payment is seen on-chain, and seconds later its coins are spent elsewhere. The shop is not told.",
    ),
)

BY_OTHERS = (
    Button("pay-onchain", "Pay on-chain", "The full amount is seen, and waits for a block."),
    Button("mark-settled", "Shopkeeper: mark as paid", "Somebody at the wallet says it is paid, whatever arrived."),
    Button("mark-invalid", "Shopkeeper: mark as invalid", "Somebody at the wallet says it is not, whatever arrived."),
)

CONFIRM = Button("confirm", "A block is found", "Every payment seen so far is confirmed.")


def standing(invoice: Invoice) -> Standing:
    surplus = _text(invoice, invoice.paid_minor - invoice.price_minor)
    missing = _text(invoice, invoice.due_minor)
    match invoice.status, invoice.extra:
        case Status.NEW, Extra.PARTIAL:
            return Standing(
                "odd", "Part of it has arrived", f"{missing} still to pay. Until then the shop gives nothing."
            )
        case Status.NEW, _:
            return Standing("waiting", "Waiting for your payment", "Nothing has arrived yet. Choose what happens.")
        case Status.PROCESSING, _:
            text = "Enough was seen, but no block holds it yet. It can still be taken back, so the shop waits."
            return Standing("seen", "Seen, not confirmed", text)
        case Status.SETTLED, Extra.MARKED:
            return Standing("good", "Marked as paid by hand", "Somebody at the wallet said so. There may be no money.")
        case Status.SETTLED, Extra.OVER if invoice.paid_minor > invoice.price_minor:
            return Standing(
                "good", "Paid, and more than asked", f"{surplus} too much. The shop sells once and owes you that."
            )
        case Status.SETTLED, _:
            return Standing("good", "Paid", "The payment is final. Go back to the shop for your license.")
        case Status.EXPIRED, Extra.LATE if not invoice.payments:
            text = "A full payment came after the time was over, and then its coins were spent elsewhere."
            return Standing("over", "Came late, and is gone", text)
        case Status.EXPIRED, Extra.LATE:
            sure = "it is confirmed" if invoice.all_confirmed else "it is not confirmed yet"
            text = f"The full amount came after the time was over; {sure}. What follows is for the shop to decide."
            return Standing("odd", "Paid too late", text)
        case Status.EXPIRED, Extra.PARTIAL:
            text = f"The time is over and {missing} is missing. The shop has part of your money, and you have nothing."
            return Standing("over", "Expired, partly paid", text)
        case Status.EXPIRED, _:
            return Standing("over", "Expired", "The time is over and nothing arrived. Money that comes now comes late.")
        case Status.INVALID, Extra.MARKED:
            text = "Somebody at the wallet said so, whatever money arrived."
            return Standing("over", "Marked as invalid by hand", text)
        case _:
            return Standing("over", "Invalid", "The payment was seen and never confirmed.")


def _text(invoice: Invoice, minor: int) -> str:
    amount = Money(invoice.currency, max(0, minor))
    return f"{amount.decimal_text()} {'sats' if amount.currency == SAT else amount.currency}"
