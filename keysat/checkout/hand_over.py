"""A license that goes to another buyer, with what hangs on it."""

from uuid import UUID

from keysat.customers.accounts import remember
from keysat.infra.work import Work
from keysat.licenses import change
from keysat.licenses.tables import License
from keysat.subscriptions.read import subscription_of


async def hand_over(work: Work, license_id: UUID, email: str | None) -> License:
    """To the customer with this address, new or known, who also gets its letters; None: to nobody who is known.

    Raises NotFound, BadRequest.
    """
    license = await change.hand_over(work, license_id, await remember(work, email))
    subscription = await subscription_of(work, license_id)
    if subscription is not None:
        subscription.customer_id = license.customer_id
    return license
