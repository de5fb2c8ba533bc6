"""What happens to connections and pinned rates, in the past tense."""

from keysat.infra.events import Happening
from keysat.payments.provider import Network
from keysat.payments.tables import ConnectionId


class ProviderConnected(Happening, frozen=True, tag="provider.connected"):
    connection_id: ConnectionId
    provider: str
    network: Network


class ProviderDisconnected(Happening, frozen=True, tag="provider.disconnected"):
    connection_id: ConnectionId
    provider: str


class RatePinned(Happening, frozen=True, tag="rate.pinned"):
    currency: str
    centibps: int


class RateUnpinned(Happening, frozen=True, tag="rate.unpinned"):
    currency: str
