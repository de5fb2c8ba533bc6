"""What is the shop's own: its issuer key, profiles, receivers of webhooks, scoped keys and settings."""

import base64
from decimal import Decimal, InvalidOperation
from uuid import UUID

from nacl.signing import SigningKey
from sqlalchemy import select

from keysat.infra.house import fact, rewrite
from keysat.kit.errors import BadRequest, KeysatError
from keysat.licenses.issuers import key_id_of, restore, words_of
from keysat.licenses.tables import IssuerKey
from keysat.operators import api_keys
from keysat.operators.scopes import A_LA_CARTE
from keysat.operators.tables import ApiKey, ApiKeyId
from keysat.payments.profiles import the_default
from keysat.payments.rates.pins import pin_of, set_pin
from keysat.payments.tables import MerchantProfile
from keysat.upkeep.imports.fields import Values, alike, misfit
from keysat.upkeep.imports.move import Move
from keysat.upkeep.imports.source import NAME_MAX, Row, there
from keysat.upkeep.operator_name import OPERATOR_NAME
from keysat.webhooks import endpoints
from keysat.webhooks.endpoints import NewEndpoint
from keysat.webhooks.tables import Endpoint, EndpointId

PKCS8_PREFIX = bytes.fromhex("302e020100300506032b657004220420")
"""RFC 8410, 7: an Ed25519 private key, whose 32 bytes follow."""
SHOWN = (
    MerchantProfile.name,
    MerchantProfile.legal_name,
    MerchantProfile.support_url,
    MerchantProfile.support_email,
    MerchantProfile.post_purchase_redirect_url,
)
PIN = "manual_rate_pin_"
NOT_KEPT = {
    "policies WHERE tip_pct_bps > 0": "tips of tiers: nobody is paid out here",
    "payment_providers": "connections to payment providers: connect them again by a click, with fewer rights",
    "audit_log": "lines of the audit log: keep the old file as long as you need them",
    "tier_changes": "records of tier changes: licenses arrive with the tier they have",
    "webhook_deliveries": "deliveries of webhooks",
    "validation_log": "lines of the log of validations",
    "tip_attempts": "records of tips",
}


async def bring_issuer_key(move: Move) -> UUID:
    """The key that signed everything: each license goes on being signed with it. Raises BadRequest."""
    pem = next((row.words("private_key_pem") for row in move.source.rows("server_keys")), None)
    if pem is None:
        raise BadRequest("The file holds no issuer key, so that no key it ever sold could be verified.")
    seed = _seed(pem)
    key_id = key_id_of(bytes(SigningKey(seed).verify_key))
    there = await move.work.session.scalar(select(IssuerKey.id).where(IssuerKey.key_id == key_id))
    return there or (await restore(move.work, move.vault, words_of(seed))).id  # retired here since, it stays so


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
    made = move.read("merchant profiles", "merchant_profiles", _profile)
    for values in made:
        if values["is_default"]:
            move.default_profiles.add(values["id"])
        if values["is_default"] and here.name is None and misfit(MerchantProfile, values, move.here) is None:
            for column in SHOWN:
                setattr(here, column.key, values[column.key])
    others = [values for values in made if not values["is_default"]]
    await move.write("merchant profiles", MerchantProfile, others, *SHOWN)


def _profile(move: Move, row: Row) -> Values:
    names = "id", "is_default", "created_at", *(column.key for column in SHOWN)
    profile = alike(row, move.work.now, MerchantProfile, *names)
    return profile | {"name": there(profile["name"], "name"), "updated_at": move.work.now}


async def bring_house(move: Move) -> None:
    await _endpoints(move)
    await _api_keys(move)
    await _settings(move)
    for table, what in NOT_KEPT.items():
        move.report.not_kept(move.source.count(table), what)


async def _api_keys(move: Move) -> None:
    made = move.read("API keys", "scoped_api_keys", _api_key)
    for values, _ in (await move.write("API keys", ApiKey, made)).known:
        if values["revoked_at"] and (await api_keys.revoke(move.work, ApiKeyId(values["id"])))[1]:
            move.report.changed["API keys revoked"] += 1


def _api_key(move: Move, row: Row) -> Values:
    known = [scope for scope in row.listed("extra_scopes") if isinstance(scope, str) and scope in A_LA_CARTE]
    same, called = ("id", "label", "role", "created_at"), {"hash": "token_hash", "used_at": "last_used_at"}
    revoked_at = move.at(row, "revoked_at") if row.words("revoked_at") else None
    return {**alike(row, move.work.now, ApiKey, *same, **called), "scopes": sorted(known), "revoked_at": revoked_at}


async def _endpoints(move: Move) -> None:
    """Their receivers go on checking with the secret they have."""
    known = set(await move.work.session.scalars(select(Endpoint.id)))
    for endpoint_id, new, active in move.read("webhook endpoints", "webhook_endpoints", _endpoint):
        if endpoint_id in known:
            move.report.there["webhook endpoints"] += 1
            continue
        try:
            async with move.work.savepoint():
                made = await endpoints.create(move.work, move.vault, new, endpoint_id=endpoint_id)
        except KeysatError as error:
            why = error.message.partition(". ")[0].rstrip(".")
            move.report.leave("webhook endpoints", endpoint_id, f"is refused: {why}")
            continue
        known.add(endpoint_id)
        made.endpoint.active = active
        move.report.brought["webhook endpoints"] += 1


def _endpoint(_move: Move, row: Row) -> tuple[EndpointId, NewEndpoint, bool]:
    new = NewEndpoint(
        url=row.text("url"),
        event_types=[str(name) for name in row.listed("event_types")] or ["*"],
        description=row.text("description", 1000) or None,
        secret=row.text("secret"),
    )
    return EndpointId(row.id()), new, row.flag("active")


async def _settings(move: Move) -> None:
    settings = dict(move.read("settings", "settings", _setting))
    name = settings.get("operator_name", "").strip()
    if name and await fact(move.work, OPERATOR_NAME) is None:
        await rewrite(move.work, OPERATOR_NAME, name[:200])
    for setting, value in settings.items():
        currency = setting.removeprefix(PIN).upper()
        if not setting.startswith(PIN) or await pin_of(move.work, currency) is not None:
            continue
        if await move.was_decided(currency, "rate.pinned", "rate.unpinned"):
            continue  # what a bitcoin cost then is no price of today
        try:
            await set_pin(move.work, currency, Decimal(value))
        except (KeysatError, InvalidOperation):
            move.report.leave("pinned rates", currency, f"is no price of a bitcoin ({value[:NAME_MAX]!r})")


def _setting(_move: Move, row: Row) -> tuple[str, str]:
    return row.text("key"), row.words("value") or ""
