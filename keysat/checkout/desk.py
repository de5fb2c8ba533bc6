"""What an errand of checkout goes with: the till, the rates, and what its orders are held against."""

from dataclasses import dataclass

from keysat.infra.errand import Errand
from keysat.infra.house import Mode
from keysat.infra.vault import Vault
from keysat.payments.rates.board import RateBoard
from keysat.payments.tills import Tills


@dataclass(frozen=True, slots=True)
class Desk(Errand):
    vault: Vault
    tills: Tills
    board: RateBoard
    mode: Mode
    public_url: str
