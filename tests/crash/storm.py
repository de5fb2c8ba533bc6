"""The storm: buyers in waves, and a daemon that is killed at a random moment of each wave.

A buyer does what an app or a page does: asks to buy, repeats when nobody answers, pays, and polls for a while. The
moments of the kills come from the seed; what they hit depends on the machine as well.
"""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field

import httpx

from tests.crash.stage import PRODUCT, Stage, Wallet

WISH = {"product": PRODUCT, "policy_slug": "pro"}
WAVES = 10
KILL_WITHIN_SECONDS = 1.6  # of the beginning of a wave
ANSWERS = 100
"""So many refusals a buyer takes. Who finds nobody there comes again: how long a start takes is the machine's."""
UNPAID_SHARE = 0.1
SAME_KEY_SHARE = 0.5
POLLS = 6
AT_ONCE = 24
"""So many connections. Who waits for one waits here: httpcore's pool goes through all who wait whenever one is free."""
CALLS_AGAIN_SECONDS = 0.5


@dataclass
class Story:
    """What the outside knows when the storm is over."""

    kills: int = 0
    answered: dict[str, str] = field(default_factory=dict[str, str])  # our invoice id -> BTCPay's
    keys: dict[str, str] = field(default_factory=dict[str, str])  # our invoice id -> the key a buyer has seen
    errors: list[str] = field(default_factory=list[str])


class Storm:
    def __init__(self, stage: Stage, shop: httpx.AsyncClient, wallet: Wallet, chance: random.Random) -> None:
        self._stage = stage
        self._shop = shop
        self._wallet = wallet
        self._chance = chance
        self._lines = asyncio.Semaphore(AT_ONCE)
        self.story = Story()

    async def rage(self, purchases: int) -> None:
        """All purchases are answered and, but for a few, paid; the daemon is up at the end."""
        buyers: list[asyncio.Task[None]] = []
        for wave in range(WAVES):
            first, end = purchases * wave // WAVES, purchases * (wave + 1) // WAVES
            buyers += [asyncio.create_task(self._buy(random.Random(f"{wave}/{n}"))) for n in range(first, end)]
            buyers.append(asyncio.create_task(self._trouble_the_post(wave)))  # it is told when all is delivered
            await asyncio.sleep(self._chance.random() * KILL_WITHIN_SECONDS)
            await self._kill()
            if self._chance.random() < 0.2:  # once more, in the middle of getting up
                self._stage.daemon.start()
                await asyncio.sleep(self._chance.random())
                await self._kill()
            await asyncio.to_thread(self._stage.rise)
            buyers.append(asyncio.create_task(self._wallet.confirm_some(0.5)))
        await asyncio.gather(*buyers)
        await self._wallet.release()
        await self._wallet.confirm_some(1)

    async def _kill(self) -> None:
        await asyncio.to_thread(self._stage.daemon.kill)
        self.story.kills += 1

    async def _trouble_the_post(self, wave: int) -> None:
        match wave % 4:
            case 1:
                await self._wallet.hold()
            case 2:
                await self._wallet.release()
            case 3:
                await self._wallet.lose_queue()
            case _:
                pass

    async def _buy(self, chance: random.Random) -> None:
        await asyncio.sleep(chance.random())
        answer = await self._ordered(chance)
        ours, theirs = str(answer["invoice_id"]), str(answer["btcpay_invoice_id"])
        self.story.answered[ours] = theirs
        if chance.random() < UNPAID_SHARE:
            return
        await self._wallet.pay(theirs)
        for _ in range(chance.randint(0, POLLS)):
            await asyncio.sleep(chance.random())
            await self.poll(ours)

    async def _ordered(self, chance: random.Random) -> dict[str, object]:
        """Repeated with the same Idempotency-Key, or anew: then what the first try began is nobody's any more."""
        key, refusals = f"storm-{chance.getrandbits(64):x}", Counter[str]()
        while refusals.total() < ANSWERS:
            try:
                async with self._lines:
                    answer = await self._shop.post("/v1/purchase", json=WISH, headers={"Idempotency-Key": key})
            except httpx.TransportError:
                await asyncio.sleep(CALLS_AGAIN_SECONDS)
                if chance.random() >= SAME_KEY_SHARE:
                    key = f"storm-{chance.getrandbits(64):x}"
                continue
            if answer.status_code == 200:
                return answer.json()
            refusals[f"{answer.status_code} {answer.json()['message']}"] += 1
            if answer.status_code == 409:  # the daemon that had taken it is dead; this key waits for a minute
                key = f"storm-{chance.getrandbits(64):x}"
            elif answer.status_code >= 500 and answer.status_code not in (502, 503):
                self.story.errors.append(f"purchase: {answer.status_code} {answer.text}")
            await asyncio.sleep(0.2)
        raise AssertionError(f"a purchase was only ever refused: {refusals}")

    async def poll(self, ours: str) -> str:
        """The public word, or "" when nobody answers. A key that was shown once must stay the same."""
        try:
            async with self._lines:
                answer = await self._shop.get(f"/v1/purchase/{ours}")
        except httpx.TransportError:
            return ""
        if answer.status_code != 200:
            self.story.errors.append(f"poll: {answer.status_code} {answer.text}")
            return ""
        seen = answer.json()
        if seen["license_key"] is not None:
            known = self.story.keys.setdefault(ours, seen["license_key"])
            if known != seen["license_key"]:
                self.story.errors.append(f"poll: {ours} shows another key now")
        return str(seen["status"])
