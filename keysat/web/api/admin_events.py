"""The feed: what webhooks tell, to be read at one's own pace, for who was away or has no address of his own."""

from datetime import datetime
from typing import Annotated, Any

from litestar import get
from litestar.params import QueryParameter
from msgspec import UNSET, UnsetType

from keysat.infra.house import Mode
from keysat.kit.paging import LIMIT_DEFAULT
from keysat.web.filters import Limit
from keysat.web.provide import WithRead, WithShop
from keysat.web.wire import INT_MAX, Outbound
from keysat.webhooks.feed import feed

After = Annotated[int, QueryParameter(ge=0, le=INT_MAX, description="`next_after` of the page before.")]
Types = Annotated[
    str | None,
    QueryParameter(max_length=4000, description="Names, or groups such as `license.*`, with commas between them."),
]


class Event(Outbound, frozen=True, kw_only=True):
    """As a webhook's body tells it. `position` is its place in the one order of all events: `X-Keysat-Position`."""

    position: int
    event_type: str
    timestamp: datetime
    data: dict[str, Any]
    sandbox: bool | UnsetType = UNSET


class Events(Outbound, frozen=True, kw_only=True):
    """`next_after` is there also where nothing is: whoever asks with it next time loses nothing."""

    events: list[Event]
    next_after: int
    has_more: bool


@get("/events", operation_id="listEvents")
async def list_events(
    read: WithRead, shop: WithShop, after: After = 0, limit: Limit = LIMIT_DEFAULT, types: Types = None
) -> Events:
    """What happened after a position, the oldest first, in the order in which webhooks tell it of one object."""
    wanted = [name.strip() for name in types.split(",")] if types is not None else None
    news = await feed(read, after, limit, wanted)
    sandbox = True if shop.mode == Mode.SANDBOX else UNSET
    found = [
        Event(
            position=one.position,
            event_type=one.event_type,
            timestamp=one.at,
            data=dict(one.data),
            sandbox=sandbox,
        )
        for one in news.events
    ]
    return Events(events=found, next_after=news.upto, has_more=news.has_more)


ROUTES = (list_events,)
