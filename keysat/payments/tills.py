"""The open tills of this process: connections with their credentials unsealed, in memory only.

The rows are the truth: whoever asks for a till gets what they say now, also what another process changed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

import msgspec
from sqlalchemy import bindparam, select

from keysat.infra.http import HttpClient
from keysat.infra.store import Store
from keysat.infra.vault import Vault
from keysat.infra.work import Read
from keysat.kit.currencies import SAT
from keysat.kit.errors import BadRequest, NotFound
from keysat.kit.money import Money
from keysat.payments.profiles import preferences
from keysat.payments.provider import Capabilities, Connection, Rail, Till
from keysat.payments.registry import provider
from keysat.payments.tables import ConnectionId, ConnectionRow, ConnectionStatus, MerchantProfile

SECRETS = "provider-credentials"  # the vault's purpose
RAILS = (Rail.LIGHTNING, Rail.ONCHAIN, Rail.CARD)
"""Whose preference counts first, where the buyer does not say how to pay."""


class NoTill(BadRequest):
    """No connection sells, so nothing can be paid."""

    def __init__(self) -> None:
        super().__init__("This shop cannot take payments yet: no payment provider is connected.")


@dataclass(frozen=True, slots=True)
class OpenTill:
    """A connection one can ask. `sells` is false once it was disconnected: only old invoices are still looked after.

    `is_released`: not even those, since its key was given back.
    """

    id: ConnectionId
    connection: Connection
    capabilities: Capabilities
    till: Till
    sells: bool
    is_released: bool

    def asks_in(self, price: Money, sats: int | None) -> Money:
        """The amount to put on its invoice: the listed price where it prices fiat itself, else our sats."""
        if price.currency == SAT or self.capabilities.prices_fiat_itself:
            return price
        if sats is None:
            raise BadRequest("This price cannot be converted to sats at the moment. Please try again in a minute.")
        return Money(SAT, sats)


_STANDS = select(
    ConnectionRow.status,
    ConnectionRow.released_at,
    ConnectionRow.secrets_sealed,
    ConnectionRow.label,
    ConnectionRow.base_url,
    ConnectionRow.public_url,
    ConnectionRow.webhook_id,
    ConnectionRow.webhook_url,
    ConnectionRow.account_id,
    ConnectionRow.network,
).where(ConnectionRow.id == bindparam("connection", type_=ConnectionRow.id.type))
"""All that an open till is made of."""


class Tills:
    """All connections, by id."""

    def __init__(self, store: Store, vault: Vault, http: HttpClient) -> None:
        self._store = store
        self._vault = vault
        self._http = http
        self._open: dict[ConnectionId, OpenTill] = {}
        self._stood: dict[ConnectionId, tuple[object, ...]] = {}

    async def refresh(self) -> None:
        async with self._store.read() as read:
            await self._look(read)

    async def _look(self, read: Read) -> list[ConnectionRow]:
        rows = (await read.session.scalars(select(ConnectionRow).order_by(ConnectionRow.connected_at))).all()
        self._open = {row.id: self._opened(row) for row in rows}
        return list(rows)

    def _opened(self, row: ConnectionRow) -> OpenTill:
        maker = provider(row.provider)
        connection = connection_of(row, self._vault)
        known = self._open.get(row.id)
        sells, is_released = row.status == ConnectionStatus.ACTIVE, row.released_at is not None
        if known is not None and (known.connection, known.sells, known.is_released) == (connection, sells, is_released):
            return known
        till = maker.open(connection, self._http)
        return OpenTill(row.id, connection, maker.capabilities, till, sells, is_released)

    def all(self) -> list[OpenTill]:
        """Oldest connection first, as they were when somebody asked last."""
        return list(self._open.values())

    async def get(self, connection_id: ConnectionId) -> OpenTill:
        """As its row stands, which is read anew only when it has changed. Raises NotFound."""
        stands = await self._store.point(_STANDS, connection_id)
        if stands is None:
            raise NotFound("There is no such payment connection.")
        if self._stood.get(connection_id) != stands:
            await self.refresh()
            self._stood[connection_id] = stands
        return self._open[connection_id]

    async def pick(self, profile_id: UUID | None, rail: Rail | None = None, *, prefer: UUID | None = None) -> OpenTill:
        """Who takes a payment for this profile; None is the default one.

        `prefer`, whosesoever it is, as long as it sells; else the one that the profile prefers for the rail; else its
        earliest that serves the rail. Raises NoTill; BadRequest for a rail that none serves.
        """
        selling, preferred = await self._selling(profile_id, prefer)
        if not selling:
            raise NoTill
        order = [prefer, *(preferred[one] for one in ((rail,) if rail else RAILS) if one in preferred)]
        selling.sort(key=lambda till: order.index(till.id) if till.id in order else len(order))
        for till in selling:
            if rail is None or rail in till.capabilities.rails:
                return till
        raise BadRequest(f"This shop cannot be paid by {rail}. Leave the rail out to see what it offers.")

    async def rails(self, profile_id: UUID | None) -> frozenset[Rail]:
        """By which something of this profile can be paid. None is the default one."""
        selling, _ = await self._selling(profile_id, None)
        return frozenset(rail for till in selling for rail in till.capabilities.rails)

    async def _selling(
        self, profile_id: UUID | None, besides: UUID | None
    ) -> tuple[list[OpenTill], Mapping[Rail, ConnectionId]]:
        """The profile's own and the one besides, oldest first, and which one the profile prefers for which rail."""
        async with self._store.read() as read:
            rows = await self._look(read)
            default = await read.session.scalar(select(MerchantProfile.id).where(MerchantProfile.is_default))
            seller = profile_id or default
            preferred = await preferences(read, seller) if seller is not None else {}
        ours = (row.id for row in rows if besides == row.id or (row.merchant_profile_id or default) == seller)
        return [self._open[one] for one in ours if self._open[one].sells], preferred


def connection_of(row: ConnectionRow, vault: Vault) -> Connection:
    """The row with its credentials unsealed."""
    return Connection(
        id=str(row.id),
        provider=row.provider,
        base_url=row.base_url,
        public_url=row.public_url,
        account_id=row.account_id,
        label=row.label,
        secrets=msgspec.json.decode(vault.open(row.secrets_sealed, SECRETS), type=dict[str, str]),
        network=row.network,
        webhook_id=row.webhook_id,
        webhook_url=row.webhook_url,
    )
