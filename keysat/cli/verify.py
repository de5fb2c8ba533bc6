"""`keysat verify`: check a license key with nothing but the public key."""

import base64
from datetime import UTC, datetime
from pathlib import Path

import rich_click as click
from click import argument, option

from keysat.cli.options import as_json
from keysat.cli.output import show_one


@click.command()
@argument("license_key", metavar="KEY")
@option(
    "--public-key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="The shop's public key, as /v1/issuer/public-key gives it (PEM).",
)
@option("--at", "moment", metavar="TIME", help="At this moment instead of now, such as 2027-01-01T00:00:00Z.")
@as_json
def verify(license_key: str, public_key: Path, moment: str | None, as_json: bool) -> None:
    """Check a license key offline and show what is in it. Exit code 1 when it does not hold."""
    from nacl.exceptions import BadSignatureError
    from nacl.signing import VerifyKey

    from keysat.kit.clock import SystemClock
    from keysat.kit.errors import BadRequest
    from keysat.kit.licensekey import BadFormat, parse

    at = _moment(moment) if moment else SystemClock().now()
    try:
        signed = parse(license_key)
    except BadFormat as error:
        raise BadRequest(f"This is no license key: {error}.") from None
    try:
        VerifyKey(_public_bytes(public_key)).verify(signed.payload_bytes, signed.signature)
        reason = None
    except BadSignatureError:
        reason = "bad_signature"
    inside = signed.payload
    if reason is None and inside.expires_at and at.timestamp() >= inside.expires_at:
        reason = "expired"
    show_one(
        {
            "ok": reason is None,
            "reason": reason,
            "license_id": str(inside.license_id),
            "product_id": str(inside.product_id),
            "issued_at": _time(inside.issued_at),
            "expires_at": _time(inside.expires_at) if inside.expires_at else None,
            "entitlements": list(inside.entitlements),
            "trial": inside.is_trial,
            "bound_to_a_machine": inside.is_bound,
            "version": inside.version,
        },
        as_json=as_json,
    )
    if reason is not None:
        raise SystemExit(1)


def _public_bytes(path: Path) -> bytes:
    """The 32 bytes of an Ed25519 key in a PEM file (RFC 8410, 4). Raises BadRequest."""
    from keysat.kit.errors import BadRequest
    from keysat.licenses.ring import SPKI_PREFIX

    lines = [line.strip() for line in path.read_text(errors="replace").splitlines()]
    try:
        der = base64.b64decode("".join(line for line in lines if not line.startswith("-----")), validate=True)
    except ValueError:
        der = b""
    if not der.startswith(SPKI_PREFIX) or len(der) != len(SPKI_PREFIX) + 32:
        raise BadRequest(f"{path} holds no Ed25519 public key: save what /v1/issuer/public-key answers.")
    return der[len(SPKI_PREFIX) :]


def _moment(text: str) -> datetime:
    from keysat.kit.errors import BadRequest

    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise BadRequest(f"{text!r} is no time: write 2027-01-01T00:00:00Z.") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _time(seconds: int) -> str:
    """Keys hold any 64 bits; calendars end earlier."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return f"{seconds} s after 1970"
