"""Tiers that one can climb, and what a story of changes asks and looks at."""

from typing import Any

from sqlalchemy import func, select

from keysat.checkout.change.tables import TierChange
from keysat.infra.tables import EventRow
from tests.stories.conftest import Story

QUOTE, UPGRADE = "/v1/upgrade-quote", "/v1/upgrade"
ONCE: dict[str, Any] = {"is_recurring": False, "renewal_period": None}


async def with_ladder(story: Story) -> Story:
    """Standard 25.00, Pro 75.00 and Max 125.00, bought once; Plus 25.00 and Team 75.00 by the month of 30 days."""
    days: dict[str, Any] = {"renewal_period": {"count": 30, "unit": "day"}}
    [pro] = (await story.admin("GET", "/policies?product_slug=app"))["policies"]
    await story.admin("PATCH", f"/policies/{pro['id']}", tier_rank=2, entitlements=["export"])
    await story.tier("standard", 2500, tier_rank=1, **ONCE)
    await story.tier("max", 12500, tier_rank=3, max_machines=9, **ONCE)
    await story.tier("plus", 2500, tier_rank=4, **days)
    await story.tier("team", 7500, tier_rank=5, entitlements=["sync"], **days)
    return story


async def ask(story: Story, path: str, key: str, target: str, **fields: Any) -> Any:
    answer = await story.post(path, license_key=key, target_policy_slug=target, **fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def upgraded(story: Story, key: str, target: str, **fields: Any) -> dict[str, Any]:
    """Started and paid."""
    started = await ask(story, UPGRADE, key, target, **fields)
    await story.pay(await story.order_of(started["invoice_id"]))
    return started


async def refused(story: Story, path: str, key: str, target: str, **fields: Any) -> tuple[int, str]:
    answer = await story.post(path, license_key=key, target_policy_slug=target, **fields)
    return answer.status_code, answer.json()["message"]


async def policy_path(story: Story, slug: str) -> str:
    """Of the tier, for its operator."""
    listed = (await story.admin("GET", "/policies?product_slug=app"))["policies"]
    [policy_id] = [one["id"] for one in listed if one["slug"] == slug]
    return f"/policies/{policy_id}"


async def changes(story: Story) -> list[TierChange]:
    async with story.shop.read() as read:
        return list(await read.session.scalars(select(TierChange)))


async def statuses(story: Story) -> list[str]:
    return sorted(change.status for change in await changes(story))


async def told(story: Story) -> int:
    async with story.shop.read() as read:
        return await read.session.scalar(select(func.count()).select_from(EventRow)) or 0


async def by_operator(story: Story, target: str, **fields: Any) -> Any:
    license_id = (await story.license()).id
    return await story.admin("POST", f"/licenses/{license_id}/change-tier", to_policy_slug=target, **fields)


async def tier_of(story: Story, key: str) -> list[str]:
    """Its entitlements, which each tier here has others of."""
    answer = await story.validate(key)
    assert answer["ok"], answer
    return answer.get("entitlements", [])
