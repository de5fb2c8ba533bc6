"""The license behind a presented key: to be shown its key anew, or to let its holder decide about it."""

from keysat.infra.work import Read
from keysat.kit.errors import BadRequest, Forbidden, NotFound, Unauthorized
from keysat.kit.licensekey import Payload
from keysat.licenses.facts import facts_of_row
from keysat.licenses.ring import Presented
from keysat.licenses.tables import License
from keysat.licenses.verdict import Reason, Signer, verdict

WORDS = {
    Reason.REVOKED: "This key was revoked, or replaced by a newer one.",
    Reason.SUSPENDED: "This license is suspended. Ask the seller.",
}


async def refreshable(read: Read, presented: Presented) -> License:
    """An expired license is shown too: it may have been paid since the key was signed, and says so itself if not.

    A key that was replaced must not lead to the one that replaced it. Raises BadRequest for a key that is none of ours,
    NotFound, Forbidden.
    """
    payload, signer = opened(presented)
    license = await read.session.get(License, payload.license_id)
    if license is None:
        raise NotFound("There is no license with this key.")
    reason = verdict(facts_of_row(license, ""), payload, signer, license.issued_at).reason
    if reason is not None and reason is not Reason.EXPIRED:
        raise Forbidden(WORDS.get(reason, "This key does not count for this license."))
    return license


async def authorized(read: Read, presented: Presented) -> License:
    """The license whose holder may act for it: as `refreshable`. Raises Unauthorized with one text for all else."""
    try:
        return await refreshable(read, presented)
    except (BadRequest, NotFound, Forbidden):
        raise Unauthorized("This license key opens nothing here. Check it.") from None


def opened(presented: Presented) -> tuple[Payload, Signer]:
    """Raises BadRequest for a key that is none of ours."""
    if presented.signed is None or presented.signer is None:
        is_ours = presented.reason is not Reason.BAD_SIGNATURE
        raise BadRequest("This is not a license key." if is_ours else "This license key was not signed by this shop.")
    return presented.signed.payload, presented.signer
