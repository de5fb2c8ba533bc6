"""The feed: what endpoints are told of, to be read at one's own pace. A cursor is a position of the sealed order."""

from collections.abc import Collection

from keysat.infra.work import Read
from keysat.webhooks.dispatch import News, events
from keysat.webhooks.names import BY_STATUS, SAME, checked, wants


async def feed(read: Read, after: int, limit: int, event_types: Collection[str] | None = None) -> News:
    """Of these types, or of all. Raises BadRequest for one that there is not.

    `upto` is the cursor of the next page, also where nothing was found: whoever asks with it loses nothing.
    """
    if event_types is None:
        return await events(read, after, limit)
    wanted = checked(event_types)
    names = {name for name in SAME if wants(wanted, name)}
    names |= {name for name, each in BY_STATUS.items() if any(wants(wanted, told) for told in each.values())}
    found = await events(read, after, limit, names)
    return News([one for one in found.told if wants(wanted, one.event_type)], found.upto, found.has_more)
