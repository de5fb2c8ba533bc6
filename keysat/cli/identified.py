"""Which row a person means. Imports slices: commands import it when they run."""

from uuid import UUID

from keysat.customers.accounts import find
from keysat.infra.work import Read
from keysat.kit.errors import NotFound


async def customer_id_of(read: Read, whose: str) -> UUID:
    """An address or an id. Raises NotFound."""
    known = await find(read, whose)
    if known is not None:
        return known.id
    try:
        return UUID(whose)
    except ValueError:
        raise NotFound(f"There is no customer {whose}.") from None
