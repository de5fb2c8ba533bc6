"""The shop's own license, where a vendor is built in: without a good one it is the least edition, and goes on selling.

`KEYSAT_LICENSE` counts before what was presented to the API, which lies sealed in the database. Nobody is asked over
the network. The signed expiry ends it: of a subscribed license, that has the grace in it already.
"""

import base64
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from keysat.infra.edition import UNCAPPED, Edition
from keysat.infra.house import fact, rewrite
from keysat.infra.log import get
from keysat.infra.settings import Settings
from keysat.infra.vault import Vault, VaultError
from keysat.infra.work import Read, Work
from keysat.kit.errors import BadRequest, Conflict
from keysat.kit.licensekey import BadFormat, parse
from keysat.licenses.published import is_signed_by
from keysat.upkeep.happenings import SelfLicensed, SelfLicenseDropped
from keysat.upkeep.shop import Shop
from keysat.upkeep.vendor import Vendor

FACT = SEALED_AS = "self-license"

log = get(__name__)


class NotLicensed(BadRequest):
    """The key does not license this shop."""


@dataclass(frozen=True, slots=True)
class SelfLicense:
    license_id: UUID
    product_id: UUID
    expires_at: datetime | None
    entitlements: tuple[str, ...]


def read_key(vendor: Vendor, key: str, now: datetime) -> SelfLicense:
    """Raises NotLicensed with what is wrong with it."""
    try:
        signed = parse(key)
    except BadFormat as error:
        raise NotLicensed(f"This is no license key: {error}.") from error
    payload = signed.payload
    if not is_signed_by(signed, [vendor.public_key]):
        raise NotLicensed("This key was not signed by who sells this program.")
    if vendor.product_id not in (None, payload.product_id):
        raise NotLicensed("This key is for another product.")
    ends = datetime.fromtimestamp(payload.expires_at, UTC) if payload.expires_at else None
    if ends is not None and ends <= now:
        raise NotLicensed("This key has expired.")
    return SelfLicense(payload.license_id, payload.product_id, ends, payload.entitlements)


async def standing(read: Read, settings: Settings, vault: Vault, vendor: Vendor, now: datetime) -> SelfLicense:
    """What licenses this shop now. Raises NotLicensed with the reason why nothing does."""
    if settings.license is not None:
        return read_key(vendor, settings.license.reveal(), now)
    sealed = await fact(read, FACT)
    if sealed is None:
        raise NotLicensed("This shop has no license of its own.")
    try:
        key = vault.open(base64.b64decode(sealed), SEALED_AS)
    except VaultError as error:
        raise NotLicensed("The license cannot be unsealed: present it again.") from error
    return read_key(vendor, key.decode(), now)


async def present(work: Work, vault: Vault, settings: Settings, vendor: Vendor | None, key: str) -> SelfLicense:
    """Keep a key that is good. Raises NotLicensed; Conflict where it would count for nothing."""
    if vendor is None:
        raise Conflict("This Keysat needs no license: nothing is limited.")
    if settings.license is not None:
        raise Conflict("The license of this shop is set by KEYSAT_LICENSE. Change it there.")
    found = read_key(vendor, key, work.now)
    await rewrite(work, FACT, base64.b64encode(vault.seal(key.strip().encode(), SEALED_AS)).decode())
    work.record(SelfLicensed(found.license_id, found.product_id))
    return found


async def drop(work: Work, settings: Settings) -> None:
    """Forget the license that was presented; what is above the least edition's caps stays.

    Raises Conflict where it is not the one that counts.
    """
    if settings.license is not None:
        raise Conflict("The license of this shop is set by KEYSAT_LICENSE. Take it away there.")
    if await fact(work, FACT) is not None:
        await rewrite(work, FACT, None)
        work.record(SelfLicenseDropped(FACT))


async def refresh_edition(shop: Shop, now: datetime) -> Edition:
    """Look again which edition this is: at the start, hourly, and after a license came or went."""
    shop.store.edition = await _edition(shop, now)
    return shop.store.edition


async def _edition(shop: Shop, now: datetime) -> Edition:
    if shop.vendor is None:
        return UNCAPPED
    async with shop.read() as read:
        try:
            held = await standing(read, shop.settings, shop.vault, shop.vendor, now)
        except NotLicensed as reason:
            log.info("edition.unlicensed", reason=reason.message)
            return shop.vendor.edition(())
    return shop.vendor.edition(held.entitlements)
