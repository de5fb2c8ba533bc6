"""Who sells a product: what buyers are told of them, and what hangs on a merchant profile."""

from collections.abc import Mapping
from uuid import UUID

import msgspec
from sqlalchemy import func, select

from keysat.catalog.tables import Policy, Product
from keysat.infra.setting_values import Contact
from keysat.infra.work import Read, Work
from keysat.infra.written import counts
from keysat.kit.errors import Conflict
from keysat.payments import profiles
from keysat.payments.tables import ConnectionRow, ConnectionStatus
from keysat.subscriptions.tables import Subscription, SubscriptionStatus


class Hanging(msgspec.Struct, frozen=True):
    """How many name the profile."""

    products: int
    subscriptions: int
    """Of those products, and not over."""
    connections: int
    """That take orders."""

    def words(self) -> str:
        return counts(
            (self.products, "product"),
            (self.subscriptions, "running subscription"),
            (self.connections, "payment connection"),
        )


async def hanging_on(read: Read, profile_id: UUID) -> Hanging:
    sold = select(Policy.id).join(Product, Policy.product_id == Product.id)
    over = (SubscriptionStatus.CANCELLED, SubscriptionStatus.LAPSED)
    asked = (
        select(func.count()).select_from(Product).where(Product.merchant_profile_id == profile_id),
        select(func.count())
        .select_from(Subscription)
        .where(
            Subscription.policy_id.in_(sold.where(Product.merchant_profile_id == profile_id)),
            Subscription.status.not_in(over),
        ),
        select(func.count())
        .select_from(ConnectionRow)
        .where(ConnectionRow.merchant_profile_id == profile_id, ConnectionRow.status == ConnectionStatus.ACTIVE),
    )
    return Hanging(*[(await read.session.scalars(count)).one() for count in asked])


async def delete_profile(work: Work, profile_id: UUID) -> None:
    """Raises NotFound; Conflict for the default profile, and with what hangs on it."""
    hanging = (await hanging_on(work, profile_id)).words()
    if hanging:
        raise Conflict(f"This profile has {hanging}. Move the products to another profile and disconnect first.")
    await profiles.remove(work, profile_id)


async def told_of(read: Read, profile_id: UUID | None) -> Mapping[str, object]:
    """What pages and letters say of the seller, by the names of their templates: only what the profile says itself."""
    profile = await profiles.profile_of(read, profile_id)
    if profile is None:
        return {}
    told: dict[str, object] = {}
    if profile.name is not None:
        told["shop_name"] = told["sold_by"] = profile.name
    if profile.legal_name is not None:
        told["sold_by"] = profile.legal_name
    if profile.support_url is not None:
        told["contact"] = Contact(words=profile.support_url, href=profile.support_url)
    elif profile.support_email is not None:
        told["contact"] = Contact(words=profile.support_email, href=f"mailto:{profile.support_email}")
    return told
