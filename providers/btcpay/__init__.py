"""BTCPay Server through its Greenfield API: prices fiat itself, has a hosted checkout, signs its webhooks."""

from collections.abc import Mapping

from keysat.infra.http import HttpClient
from keysat.kit.ids import Chance, SystemChance
from keysat.payments.provider import Capabilities, Connection, Network, Rail
from providers.btcpay.authorize import authorize_url, revoke_key
from providers.btcpay.connect import connect
from providers.btcpay.invoices import EXPONENTS
from providers.btcpay.till import BtcPayTill


class BtcPay:
    """`chance` makes the webhook secrets."""

    name = "btcpay"
    capabilities = Capabilities(
        rails=frozenset({Rail.ONCHAIN, Rail.LIGHTNING}),
        prices_fiat_itself=True,
        fiat_exponents=EXPONENTS,
        networks=frozenset(Network) - {Network.SANDBOX},
    )

    def __init__(self, chance: Chance) -> None:
        self._chance = chance

    def open(self, connection: Connection, http: HttpClient) -> BtcPayTill:
        return BtcPayTill(connection, http, self._chance)

    async def connect_with(self, fields: Mapping[str, str], connection_id: str, http: HttpClient) -> Connection:
        """Besides the four fields, `webhook_secret` may be given, to keep the one that is known outside."""
        return await connect(fields, connection_id, http)

    def authorize_url(self, base_url: str, redirect: str) -> str:
        return authorize_url(base_url, redirect)

    async def revoke_key(self, base_url: str, api_key: str, http: HttpClient) -> None:
        await revoke_key(base_url, api_key, http)


BTCPAY = BtcPay(SystemChance())
