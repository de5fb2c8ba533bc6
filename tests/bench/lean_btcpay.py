"""The fake BTCPay without its judge, its clockwork and its webhooks: fast enough to measure others with.

    python -m tests.bench.lean_btcpay --port N

`POST /_control/settle_all` pays every invoice; `POST /_control/hook` tells where webhooks should go, and their secret.
"""

import argparse
from typing import Any

import uvicorn

from tests.fakes import btcpay
from tests.fakes.btcpay import FakeBtcPay, ShiftedClock
from tests.fakes.btcpay_invoices import Payment
from tests.fakes.btcpay_routes import answer
from tests.fakes.served import Call, Reply


class LeanBtcPay(FakeBtcPay):
    def _judged(self, call: Call) -> Reply:
        return answer(self, call)

    def _raise(self, found: Any, events: Any) -> None:
        """Whoever measures sends the messages himself."""

    def watch(self) -> None:
        """Nothing here happens by time alone."""

    def settle_all(self) -> int:
        for found in self.invoices.values():
            if not found.payments:
                payment = Payment(self.next_id("payment"), "BTC-CHAIN", found.price_sats, self.now, confirmed=True)
                found.payments.append(payment)
                found.watch(self.now)
        return len(self.invoices)

    def hook(self) -> dict[str, str]:
        return [{"id": hook.id, "url": hook.url, "secret": hook.secret} for hook in self.hooks][-1]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args()
    btcpay.CONTROLS |= {"settle_all", "hook"}  # pyright: ignore[reportConstantRedefinition]
    fake = LeanBtcPay(clock=ShiftedClock(), network="regtest", base_url=f"http://127.0.0.1:{given.port}")
    uvicorn.run(fake, host="127.0.0.1", port=given.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
