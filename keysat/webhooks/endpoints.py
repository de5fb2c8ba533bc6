"""Receivers: add, edit, rotate the secret, take away. A secret is shown once, by the verb that makes it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType
from sqlalchemy import delete as delete_rows
from sqlalchemy import func, select, update

from keysat.infra.attention import clear, settle_about
from keysat.infra.filtered import paged
from keysat.infra.public_http import checked_url
from keysat.infra.reader import head
from keysat.infra.vault import Vault
from keysat.infra.work import Read, Work
from keysat.kit.errors import BadRequest, Conflict, NotFound
from keysat.kit.paging import Page
from keysat.webhooks import happenings
from keysat.webhooks.health import forget_failures
from keysat.webhooks.names import ALL, checked
from keysat.webhooks.sign import Signer, new_signer
from keysat.webhooks.tables import Endpoint, EndpointId, EndpointSecret

ENDPOINTS_MAX = 100
"""Each has a lane of its own, with its own connections."""
OVERLAP_SECONDS = 24 * 3600
OVERLAP_SECONDS_MAX = 30 * 24 * 3600
SIGNERS_MAX = 3
SEALED_AS = "webhook-secret"
WAITED = "webhook_waited"  # a kind of attention: what waited for it is given up

Url = Annotated[str, Meta(max_length=2048)]
Description = Annotated[str, Meta(max_length=1000, pattern="^[^\\u0000]*$")]
EventTypes = Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(max_length=100)]


class NewEndpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`secret`: one that the receiver has already; else one is made."""

    url: Url
    event_types: EventTypes = msgspec.field(default_factory=lambda: [ALL])
    description: Description | None = None
    secret: Annotated[str, Meta(max_length=128)] | None = None


