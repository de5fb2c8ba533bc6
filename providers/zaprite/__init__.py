"""Zaprite: cards, Lightning and on-chain behind one hosted page; prices fiat itself, keeps cards, signs nothing."""

from collections.abc import Mapping

from keysat.infra.http import HttpClient
from keysat.payments.provider import Capabilities, Connection, Network, Rail
from providers.zaprite.connect import connect
from providers.zaprite.till import ZapriteTill


class Zaprite:
    name = "zaprite"
    capabilities = Capabilities(
        rails=frozenset({Rail.CARD, Rail.LIGHTNING, Rail.ONCHAIN}),
        prices_fiat_itself=True,
        networks=frozenset({Network.MAINNET, Network.SANDBOX}),
        saved_profiles=True,
    )

    def open(self, connection: Connection, http: HttpClient) -> ZapriteTill:
        return ZapriteTill(connection, http)

    async def connect_with(self, fields: Mapping[str, str], connection_id: str, http: HttpClient) -> Connection:
        """Fields: `api_key`, and if need be `base_url` and `label`."""
        return await connect(fields, connection_id, http)


ZAPRITE = Zaprite()
