"""Every table of Keysat, gathered: importing this module makes `metadata` whole."""

from types import ModuleType

from keysat.catalog import tables as catalog
from keysat.checkout import tables as checkout
from keysat.checkout.change import tables as changes
from keysat.customers import tables as customers
from keysat.infra.tables import Base
from keysat.letters import tables as letters
from keysat.licenses import tables as licenses
from keysat.operators import tables as operators
from keysat.payments import tables as payments
from keysat.payments.rates import tables as rates
from keysat.subscriptions import tables as subscriptions
from keysat.web import tables as web
from keysat.webhooks import tables as webhooks

TABLES: tuple[ModuleType, ...] = (
    catalog,
    customers,
    licenses,
    subscriptions,
    payments,
    rates,
    checkout,
    changes,
    operators,
    webhooks,
    letters,
    web,
)
"""The slices that own tables: add yours, with its import above."""

metadata = Base.metadata
