"""Who this server is: its name, its health, and the public keys that its license keys are verified with."""

from datetime import datetime
from importlib.metadata import version
from typing import Any, Literal

import msgspec
from litestar import Request, Response, get
from litestar.openapi.datastructures import ResponseSpec
from msgspec import UNSET, UnsetType

from keysat.infra.house import Mode
from keysat.licenses.ring import OpenKey, public_pem
from keysat.licenses.ring import jwks as published
from keysat.licenses.tables import IssuerStatus
from keysat.upkeep.shop import Shop
from keysat.web.problems import refusals, wants_page
from keysat.web.provide import WithNow, WithShop
from keysat.web.public.index import index_page
from keysat.web.wire import Outbound

KEY_FORMAT_VERSION = 2  # the only one that is issued; 1 still verifies
KEYS_FOR = {"Cache-Control": "public, max-age=300"}  # a new issuer key is announced long before it signs


class About(Outbound, frozen=True, kw_only=True):
    service: Literal["keysat"] = "keysat"
    version: str
    operator: str | None
    public_key_pem: str
    key_algorithm: Literal["ed25519"] = "ed25519"
    key_format_version: int = KEY_FORMAT_VERSION
    sandbox: bool | UnsetType = UNSET


ABOUT = ResponseSpec(About, description="As a program is answered", generate_examples=False)


class PublicKey(Outbound, frozen=True, kw_only=True):
    algorithm: Literal["ed25519"] = "ed25519"
    public_key_pem: str


class IssuerPublicKey(Outbound, frozen=True, kw_only=True):
    public_key_pem: str
    key_algorithm: Literal["ed25519"] = "ed25519"
    key_format_version: int = KEY_FORMAT_VERSION


class ListedKey(Outbound, frozen=True, kw_only=True):
    key_id: str
    status: IssuerStatus
    public_key_pem: str
    key_algorithm: Literal["ed25519"] = "ed25519"
    created_at: datetime
    signing_from: datetime | None


class ListedKeys(Outbound, frozen=True, kw_only=True):
    keys: list[ListedKey]


class Jwk(Outbound, frozen=True, kw_only=True):
    kty: str
    crv: str
    alg: str
    use: str
    kid: str
    x: str


class Jwks(Outbound, frozen=True, kw_only=True):
    keys: list[Jwk]


@get("/", operation_id="getAbout", responses={200: ABOUT, **refusals(429)})
async def about(request: Request[Any, Any, Any], shop: WithShop) -> Response[Any]:
    """What this server is, for a program. A browser gets the shop's front page."""
    if wants_page(request.scope):
        answer: Response[Any] = await index_page(request)
    else:
        answer = Response(_about(shop))
    answer.headers["Vary"] = "Accept"
    return answer


@get("/v1/pubkey", operation_id="getPubkey", response_headers=KEYS_FOR)
async def pubkey(shop: WithShop) -> PublicKey:
    """The key that signs new licenses, as the SDKs ask for it."""
    return PublicKey(public_key_pem=public_pem(shop.ring.signing.public_key))


@get("/v1/issuer/public-key", operation_id="getIssuerPublicKey", response_headers=KEYS_FOR)
async def issuer_public_key(shop: WithShop) -> IssuerPublicKey:
    """The same key, with the format it signs."""
    return IssuerPublicKey(public_key_pem=public_pem(shop.ring.signing.public_key))


@get("/v1/issuer/keys", operation_id="listIssuerKeys", response_headers=KEYS_FOR)
async def issuer_keys(shop: WithShop, now: WithNow) -> ListedKeys:
    """All issuer keys, the oldest first, with their status."""
    await shop.ring.fresh(now)
    return ListedKeys(keys=[_listed(key) for key in shop.ring.keys])


@get("/.well-known/jwks.json", operation_id="getJwks", response_headers=KEYS_FOR)
async def jwks(shop: WithShop, now: WithNow) -> Jwks:
    """RFC 7517: the keys that may be trusted. Compromised ones are not in it."""
    await shop.ring.fresh(now)
    return msgspec.convert(published(shop.ring), Jwks)


def _listed(key: OpenKey) -> ListedKey:
    return ListedKey(
        key_id=key.key_id,
        status=key.status,
        public_key_pem=public_pem(key.public_key),
        created_at=key.created_at,
        signing_from=key.signing_from,
    )


def _about(shop: Shop) -> About:
    return About(
        version=version("keysat"),
        operator=shop.operator_name,
        public_key_pem=public_pem(shop.ring.signing.public_key),
        sandbox=True if shop.mode == Mode.SANDBOX else UNSET,
    )


SERVER = (about,)
KEYS = (pubkey, issuer_public_key, issuer_keys, jwks)
