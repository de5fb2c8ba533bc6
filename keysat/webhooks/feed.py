"""The feed: what endpoints are told of, to be read at one's own pace. A cursor is a position of the sealed order."""

from collections.abc import Collection

from keysat.infra.reader import Page, page
from keysat.infra.tables import EventRow
from keysat.infra.work import Read
from keysat.webhooks.names import ALL, BY_STATUS, SAME, Told, checked, told, wants


async def feed(read: Read, after: int, limit: int, event_types: Collection[str] | None = None) -> Page[Told]:
    """Of these types, or of all. Raises BadRequest for one that there is not.

    `upto` is the cursor of the next page, also where nothing was found: whoever asks with it loses nothing.
    """
    wanted = [ALL] if event_types is None else checked(event_types)
    names = {name for name in SAME if wants(wanted, name)}
    names |= {name for name, each in BY_STATUS.items() if any(wants(wanted, each_name) for each_name in each.values())}
    found = await page(read, after, limit, EventRow.name.in_(names))
    news = [one for event in found.events if (one := told(*event)) and wants(wanted, one.event_type)]
    return Page(news, found.upto, found.has_more)