class EndpointEdit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An absent field stays, null clears."""

    url: Url | UnsetType = UNSET
    event_types: EventTypes | UnsetType = UNSET
    description: Description | UnsetType | None = UNSET
    active: bool | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class Shown:
    """An endpoint, and the secret that is not shown again."""

    endpoint: Endpoint
    secret: str


async def create(work: Work, vault: Vault, new: NewEndpoint, *, endpoint_id: EndpointId | None = None) -> Shown:
    """It is told what happens from now on. Its URL is checked by the door that can look names up.

    Raises BadRequest, Conflict when there are too many.
    """
    there = select(func.count()).select_from(Endpoint).where(Endpoint.deleted_at.is_(None))
    if (await work.session.scalar(there) or 0) >= ENDPOINTS_MAX:
        raise Conflict(f"There are {ENDPOINTS_MAX} endpoints, and there can be no more: delete one first.")
    endpoint = Endpoint(
        id=endpoint_id or EndpointId(work.new_id()),
        url=str(checked_url(new.url)),
        event_types=checked(new.event_types),
        description=new.description or None,
        active=True,
        after_position=await head(work),
        created_at=work.now,
        updated_at=work.now,
    )
    work.session.add(endpoint)
    await work.session.flush()
    signer = await _sign_with(work, vault, endpoint, new.secret)
    work.record(happenings.EndpointCreated(endpoint.id, endpoint.event_types))
    return Shown(endpoint, signer.secret)


async def edit(work: Work, endpoint_id: UUID, wanted: EndpointEdit) -> Endpoint:
    """What waits goes to the new URL. Raises BadRequest, NotFound."""
    endpoint = await held(work, endpoint_id)
    fields = wanted.__struct_fields__  # names of columns
    new = {field: value for field in fields if (value := getattr(wanted, field)) is not UNSET}
    if "url" in new:
        new["url"] = str(checked_url(new["url"]))
    if "event_types" in new:
        new["event_types"] = checked(new["event_types"])
    changed = sorted(field for field, value in new.items() if getattr(endpoint, field) != value)
    if not changed:
        return endpoint
    for field in changed:
        setattr(endpoint, field, new[field])
    endpoint.updated_at = work.now
    if "active" in changed:
        await clear(work, endpoint.id, WAITED)
    if "active" in changed or "url" in changed:
        await forget_failures(work, endpoint)
    work.record(
        happenings.EndpointEdited(
            endpoint_id=endpoint.id, event_types=endpoint.event_types, active=endpoint.active, changed=changed
        )
    )
    return endpoint


async def delete(work: Work, endpoint_id: UUID) -> None:
    """Its deliveries keep its name; those that wait are given up by the job. Raises NotFound."""
    endpoint = await held(work, endpoint_id)
    endpoint.deleted_at = endpoint.updated_at = work.now
    await work.session.execute(delete_rows(EndpointSecret).where(EndpointSecret.endpoint_id == endpoint.id))
    await settle_about(work, endpoint.id)
    work.record(happenings.EndpointDeleted(endpoint.id))


async def rotate(
    work: Work, vault: Vault, endpoint_id: UUID, overlap_seconds: int = OVERLAP_SECONDS, secret: str | None = None
) -> Shown:
    """A new secret signs from now on; the older one signs too, for so long. Raises BadRequest, Conflict, NotFound."""
    if not 0 <= overlap_seconds <= OVERLAP_SECONDS_MAX:
        raise BadRequest(f"`overlap_seconds` is 0 to {OVERLAP_SECONDS_MAX}.")
    endpoint = await held(work, endpoint_id)
    await _retire(work, endpoint.id, work.now + timedelta(seconds=overlap_seconds))
    if len((await keys_of(work, [endpoint.id]))[endpoint.id]) >= SIGNERS_MAX:
        raise Conflict(f"{SIGNERS_MAX} secrets sign for this endpoint: retire the older ones first.")
    signer = await _sign_with(work, vault, endpoint, secret)
    endpoint.updated_at = work.now
    work.record(happenings.EndpointSecretRotated(endpoint.id, overlap_seconds))
    return Shown(endpoint, signer.secret)


async def retire_old_secrets(work: Work, endpoint_id: UUID) -> Endpoint:
    """The receiver knows the new one: the older ones sign no more. Raises NotFound."""
    endpoint = await held(work, endpoint_id)
    if len((await keys_of(work, [endpoint.id]))[endpoint.id]) > 1:
        gone = EndpointSecret.retires_at.is_not(None)
        await work.session.execute(delete_rows(EndpointSecret).where(EndpointSecret.endpoint_id == endpoint.id, gone))
        work.record(happenings.EndpointSecretsRetired(endpoint.id))
    return endpoint


async def endpoints(read: Read, limit: int = ENDPOINTS_MAX, cursor: str | None = None) -> Page[Endpoint]:
    """Those that are there, the oldest first. Raises BadRequest for a cursor that is not ours."""
    there = select(Endpoint).where(Endpoint.deleted_at.is_(None))
    return await paged(read, there, (Endpoint.created_at, Endpoint.id), limit, cursor, of="webhook_endpoints")


async def endpoint(read: Read, endpoint_id: UUID) -> Endpoint:
    """One that is there. Raises NotFound."""
    row = await read.session.get(Endpoint, endpoint_id)
    return _there(row, endpoint_id)


async def named(read: Read, endpoint_ids: Collection[UUID]) -> Mapping[UUID, Endpoint]:
    """Of deliveries: also those that are gone."""
    rows = await read.session.scalars(select(Endpoint).where(Endpoint.id.in_(endpoint_ids)))
    return {row.id: row for row in rows}


async def held(work: Work, endpoint_id: UUID) -> Endpoint:
    """The same, held against the others who change it or send to it. Raises NotFound."""
    return _there(await work.hold(Endpoint, endpoint_id), endpoint_id)


async def hold_all(work: Work, endpoint_ids: Collection[EndpointId]) -> Mapping[EndpointId, Endpoint]:
    """In one order, so that nobody waits in a circle; deliveries can be written to them meanwhile. Also those gone."""
    rows = await work.session.scalars(
        select(Endpoint)
        .where(Endpoint.id.in_(endpoint_ids))
        .order_by(Endpoint.id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    return {row.id: row for row in rows}


async def make_due(work: Work, endpoint_ids: Collection[EndpointId], at: datetime | None = None) -> None:
    """Something can be sent to these at that moment, or now."""
    moment = at or work.now
    await hold_all(work, endpoint_ids)
    await work.session.execute(
        update(Endpoint)
        .where(Endpoint.id.in_(endpoint_ids), Endpoint.due_at.is_(None) | (Endpoint.due_at > moment))
        .values(due_at=moment)
        .execution_options(synchronize_session=False)
    )


async def signers(read: Read, vault: Vault, endpoint_ids: Collection[UUID]) -> Mapping[UUID, Sequence[Signer]]:
    """Those that sign for each, the present one first."""
    return {
        endpoint_id: [msgspec.msgpack.decode(vault.open(row.sealed, SEALED_AS), type=Signer) for row in rows]
        for endpoint_id, rows in (await keys_of(read, endpoint_ids)).items()
    }


async def keys_of(read: Read, endpoint_ids: Collection[UUID]) -> Mapping[UUID, Sequence[EndpointSecret]]:
    """The same as rows, whose public half can be shown."""
    found: dict[UUID, list[EndpointSecret]] = {endpoint_id: [] for endpoint_id in endpoint_ids}
    for row in await read.session.scalars(select(EndpointSecret).where(EndpointSecret.endpoint_id.in_(endpoint_ids))):
        found[row.endpoint_id].append(row)
    return {endpoint_id: sorted(rows, key=_age, reverse=True) for endpoint_id, rows in found.items()}


async def forget_retired(work: Work) -> None:
    retired = EndpointSecret.retires_at <= work.now
    await work.session.execute(delete_rows(EndpointSecret).where(retired))


def _there(row: Endpoint | None, endpoint_id: UUID) -> Endpoint:
    if row is None or row.deleted_at is not None:
        raise NotFound(f"There is no endpoint {endpoint_id}.")
    return row


async def _sign_with(work: Work, vault: Vault, endpoint: Endpoint, secret: str | None) -> Signer:
    signer = new_signer(work.chance, secret)
    work.session.add(
        EndpointSecret(
            id=work.new_id(),
            endpoint_id=endpoint.id,
            sealed=vault.seal(msgspec.msgpack.encode(signer), SEALED_AS),
            public_key=signer.public_key,
            created_at=work.now,
        )
    )
    await work.session.flush()
    return signer


async def _retire(work: Work, endpoint_id: UUID, at: datetime) -> None:
    """Those that were to retire sooner still do. What retires now goes."""
    await work.session.execute(
        update(EndpointSecret)
        .where(EndpointSecret.endpoint_id == endpoint_id, EndpointSecret.retires_at.is_(None))
        .values(retires_at=at)
        .execution_options(synchronize_session=False)
    )
    await forget_retired(work)


def _age(row: EndpointSecret) -> tuple[bool, datetime, UUID]:
    """Ascending, from the oldest to the present one."""
    return row.retires_at is None, row.created_at, row.id
