"""What a browser keeps for us and brings back: sealed, so that what comes back is what we gave."""

import base64
from typing import TypeVar

import msgspec

from keysat.infra.vault import Vault, VaultError

Kept = TypeVar("Kept")


def given(vault: Vault, value: object, purpose: str) -> str:
    return base64.urlsafe_b64encode(vault.seal(msgspec.json.encode(value), purpose)).decode()


def brought_back(vault: Vault, text: str, purpose: str, kind: type[Kept]) -> Kept | None:
    """None: that is not what we gave."""
    try:
        return msgspec.json.decode(vault.open(base64.urlsafe_b64decode(text), purpose), type=kind)
    except (VaultError, ValueError, msgspec.DecodeError):
        return None
