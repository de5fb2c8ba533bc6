"""The doctor: asks every slice below whether what must always hold does hold. Repairs nothing.

`letters` stands on the same floor: who calls the doctor asks it too.
"""

from datetime import datetime

from keysat.catalog import invariants as catalog
from keysat.checkout import invariants as checkout
from keysat.customers import invariants as customers
from keysat.infra import invariants as infra
from keysat.infra.work import Read
from keysat.licenses import invariants as licenses
from keysat.operators import invariants as operators
from keysat.payments import invariants as payments
from keysat.subscriptions import invariants as subscriptions
from keysat.upkeep import tallies
from keysat.webhooks import invariants as webhooks

SLICES = (infra, catalog, customers, licenses, subscriptions, payments, checkout, operators, webhooks, tallies)


async def violations(read: Read, now: datetime) -> list[str]:
    """One sentence for each; none when the shop is well."""
    return [line for one in SLICES for line in await one.broken(read, now)]
