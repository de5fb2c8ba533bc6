"""`keysat serve` and `keysat demo` as a stranger would start them: real processes, real ports, real signals."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx

from keysat.schema import metadata
from tests.running import ANSWER_SECONDS, READY_SECONDS, ROOT, free_port, surroundings


@contextmanager
def keysat(*words: str, **settings: str) -> Generator[subprocess.Popen[str], None, None]:
    process = subprocess.Popen(
        [sys.executable, "-m", "keysat", *words],
        cwd=ROOT,
        env=surroundings(**settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def answered(url: str) -> httpx.Response:
    """The first answer, however long the start takes."""
    until = time.monotonic() + READY_SECONDS
    with httpx.Client(timeout=ANSWER_SECONDS, trust_env=False) as client:  # one: each loads the certificates, for 25 ms
        while True:
            try:
                return client.get(url)
            except httpx.TransportError:
                assert time.monotonic() < until, f"{url} does not answer"
                time.sleep(0.02)


def eventually(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + READY_SECONDS
    while not holds():
        assert time.monotonic() < until, "it did not come to that"
        time.sleep(0.1)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


TOLD_LINES = 10


def is_running(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


WHAT_A_COMMAND_IMPORTS = """
import sys, keysat.cli.opened
from keysat.infra.tables import Base
print(*Base.metadata.tables), print(*sys.modules)
"""


def test_a_command_imports_every_table_and_neither_doors_nor_migrations():
    words = [sys.executable, "-c", WHAT_A_COMMAND_IMPORTS]
    told = subprocess.run(words, cwd=ROOT, env=surroundings(), capture_output=True, text=True, check=True).stdout
    tables, modules = (set(line.split()) for line in told.splitlines())
    assert tables == set(metadata.tables)
    assert modules.isdisjoint({"alembic", "litestar", "uvicorn"})


def test_serve_answers_and_drains_on_sigterm(tmp_path: Path):
    port = free_port()
    with keysat("serve", "--data-dir", str(tmp_path), "--port", str(port)) as process:
        assert answered(f"http://127.0.0.1:{port}/").json()["service"] == "keysat"
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=READY_SECONDS)
    assert process.returncode == 0
    assert out.startswith("Admin key: ks_")
    assert f"make an account: keysat account add NAME --role owner --data-dir {tmp_path}\n" in out
    assert "Traceback" not in err


def test_serve_ends_cleanly_on_ctrl_c(tmp_path: Path):
    port = free_port()
    with keysat("serve", "--data-dir", str(tmp_path), "--port", str(port)) as process:
        answered(f"http://127.0.0.1:{port}/")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=READY_SECONDS)
    assert process.returncode == 0
    assert "Traceback" not in err


def test_a_port_that_is_taken_is_told_in_one_line(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with keysat("serve", "--data-dir", str(tmp_path / "d"), KEYSAT_BIND=f"127.0.0.1:{port}") as process:
            out, err = process.communicate(timeout=READY_SECONDS)
    assert (process.returncode, out, err.count("\n")) == (1, "", 1)
    assert err.startswith(f"keysat: Port {port} on 127.0.0.1 cannot be used")
    assert not (tmp_path / "d").exists()


def test_a_second_daemon_keeps_away_from_a_folder_in_use_and_commands_do_not(tmp_path: Path):
    port, folder = free_port(), ("--data-dir", str(tmp_path))
    with keysat("demo", *folder, "--port", str(port)) as process:
        url = f"http://127.0.0.1:{port}/"
        answered(url)
        for words in (("demo",), ("serve",)):
            with keysat(*words, *folder, "--port", str(free_port())) as second:
                out, err = second.communicate(timeout=READY_SECONDS)
            assert (second.returncode, out) == (1, "")
            assert err == (
                f"keysat: Another Keysat runs in {tmp_path}: stop it, or choose another folder with --data-dir.\n"
            )
        with keysat("account", "unlock", "owner", *folder) as command:
            assert f"\n{url}admin/login?known=" in command.communicate(timeout=READY_SECONDS)[0]
        assert answered(url).status_code == 200
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=READY_SECONDS)
    assert (tmp_path / "daemon.lock").stat().st_mode & 0o077 == 0


def test_the_demo_tells_where_to_click_once_it_answers(tmp_path: Path):
    port = str(free_port())
    with keysat(
        "demo", "--data-dir", str(tmp_path / "demo"), "--port", port, KEYSAT_DATABASE_URL="nonsense"
    ) as process:
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(TOLD_LINES)]
        assert told[0].startswith(f"Open http://127.0.0.1:{port}/buy/aurora ")
        admin, name, password = re.findall(r"(?:Operator|Name|Password) +(\S+)", "".join(told))
        assert admin == f"http://127.0.0.1:{port}/admin"
        form = {"name": name, "password": password}
        entered = httpx.post(f"{admin}/login", data=form, timeout=ANSWER_SECONDS, trust_env=False)
        assert (entered.status_code, entered.headers["location"]) == (303, "/admin")
        assert any(line.strip().startswith("Admin key   ks_") for line in told)
        product = httpx.get(f"http://127.0.0.1:{port}/v1/products/aurora", timeout=ANSWER_SECONDS, trust_env=False)
        assert product.json()["price_value"] == 2500
        wallets = children(process.pid)
        assert len(wallets) == 1
        assert b"--api-key" not in Path(f"/proc/{wallets[0]}/cmdline").read_bytes()  # everybody may read that
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=READY_SECONDS)
        assert process.returncode == 0
        assert not is_running(wallets[0])
    assert "KEYSAT_DATABASE_URL" in err
    assert "Traceback" not in err


def test_a_running_demo_follows_when_its_clock_is_put_forward(tmp_path: Path):
    port, folder = free_port(), ("--data-dir", str(tmp_path))
    shop = f"http://127.0.0.1:{port}"
    with keysat("demo", *folder, "--port", str(port)) as process:
        answered(shop)
        with httpx.Client(base_url=shop, timeout=ANSWER_SECONDS, trust_env=False) as buyer:
            bought = buyer.post("/v1/purchase", json={"product": "aurora", "policy_slug": "standard"}).json()
            assert "Waiting for your payment" in buyer.get(bought["checkout_url"]).text
            began = parsedate_to_datetime(buyer.get("/v1/issuer/keys").headers["date"])
            with keysat("demo", *folder, "--fast-forward", "31d") as command:
                told = command.communicate(timeout=READY_SECONDS)[0]
            moment = datetime.fromisoformat(told.removeprefix("It is ")[:19]).replace(tzinfo=UTC)
            assert timedelta(0) <= moment - began - timedelta(days=31) < timedelta(hours=1)
            assert "<h2>Expired</h2>" in buyer.get(bought["checkout_url"]).text
            eventually(lambda: buyer.get(f"/v1/purchase/{bought['invoice_id']}").json()["status"] == "expired")
            eventually(lambda: buyer.get("/readyz").status_code == 200)
            with keysat("job", "look", *folder) as command:
                assert command.communicate(timeout=READY_SECONDS)[0] == "look: done.\n"
            again = buyer.post("/v1/purchase", json={"product": "aurora", "policy_slug": "standard"}).json()
            assert again["amount_sats"] == bought["amount_sats"]
            assert buyer.post(f"{again['checkout_url']}/pay").status_code == 303
            eventually(lambda: buyer.get(f"/v1/purchase/{again['invoice_id']}").json()["status"] == "settled")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=READY_SECONDS)
    assert (process.returncode, err) == (0, "")


def test_the_demo_goes_on_with_what_is_there_and_takes_its_wallet_along_however_it_ends(tmp_path: Path):
    for admin_key in ("ks_", "as shown at the first start"):
        with keysat("demo", "--data-dir", str(tmp_path), "--port", str(free_port())) as process:
            assert process.stdout is not None
            told = "".join(process.stdout.readline() for _ in range(TOLD_LINES))
            assert f"  Admin key   {admin_key}" in told
            assert (f"keysat account reset owner --data-dir {tmp_path}" in told) == (admin_key != "ks_")
            [wallet] = children(process.pid)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        until = time.monotonic() + READY_SECONDS
        while is_running(wallet):
            assert time.monotonic() < until, "the wallet outlives its demo"
            time.sleep(0.02)
