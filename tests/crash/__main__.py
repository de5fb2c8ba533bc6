"""Kill the daemon in a storm of purchases, then count the licenses: `python -m tests.crash --seed N`."""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import httpx

from keysat.infra.store import Store
from tests.crash.aftermath import SEALED_AFTER_SECONDS, SETTLE_SECONDS, UNAIDED_SECONDS, check, settled, skip_time
from tests.crash.stage import Stage, Wallet
from tests.crash.storm import Storm, Story


async def crash_test(folder: Path, seed: int, purchases: int, database_url: str | None = None) -> Sequence[str]:
    """What went wrong, a line each; none: every paid order has exactly one license. Prints how it went."""
    stage = Stage(folder, database_url)
    try:
        await asyncio.to_thread(stage.set_up)
        return await _play(stage, random.Random(seed), purchases)
    finally:
        stage.tear_down()


async def _play(stage: Stage, chance: random.Random, purchases: int) -> Sequence[str]:
    began = time.monotonic()
    async with (
        httpx.AsyncClient(base_url=stage.url, timeout=60, trust_env=False) as shop,
        httpx.AsyncClient(base_url=stage.btcpay_url, timeout=None, trust_env=False) as btcpay,
    ):
        wallet = Wallet(btcpay, chance)
        storm = Storm(stage, shop, wallet, chance)
        await storm.rage(purchases)
        # Whatever an order or an invoice was, there is somebody who pays what no buyer was told about.
        for invoice in cast("list[dict[str, Any]]", (await wallet.state())["invoices"]):
            if invoice["id"] not in wallet.paid and invoice["id"] not in storm.story.answered.values():
                await wallet.pay(invoice["id"])
        await wallet.confirm_some(1)
        print(f"storm over after {time.monotonic() - began:.0f} s: {_told(storm.story, wallet)}", flush=True)
        state = await wallet.state()
        await _await_settled(stage, state)
        await asyncio.sleep(SEALED_AFTER_SECONDS)
        wrong = await check(stage, state, storm.story, shop)
    await asyncio.to_thread(stage.doctor)
    print(f"done after {time.monotonic() - began:.0f} s", flush=True)
    return wrong


async def _await_settled(stage: Stage, state: dict[str, Any]) -> None:
    store = Store(stage.database_url)
    try:
        late = await settled(store, state, UNAIDED_SECONDS)
        print(f"{len(late)} paid orders wait for their next look", flush=True)
        if not late:
            return
        await asyncio.to_thread(stage.daemon.stop)
        await skip_time(store)
        await asyncio.to_thread(stage.rise)
        late = await settled(store, state, SETTLE_SECONDS)
        assert not late, f"paid, and never fulfilled: {[(order.support_reference, order.status) for order in late]}"
    finally:
        await store.close()


def _told(story: Story, wallet: Wallet) -> str:
    return f"{story.kills} kills, {len(story.answered)} orders answered, {len(wallet.paid)} invoices paid"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.crash")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--purchases", type=int, default=200)
    parser.add_argument("--folder", type=Path, help="where everything is kept; a temporary one by default")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="keysat-crash-") as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        wrong = asyncio.run(crash_test(folder, given.seed, given.purchases))
    print("\n".join(wrong) or "every paid order has exactly one license")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
