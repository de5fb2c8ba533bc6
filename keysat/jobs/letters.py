"""Letters to buyers: what is owed is written down, and what is due is sent. Nothing of it without a mail server."""

from datetime import datetime

from keysat.infra.house import Mode
from keysat.letters.compose import FOLDER, PostRoom
from keysat.letters.outbox import send_due
from keysat.letters.reader import follow
from keysat.upkeep.shop import Shop


async def write_and_send(shop: Shop, now: datetime) -> None:
    if not shop.mailer.configured:
        return
    await follow(shop.store, now)
    await send_due(post_room(shop), now)


def post_room(shop: Shop) -> PostRoom:
    return PostRoom(
        store=shop.store,
        vault=shop.vault,
        ring=shop.ring,
        mailer=shop.mailer,
        public_url=shop.settings.public_url,
        shop_name=shop.operator_name or "Keysat",
        contact=shop.settings.operator_contact,
        is_sandbox=shop.mode == Mode.SANDBOX,
        words=shop.settings.data_dir / FOLDER,
    )
