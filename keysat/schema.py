"""Every table of Keysat, gathered: importing this module makes `metadata` whole."""

from types import ModuleType

from keysat.catalog import tables as catalog
from keysat.customers import tables as customers
from keysat.infra.tables import Base
from keysat.payments.rates import tables as rates

TABLES: tuple[ModuleType, ...] = (
    catalog,
    customers,
    rates,
)
"""The slices that own tables: add yours, with its import above."""

metadata = Base.metadata
