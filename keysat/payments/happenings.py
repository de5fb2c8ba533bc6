"""What happens to merchant profiles, connections and pinned rates, in the past tense."""

from uuid import UUID

from keysat.infra.events import Happening
from keysat.payments.provider import Network, Rail
from keysat.payments.tables import ConnectionId, ProfileId


class ProfileCreated(Happening, frozen=True, tag="merchant_profile.created"):
    profile_id: ProfileId


class ProfileUpdated(Happening, frozen=True, tag="merchant_profile.updated"):
    profile_id: ProfileId
    changed: list[str]


class ProfileDeleted(Happening, frozen=True, tag="merchant_profile.deleted"):
    profile_id: UUID


class ProfileMadeDefault(Happening, frozen=True, tag="merchant_profile.made_default"):
    profile_id: ProfileId
    before: ProfileId


class RailPreferred(Happening, frozen=True, tag="merchant_profile.rail_preferred"):
    profile_id: ProfileId
    rail: Rail
    connection_id: ConnectionId


class RailPreferenceCleared(Happening, frozen=True, tag="merchant_profile.rail_preference_cleared"):
    profile_id: ProfileId
    rail: Rail


class ConnectBegun(Happening, frozen=True, tag="provider.connect_begun"):
    """An operator was sent to the provider's page."""

    request_id: UUID
    provider: str


class ConnectRefused(Happening, frozen=True, tag="provider.connect_refused"):
    """What came back from there was not kept. `error` is a code; `is_revoked`: the key that came is no key any more."""

    request_id: UUID
    provider: str
    error: str
    is_revoked: bool


class ProviderConnected(Happening, frozen=True, tag="provider.connected"):
    connection_id: ConnectionId
    provider: str
    network: Network


class ProviderReconnected(Happening, frozen=True, tag="provider.reconnected"):
    """An account that was connected before takes orders again."""

    connection_id: ConnectionId
    provider: str
    network: Network


class ProviderReleased(Happening, frozen=True, tag="provider.released"):
    """Nothing of it can be paid any more: our webhook and our key were taken back."""

    connection_id: ConnectionId
    provider: str


class WebhookRegistered(Happening, frozen=True, tag="provider.webhook_registered"):
    connection_id: ConnectionId
    provider: str


class ProviderDisconnected(Happening, frozen=True, tag="provider.disconnected"):
    connection_id: ConnectionId
    provider: str


class RatePinned(Happening, frozen=True, tag="rate.pinned"):
    currency: str
    centibps: int


class RateUnpinned(Happening, frozen=True, tag="rate.unpinned"):
    currency: str
