"""What an errand of checkout needs besides a moment and an actor."""

from dataclasses import dataclass

from keysat.infra.house import Mode
from keysat.infra.store import Store
from keysat.infra.vault import Vault
from keysat.payments.rates.board import RateBoard
from keysat.payments.tills import Tills


@dataclass(frozen=True, slots=True)
class Desk:
    store: Store
    vault: Vault
    tills: Tills
    board: RateBoard
    mode: Mode
    public_url: str
