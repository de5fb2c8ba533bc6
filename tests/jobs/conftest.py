"""A whole shop around the counter of the checkout's tests: one clock, one fake BTCPay."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from keysat.infra.house import Mode
from keysat.infra.mail import Mailer
from keysat.infra.settings import load
from keysat.infra.store import Store
from keysat.infra.telemetry import Telemetry
from keysat.kit.ids import SeededChance
from keysat.upkeep.shop import Shop
from tests.checkout.counter import PUBLIC_URL, Counter, open_counter
from tests.fakes.names import look_up


@pytest.fixture
async def shop(counter: Counter, tmp_path: Path) -> AsyncGenerator[Shop, None]:
    telemetry = Telemetry(f"sqlite+aiosqlite:///{tmp_path / 'telemetry.db'}")
    yield Shop(
        settings=load({"KEYSAT_PUBLIC_URL": PUBLIC_URL}, data_dir=tmp_path),
        mode=Mode.LIVE,
        clock=counter.clock,
        chance=SeededChance(9),
        store=counter.store,
        telemetry=telemetry,
        vault=counter.vault,
        ring=counter.ring,
        http=counter.http,
        mailer=Mailer(None, None),
        board=counter.board,
        tills=counter.tills,
        look_up=look_up,
    )
    await telemetry.close()


@pytest.fixture
async def counter(store: Store) -> AsyncGenerator[Counter, None]:
    async with open_counter(store) as counter:
        yield counter
