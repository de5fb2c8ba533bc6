"""`keysat verify`: check a license key with nothing but the public key."""

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
    help="What /v1/pubkey, /v1/issuer/keys or /.well-known/jwks.json answers, or a PEM file.",
)
@option("--at", "moment", metavar="TIME", help="At this moment instead of now, such as 2027-01-01T00:00:00Z.")
@as_json
def verify(license_key: str, public_key: Path, moment: str | None, as_json: bool) -> None:
    """Check a license key offline and show what is in it. Exit code 1 when it does not hold."""
    from keysat.kit.clock import SystemClock
    from keysat.kit.errors import BadRequest
    from keysat.kit.licensekey import BadFormat, parse
    from keysat.licenses.published import is_signed_by

    at = _moment(moment) if moment else SystemClock().now()
    try:
        signed = parse(license_key)
    except BadFormat as error:
        raise BadRequest(f"This is no license key: {error}.") from None
    reason = None if is_signed_by(signed, _public_keys(public_key)) else "bad_signature"
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


def _public_keys(path: Path) -> list[bytes]:
    from keysat.kit.errors import BadRequest
    from keysat.licenses.published import public_keys

    found = public_keys(path.read_text(errors="replace"))
    if not found:
        raise BadRequest(f"{path} holds no Ed25519 public key: save what /v1/pubkey answers, or a PEM file.")
    return found


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
