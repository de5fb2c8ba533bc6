"""What happens to endpoints and to what was owed to them, in the past tense. No address, no secret."""

from keysat.infra.events import Happening
from keysat.webhooks.tables import DeliveryId, EndpointId


class EndpointCreated(Happening, frozen=True, tag="webhook_endpoint.created"):
    endpoint_id: EndpointId
    event_types: list[str]


class EndpointEdited(Happening, frozen=True, tag="webhook_endpoint.edited"):
    """`changed` names fields."""

    endpoint_id: EndpointId
    event_types: list[str]
    active: bool
    changed: list[str]


class EndpointDeleted(Happening, frozen=True, tag="webhook_endpoint.deleted"):
    endpoint_id: EndpointId


class EndpointSecretRotated(Happening, frozen=True, tag="webhook_endpoint.secret_rotated"):
    """`overlap_seconds`: so long the older secret signs too."""

    endpoint_id: EndpointId
    overlap_seconds: int


class EndpointSecretsRetired(Happening, frozen=True, tag="webhook_endpoint.secrets_retired"):
    """The older ones sign no more, sooner than was said."""

    endpoint_id: EndpointId


class EndpointTested(Happening, frozen=True, tag="webhook_endpoint.tested"):
    endpoint_id: EndpointId
    delivery_id: DeliveryId


class DeliveryFailed(Happening, frozen=True, tag="webhook_delivery.failed"):
    """A dead letter: it was tried as often as it is tried, or waited as long as it may."""

    delivery_id: DeliveryId
    endpoint_id: EndpointId
    event_type: str


class DeliveriesReplayed(Happening, frozen=True, tag="webhook_delivery.replayed"):
    """Somebody asked for them to be sent again."""

    endpoint_id: EndpointId
    deliveries: int
