"""What happens to customers, in the past tense; which fields, and never what stands in them."""

from uuid import UUID

from keysat.infra.events import Happening


class CustomerEdited(Happening, frozen=True, tag="customer.edited"):
    """By the operator."""

    customer_id: UUID
    fields: list[str]
