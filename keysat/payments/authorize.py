"""Connecting by a click: the operator lets us in on the provider's own page, which sends us a key.

The way back carries no credential of ours (`payment-rails.md` 1.10): a one-time link in the address we gave, consumed
by one guarded statement, stands for the operator who began it. A key that is not kept is given back at once (D-55).
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from urllib.parse import quote
from uuid import UUID

from keysat.infra import links
from keysat.infra.events import Actor
from keysat.infra.http import HttpClient
from keysat.infra.log import get
from keysat.infra.work import Read
from keysat.kit.errors import BadRequest, Forbidden, KeysatError, NotFound, Unauthorized
from keysat.payments.connections import Office, connect
from keysat.payments.happenings import ConnectBegun, ConnectRefused
from keysat.payments.profiles import chosen
from keysat.payments.provider import Authorizing, ProviderError, Rejected
from keysat.payments.registry import authorizing
from keysat.payments.tables import ConnectionId, ConnectRequest, ProfileId

PURPOSE = "connect"  # of the one-time link
API_KEY_MAX = 500

log = get(__name__)


class Trust(StrEnum):
    NONE = "none"
    CONNECTS = "connects"
    OWNS = "owns"  # and is told what the provider said


Trusted = Callable[[Read, Actor], Awaitable[Trust]]
"""What who began may do now: keys are revoked, and people leave, while a link of theirs is open."""


@dataclass(frozen=True, slots=True)
class Begun:
    """Send the operator's browser to `url`. Whoever comes back with `state` within half an hour is believed once."""

    url: str
    state: str
    profile_id: ProfileId


@dataclass(frozen=True, slots=True)
class Places:
    """Where the provider's server is: for us, for the operator's browser, and for buyers."""

    base_url: str
    browser_url: str | None = None
    public_url: str | None = None


class Refused(Exception):
    """What came back is not kept. `key_is_gone`: the key that came with it was given back."""

    def __init__(self, reason: KeysatError, *, key_is_gone: bool) -> None:
        super().__init__(reason.message)
        self.reason = reason
        self.key_is_gone = key_is_gone


async def begin(office: Office, name: str, places: Places, profile_id: UUID | None) -> Begun:
    """Raises NotFound for the profile, BadRequest for the address or a provider without such a page."""
    maker = authorizing(name)
    async with office.work() as work:
        profile = await chosen(work, profile_id)
        request = ConnectRequest(
            id=work.new_id(),
            provider=name,
            base_url=places.base_url,
            public_url=places.public_url,
            merchant_profile_id=profile.id,
            actor=work.actor.kind,
            credential=work.actor.credential,
            created_at=work.now,
        )
        work.session.add(request)
        state = links.token_of(office.vault, await links.make(work, office.vault, PURPOSE, request.id))
        redirect = f"{office.public_url}/v1/{quote(name)}/authorize/callback?state={state}"
        try:
            url = maker.authorize_url(places.browser_url or places.base_url, redirect)
        except Rejected as error:
            raise BadRequest(str(error)) from error
        work.record(ConnectBegun(request.id, name))
    return Begun(url, state, profile.id)


async def finish(office: Office, name: str, state: str, api_key: str, trusted: Trusted) -> ConnectionId:
    """The operator is back with a key. It is checked as one that was typed, and kept or given back: also where who
    began this may not connect any more.

    Raises Unauthorized for a state that is none (any more), when nothing can be given back, since nobody knows where;
    Refused.
    """
    maker = authorizing(name)
    address = office.actor.address
    async with replace(office, actor=Actor("provider", address=address)).work() as work:
        try:
            request = await work.get(ConnectRequest, UUID(await links.use(work, PURPOSE, state)))
        except NotFound as error:
            raise Unauthorized(
                "This connection was begun more than half an hour ago, or is finished already. Begin it again."
            ) from error
        if request.provider != name:
            raise Unauthorized("This connection was begun with another provider. Begin it again.")
    office = replace(office, actor=Actor(request.actor, credential=request.credential, address=address))
    fields = {"url": request.base_url, "api_key": api_key[:API_KEY_MAX]}
    if request.public_url is not None:
        fields["public_url"] = request.public_url
    try:
        async with office.read() as read:
            trust = await trusted(read, office.actor)
        if trust is Trust.NONE:
            raise Forbidden("Who began this may not connect providers any more.")
        quotes = trust is Trust.OWNS
        return await connect(office, name, fields, request.merchant_profile_id, quotes=quotes)
    except KeysatError as error:
        is_gone = await _gave_back(maker, request.base_url, fields["api_key"], office.http)
        async with office.work() as work:
            happened = ConnectRefused(request_id=request.id, provider=name, error=error.code.code, is_revoked=is_gone)
            work.record(happened)
        raise Refused(error, key_is_gone=is_gone) from error


async def _gave_back(maker: Authorizing, base_url: str, api_key: str, http: HttpClient) -> bool:
    try:
        await maker.revoke_key(base_url, api_key, http)
    except ProviderError as error:
        log.warning("provider.key_left_behind", reason=f"{type(error).__name__}: {error}")
        return False
    return True
