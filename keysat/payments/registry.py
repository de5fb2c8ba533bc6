"""The providers this installation has, found by the entry-point group `keysat.providers`."""

from functools import cache
from importlib.metadata import entry_points

from keysat.kit.errors import BadRequest
from keysat.payments.provider import Authorizing, Provider

GROUP = "keysat.providers"


@cache
def providers() -> dict[str, Provider]:
    """By name. A provider that cannot be imported raises here, at the first use, with its own error."""
    return {point.name: point.load() for point in entry_points(group=GROUP)}


def provider(name: str) -> Provider:
    found = providers().get(name)
    if found is None:
        raise BadRequest(f"There is no payment provider {name!r}; there are {', '.join(sorted(providers()))}.")
    return found


def authorizing(name: str) -> Authorizing:
    """Raises BadRequest for one that has no page for it."""
    found = provider(name)
    if not isinstance(found, Authorizing):
        raise BadRequest(f"{name} is not connected by a click: connect it with an API key.")
    return found
