"""The wallet as it is really run: a process of its own, over loopback."""

import asyncio
import re
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import httpx

from keysat.infra.http import HttpClient
from keysat.kit.money import Money
from keysat.payments.provider import InvoiceRequest
from providers.sandbox import SANDBOX
from tests.conftest import NOON
from tests.running import ANSWER_SECONDS, READY_SECONDS, ROOT, STOP_SECONDS, surroundings

KEY = "play"


@asynccontextmanager
async def running_wallet(data_dir: Path) -> AsyncGenerator[str, None]:
    """Yields its address; it has to end by SIGTERM, cleanly."""
    arguments = ("-m", "providers.sandbox", "--data-dir", str(data_dir), "--port", "0")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env=surroundings(KEYSAT_SANDBOX_WALLET_KEY=KEY),
    )
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), READY_SECONDS)
        ready = re.fullmatch(r"sandbox wallet ready at (http://127\.0\.0\.1:\d+)\n", line.decode())
        assert ready is not None, line
        yield ready[1]
    finally:
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), STOP_SECONDS) == 0


@asynccontextmanager
async def listening_shop() -> AsyncGenerator[tuple[str, "asyncio.Queue[tuple[dict[str, str], bytes]]"], None]:
    """Yields the shop's address and what it hears: lower-case headers and body."""
    heard: asyncio.Queue[tuple[dict[str, str], bytes]] = asyncio.Queue()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[1:-2]
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in head)}
        heard.put_nowait((headers, await reader.readexactly(int(headers["content-length"]))))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", heard


async def test_a_sale_through_the_real_process_survives_its_restart(tmp_path: Path):
    async with listening_shop() as (shop, heard), aclosing(HttpClient()) as http:
        async with running_wallet(tmp_path) as url:
            connection = await SANDBOX.connect_with({"url": url, "api_key": KEY}, "c1", http)
            connection = await SANDBOX.open(connection, http).ensure_webhook(f"{shop}/hook")
            till = SANDBOX.open(connection, http)
            invoice = await till.create_invoice(
                InvoiceRequest(
                    "a1", Money("USD", 500), "A thing", "thing/one", 900, 86400, f"{shop}/thanks", frozenset(), NOON
                )
            )
            async with httpx.AsyncClient(timeout=ANSWER_SECONDS, trust_env=False) as browser:
                assert (await browser.get(f"{invoice.checkout_url}")).status_code == 200
                answer = await browser.post(f"{invoice.checkout_url}/pay")
            assert (answer.status_code, answer.headers["location"]) == (303, f"{shop}/thanks")
            nudges = [till.parse_webhook(*await asyncio.wait_for(heard.get(), ANSWER_SECONDS)) for _ in range(3)]
            assert [nudge.event for nudge in nudges if nudge] == [
                "InvoiceReceivedPayment",
                "InvoiceProcessing",
                "InvoiceSettled",
            ]
            assert {nudge.invoice_id for nudge in nudges if nudge} == {invoice.invoice_id}
            (tmp_path / "clock-offset").write_text(str(31 * 86400))
            late = await till.create_invoice(
                InvoiceRequest(
                    "a2", Money("USD", 500), "A thing", "thing/one", 1, 86400, f"{shop}/thanks", frozenset(), NOON
                )
            )
            assert late.created_at is not None
            assert invoice.created_at is not None
            assert (late.created_at - invoice.created_at).days == 31
            expired = till.parse_webhook(*await asyncio.wait_for(heard.get(), ANSWER_SECONDS))
            assert expired is not None
            assert (expired.event, expired.invoice_id) == ("InvoiceExpired", late.invoice_id)
        (tmp_path / "sandbox-wallet.db").chmod(0o644)
        async with running_wallet(tmp_path) as url:
            connection = await SANDBOX.connect_with({"url": url, "api_key": KEY}, "c1", http)
            again = await SANDBOX.open(connection, http).get_invoice(invoice.invoice_id)
            assert (tmp_path / "sandbox-wallet.db").stat().st_mode & 0o077 == 0
            assert (again.raw_status, again.account_id) == ("Settled/None", invoice.account_id)
