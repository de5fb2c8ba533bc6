"""What a handler may ask for: `async def handler(work: WithWork, now: WithNow)`. The parameter's name counts.

A handler takes `work` or `read`, never both: two generators are finished at the same time, so that one could commit
while the other fails.
"""

from collections.abc import AsyncGenerator, Mapping
from datetime import datetime
from typing import Any

from litestar import Request
from litestar.di import NamedDependency, Provide
from litestar.params import SkipValidation

from keysat.infra.work import Read, Work
from keysat.upkeep.shop import Shop
from keysat.web import etag
from keysat.web.visit import Visit, visit_of

WithVisit = NamedDependency[SkipValidation[Visit]]
WithShop = NamedDependency[SkipValidation[Shop]]
WithNow = NamedDependency[SkipValidation[datetime]]
WithWork = NamedDependency[SkipValidation[Work]]
WithRead = NamedDependency[SkipValidation[Read]]


async def visit(request: Request[Any, Any, Any]) -> Visit:
    return visit_of(request)


async def shop(request: Request[Any, Any, Any]) -> Shop:
    return visit_of(request).shop


async def now(request: Request[Any, Any, Any]) -> datetime:
    """The one moment of this request."""
    return visit_of(request).now


async def work(request: Request[Any, Any, Any]) -> AsyncGenerator[Work, None]:
    """One transaction: committed after the answer is written and before it is sent, undone when anything raises."""
    met = visit_of(request)
    async with met.work() as work:
        await etag.expect(request, work)
        yield work
        met.etag = await etag.afterwards(request, work)


async def read(request: Request[Any, Any, Any]) -> AsyncGenerator[Read, None]:
    """A snapshot of the database."""
    async with visit_of(request).shop.read() as read:
        yield read


DEPENDENCIES: Mapping[str, Any] = {
    "visit": Provide(visit),
    "shop": Provide(shop),
    "now": Provide(now),
    "work": Provide(work),
    "read": Provide(read),
}
