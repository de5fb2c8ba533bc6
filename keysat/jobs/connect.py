"""The BTCPay store that the settings name is connected once. A BTCPay that is down at the start is tried again."""

from datetime import datetime

from keysat.infra.attention import clear
from keysat.infra.events import Actor
from keysat.infra.log import get
from keysat.kit.errors import KeysatError
from keysat.payments.connections import connect, has_connection
from keysat.upkeep.shop import Shop
from keysat.upkeep.tills import refresh_tills

PROVIDER = "btcpay"
CONNECTOR = Actor("job:connect")
NOT_CONNECTED = "btcpay_not_connected"

log = get(__name__)


async def connect_from_settings(shop: Shop, now: datetime) -> None:
    """Does nothing once a BTCPay connection was ever made: the operator may have disconnected it on purpose."""
    wanted = shop.settings.btcpay
    if wanted is None:
        return
    async with shop.read() as read:
        if await has_connection(read, PROVIDER):
            return
    fields = {"url": wanted.url, "api_key": wanted.api_key.reveal(), "store": wanted.store_id}
    public_url = shop.settings.btcpay_public_url or shop.settings.btcpay_browser_url
    if public_url is not None:
        fields["public_url"] = public_url
    if shop.settings.btcpay_webhook_secret is not None:
        fields["webhook_secret"] = shop.settings.btcpay_webhook_secret.reveal()
    try:
        await connect(shop.office(now, CONNECTOR), PROVIDER, fields)
    except KeysatError as error:
        log.warning("btcpay.not_connected", reason=error.message)
        async with shop.store.work(now, CONNECTOR) as work:
            await work.attend(NOT_CONNECTED, PROVIDER, error.message, again=True)
        return
    async with shop.store.work(now, CONNECTOR) as work:
        await clear(work, PROVIDER, NOT_CONNECTED)
    await refresh_tills(shop)
    log.info("btcpay.connected", url=wanted.url)
