"""The open tills of this process: connections with their credentials unsealed, in memory only."""

from dataclasses import dataclass
from uuid import UUID

import msgspec
from sqlalchemy import select

from keysat.infra.http import HttpClient
from keysat.infra.store import Store
from keysat.infra.vault import Vault
from keysat.kit.currencies import SAT
from keysat.kit.errors import BadRequest, NotFound
from keysat.kit.money import Money
from keysat.payments.provider import Capabilities, Connection, Rail, Till
from keysat.payments.registry import provider
from keysat.payments.tables import ConnectionId, ConnectionRow, ConnectionStatus

SECRETS = "provider-credentials"  # the vault's purpose


class NoTill(BadRequest):
    """No connection sells, so nothing can be paid."""

    def __init__(self) -> None:
        super().__init__("This shop cannot take payments yet: no payment provider is connected.")


@dataclass(frozen=True, slots=True)
class OpenTill:
    """A connection one can ask. `sells` is false once it was disconnected: only old invoices are still looked after."""

    id: ConnectionId
    connection: Connection
    capabilities: Capabilities
    till: Till
    sells: bool

    def asks_in(self, price: Money, sats: int | None) -> Money:
        """The amount to put on its invoice: the listed price where it prices fiat itself, else our sats."""
        if price.currency == SAT or self.capabilities.prices_fiat_itself:
            return price
        if sats is None:
            raise BadRequest("This price cannot be converted to sats at the moment. Please try again in a minute.")
        return Money(SAT, sats)


class Tills:
    """All connections, by id. `refresh` after a connection was made or changed, here or by another process."""

    def __init__(self, store: Store, vault: Vault, http: HttpClient) -> None:
        self._store = store
        self._vault = vault
        self._http = http
        self._open: dict[ConnectionId, OpenTill] = {}

    async def refresh(self) -> None:
        async with self._store.read() as read:
            rows = await read.session.scalars(select(ConnectionRow).order_by(ConnectionRow.connected_at))
            self._open = {row.id: self._opened(row) for row in rows}

    def _opened(self, row: ConnectionRow) -> OpenTill:
        maker = provider(row.provider)
        connection = connection_of(row, self._vault)
        known = self._open.get(row.id)
        sells = row.status == ConnectionStatus.ACTIVE
        if known is not None and known.connection == connection and known.sells == sells:
            return known
        return OpenTill(row.id, connection, maker.capabilities, maker.open(connection, self._http), sells)

    def all(self) -> list[OpenTill]:
        """Oldest connection first."""
        return list(self._open.values())

    async def get(self, connection_id: ConnectionId) -> OpenTill:
        """Raises NotFound. A connection that another process made is looked up."""
        if connection_id not in self._open:
            await self.refresh()
        found = self._open.get(connection_id)
        if found is None:
            raise NotFound("There is no such payment connection.")
        return found

    def pick(self, rail: Rail | None = None, *, prefer: UUID | None = None) -> OpenTill:
        """The earliest connection that sells, and serves the rail where one is asked for; the preferred one before it.

        Raises NoTill; BadRequest for a rail that none serves.
        """
        selling = [open_till for open_till in self._open.values() if open_till.sells]
        if not selling:
            raise NoTill
        selling.sort(key=lambda open_till: open_till.id != prefer)
        for open_till in selling:
            if rail is None or rail in open_till.capabilities.rails:
                return open_till
        raise BadRequest(f"This shop cannot be paid by {rail}. Leave the rail out to see what it offers.")

    def rails(self) -> frozenset[Rail]:
        return frozenset(rail for till in self._open.values() if till.sells for rail in till.capabilities.rails)


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
    )
