"""Looking licenses up, so that a page of a million comes at once: along one index, which is said and not guessed."""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Select, TextClause, func, literal_column, select, text

from keysat.customers.read import beginning
from keysat.customers.tables import Customer
from keysat.infra.filtered import paged
from keysat.infra.planner import aside, one_by_one
from keysat.infra.work import Read
from keysat.kit.paging import Page, cursor_parts, page_of
from keysat.licenses.tables import ENDED, ON_TRIAL, License, LicenseStatus, Machine

ID_DIGITS = 8
"""With so many hexadecimal digits it is the beginning of an id that somebody reads out."""
NAMED_MOST = 50
FEW = 7_500
"""With so many of a million, both ways of a search take about equally long (`tests/bench/lists`)."""
_HEX = re.compile(r"[0-9a-f]+")
_PARTIAL = {"status": ENDED, "is_trial": ON_TRIAL}


class LicenseFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is None does not filter. `*_after` is included, `*_before` is not."""

    status: LicenseStatus | None = None
    product_id: UUID | None = None
    policy_id: UUID | None = None
    customer_id: UUID | None = None
    is_trial: bool | None = None
    issued_after: datetime | None = None
    issued_before: datetime | None = None
    expires_after: datetime | None = None
    expires_before: datetime | None = None

    @property
    def is_by_end(self) -> bool:
        return self.expires_after is not None or self.expires_before is not None

    @property
    def lead(self) -> str:
        """The filter whose index is walked along, the narrowest by its nature."""
        if self.customer_id is not None:
            return "customer_id"
        if self.is_by_end:
            return "expires_at"
        if self.status not in (None, LicenseStatus.ACTIVE):
            return "status"
        if self.is_trial:
            return "is_trial"
        return (
            "policy_id" if self.policy_id is not None else "product_id" if self.product_id is not None else "issued_at"
        )


async def list_licenses(read: Read, wanted: LicenseFilter, limit: int, cursor: str | None = None) -> Page[License]:
    """The latest sale first; those asked for by their end, the next to end first.

    Raises BadRequest for a cursor that is not ours.
    """
    begins = _conditions(read, wanted, wanted.lead, goes_on=cursor is not None)
    key = (License.expires_at if wanted.is_by_end else License.issued_at, License.id)
    query, of = select(License).where(*begins), ("licenses", wanted)
    return await paged(read, query, key, limit, cursor, of=of, latest_first=not wanted.is_by_end)


async def search_licenses(
    read: Read, words: str, wanted: LicenseFilter, limit: int, cursor: str | None = None
) -> Page[License]:
    """Of the buyers whose address, or then name, begins with the words. As `customers.read.beginning`.

    Where the filters leave few licenses, from these to their buyers; else along the buyers, until a page of them has
    such licenses: of many that is soon.
    """
    of = ("licenses", wanted)
    along = License.expires_at if wanted.is_by_end else License.issued_at  # or SQLite walks along no index at all
    sold = select(License.id, License.customer_id).where(*_conditions(read, wanted, wanted.lead)).order_by(along)
    if await _few(read, sold.with_only_columns(License.id)):
        among = sold.cte().prefix_with("MATERIALIZED")
        query = select(among.c.id).join(Customer, Customer.id == among.c.customer_id)
        page = await beginning(read, query, among.c.id, words, limit, cursor, of=of, few=True)
    else:
        query = select(License.id).join(Customer, Customer.id == License.customer_id)
        query = query.where(*_conditions(read, wanted, "words"))
        await one_by_one(read)
        page = await beginning(read, query, License.id.expression, words, limit, cursor, of=of)
    rows = await read.session.scalars(select(License).where(License.id.in_(page.items)))
    by_id = {row.id: row for row in rows}
    return page.map(lambda one: by_id[one])


async def licenses_named(
    read: Read, words: str, wanted: LicenseFilter, others: Sequence[UUID] = ()
) -> Sequence[License]:
    """By the beginning of their ids, or as one of `others`: at most 50, by id."""
    among = License.id.in_(others)
    digits = words.strip().lower().replace("-", "")
    if ID_DIGITS <= len(digits) <= 32 and _HEX.fullmatch(digits):
        among |= License.id.between(UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f")))
    query = select(License).where(among, *_conditions(read, wanted, "words"))
    return (await read.session.scalars(query.order_by(License.id).limit(NAMED_MOST))).all()


async def how_many(read: Read, status: LicenseStatus | None = None, since: datetime | None = None) -> int:
    """Of a status that is not active, or issued after a moment: what an index counts."""
    query = select(func.count()).select_from(License)
    if status is not None:
        query = query.where(License.status == literal_column(f"'{status}'"), text(ENDED))
    if since is not None:
        query = query.where(License.issued_at > since)
    return await read.session.scalar(query) or 0


async def machines_of(read: Read, license_id: UUID, *, most: int = 200) -> Sequence[Machine]:
    """The seats taken now, the machine seen last first."""
    active = Machine.license_id == license_id, Machine.deactivated_at.is_(None)
    return (
        await read.session.scalars(select(Machine).where(*active).order_by(Machine.last_seen_at.desc()).limit(most))
    ).all()


async def list_machines(
    read: Read,
    limit: int,
    cursor: str | None = None,
    *,
    license_id: UUID | None = None,
    product_id: UUID | None = None,
    include_inactive: bool = False,
) -> Page[tuple[Machine, License]]:
    """With their licenses; the seat taken last first. Raises BadRequest for a cursor that is not ours."""
    query = select(Machine, License).join(License, License.id == Machine.license_id).limit(limit + 1)
    order = Machine.id.expression  # ids grow with time
    of = ("machines", license_id, product_id, include_inactive)
    of_product = select(License.id).where(License.product_id == product_id)
    if license_id is not None:
        query = query.where(Machine.license_id == license_id)
    elif product_id is not None and await _few(read, of_product):
        query = query.where(Machine.license_id.in_(of_product))
        order = aside(read, order)
    elif product_id is not None:
        query = query.where(aside(read, License.product_id.expression) == product_id)
    if not include_inactive:
        query = query.where(Machine.deactivated_at.is_(None))
    if cursor is not None:
        query = query.where(order < cursor_parts(cursor, UUID, of=of)[0])
    rows = [(machine, license) for machine, license in await read.session.execute(query.order_by(order.desc()))]
    return page_of(rows, limit, lambda row: (row[0].id,), of=of)


async def _few(read: Read, licenses: Select[Any]) -> bool:
    """Then one goes from them to what belongs to them, else from that to them."""
    some = licenses.limit(FEW + 1).subquery()
    return (await read.session.scalar(select(func.count()).select_from(some)) or 0) <= FEW


def _conditions(
    read: Read, wanted: LicenseFilter, lead: str, *, goes_on: bool = False
) -> Iterator[ColumnElement[bool] | TextClause]:
    """SQLite, which guesses, does not see that there is an index for any but the leading filter.

    Where a cursor `goes_on`, it is what the walk begins at, and not the bound that it began at.
    """

    def column(name: str, *, leads: bool = True) -> ColumnElement[Any]:
        of = getattr(License, name).expression
        return of if leads and name == lead else aside(read, of)

    for name in ("product_id", "policy_id", "customer_id"):
        value = getattr(wanted, name)
        if value is not None:
            yield column(name) == value
    if wanted.status is not None:  # in the text: PostgreSQL then plans for this status, of which there may be few
        yield column("status") == literal_column(f"'{wanted.status}'")
    if wanted.is_trial is not None and lead != "is_trial":
        yield column("is_trial") == wanted.is_trial
    if lead in _PARTIAL:
        yield text(_PARTIAL[lead])
    if lead in ("status", "is_trial", "policy_id", "product_id"):  # whose indices go on with the time of the sale
        lead = "issued_at"
    if wanted.issued_after is not None:
        yield column("issued_at") >= wanted.issued_after
    if wanted.issued_before is not None:
        yield column("issued_at", leads=not goes_on) < wanted.issued_before
    if wanted.expires_after is not None:
        yield column("expires_at", leads=not goes_on) >= wanted.expires_after
    if wanted.expires_before is not None:
        yield column("expires_at") < wanted.expires_before
