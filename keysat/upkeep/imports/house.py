"""What is the shop's own: its issuer key, profiles, receivers of webhooks, scoped keys and settings."""

import base64
from decimal import Decimal, InvalidOperation
from uuid import UUID

from sqlalchemy import select

from keysat.infra.house import fact, rewrite
from keysat.kit.errors import BadRequest, KeysatError
from keysat.licenses.issuers import restore, words_of
from keysat.operators.scopes import A_LA_CARTE
from keysat.operators.tables import ApiKey
from keysat.payments.profiles import the_default
from keysat.payments.rates.pins import pin_of, set_pin
from keysat.payments.tables import MerchantProfile
from keysat.upkeep.imports import source
from keysat.upkeep.imports.move import Move, Values
from keysat.upkeep.imports.source import listed, moment
from keysat.upkeep.operator_name import OPERATOR_NAME
from keysat.webhooks import endpoints
from keysat.webhooks.endpoints import NewEndpoint
from keysat.webhooks.tables import Endpoint, EndpointId

PKCS8_PREFIX = bytes.fromhex("302e020100300506032b657004220420")
"""RFC 8410, 7: an Ed25519 private key, whose 32 bytes follow."""
PIN = "manual_rate_pin_"
LEFT_BEHIND = {
    "payment_providers": "connections to payment providers: connect them again by a click, with fewer rights",
    "audit_log": "lines of the audit log: keep the old file as long as you need them",
    "tier_changes": "records of tier changes: licenses arrive with the tier they have",
    "webhook_deliveries": "deliveries of webhooks",
    "validation_log": "lines of the log of validations",
    "tip_attempts": "records of tips",
}


async def bring_issuer_key(move: Move) -> UUID:
    """The key that signed everything: each license goes on being signed with it. Raises BadRequest."""
    keys = list(move.source.rows(source.IssuerKey, "server_keys"))
    if not keys:
        raise BadRequest("The file holds no issuer key, so that no key it ever sold could be verified.")
    key = await restore(move.work, move.vault, words_of(_seed(keys[0].private_key_pem)))
    return key.id


def _seed(pem: str) -> bytes:
    lines = (line.strip() for line in pem.splitlines())
    try:
        der = base64.b64decode("".join(line for line in lines if not line.startswith("-----")), validate=True)
    except ValueError as error:
        raise BadRequest("The issuer key in the file is no PEM.") from error
    if not der.startswith(PKCS8_PREFIX) or len(der) < len(PKCS8_PREFIX) + 32:
        raise BadRequest("The issuer key in the file is no Ed25519 key in PKCS#8.")
    return der[len(PKCS8_PREFIX) : len(PKCS8_PREFIX) + 32]


async def bring_profiles(move: Move) -> None:
    """The default one gives its name and addresses to the one that is here, where that has no name of its own yet."""
    here = await the_default(move.work)
    there = list(move.source.rows(source.Profile, "merchant_profiles"))
    for row in there:
        if row.is_default and here.name is None:
            for name, value in _shown(row).items():
                setattr(here, name, value)
    await move.write("merchant profiles", MerchantProfile, [_profile(move, row) for row in there if not row.is_default])
    move.default_profiles.update(row.id for row in there if row.is_default)


def _shown(row: source.Profile) -> Values:
    return {
        "name": row.name[:200],
        "legal_name": row.legal_name,
        "support_url": row.support_url,
        "support_email": row.support_email,
        "post_purchase_redirect_url": row.post_purchase_redirect_url,
    }


def _profile(move: Move, row: source.Profile) -> Values:
    return {
        **_shown(row),
        "id": row.id,
        "is_default": False,
        "created_at": move.at(row.created_at),
        "updated_at": move.work.now,
    }


async def bring_house(move: Move) -> None:
    await _endpoints(move)
    keys = move.source.rows(source.ApiKey, "scoped_api_keys")
    await move.write("API keys", ApiKey, (_api_key(move, row) for row in keys))
    await _settings(move)
    for table, what in LEFT_BEHIND.items():
        move.report.left_behind(move.source.count(table), what)


def _api_key(move: Move, row: source.ApiKey) -> Values:
    return {
        "id": row.id,
        "label": row.label[:80],
        "role": row.role,
        "scopes": sorted(scope for scope in listed(row.extra_scopes) if isinstance(scope, str) and scope in A_LA_CARTE),
        "hash": row.token_hash,
        "created_at": move.at(row.created_at),
        "expires_at": None,
        "used_at": moment(row.last_used_at),
        "revoked_at": moment(row.revoked_at),
    }


async def _endpoints(move: Move) -> None:
    """Their receivers go on checking with the secret they have."""
    known = set(await move.work.session.scalars(select(Endpoint.id)))
    for row in move.source.rows(source.Endpoint, "webhook_endpoints"):
        if row.id in known:
            move.report.there["webhook endpoints"] += 1
            continue
        new = NewEndpoint(
            url=row.url,
            event_types=[str(name) for name in listed(row.event_types)] or ["*"],
            description=row.description[:1000] or None,
            secret=row.secret,
        )
        try:
            made = await endpoints.create(move.work, move.vault, new, endpoint_id=EndpointId(row.id))
        except KeysatError as error:
            move.report.note(f"The webhook endpoint {row.id} was left behind: {error.message}")
            continue
        made.endpoint.active = bool(row.active)
        move.report.brought["webhook endpoints"] += 1


async def _settings(move: Move) -> None:
    settings = move.source.settings()
    name = settings.get("operator_name", "").strip()
    if name and await fact(move.work, OPERATOR_NAME) is None:
        await rewrite(move.work, OPERATOR_NAME, name[:200])
    for setting, value in settings.items():
        if not setting.startswith(PIN):
            continue
        currency = setting.removeprefix(PIN).upper()
        try:
            if await pin_of(move.work, currency) is None:
                await set_pin(move.work, currency, Decimal(value))
        except (KeysatError, InvalidOperation):
            move.report.note(f"The pinned rate of {currency} was left behind: {value[:40]!r} is no price of a bitcoin.")
