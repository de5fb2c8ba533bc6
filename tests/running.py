"""Programs as real processes, as a stranger would start them: for what can be seen only from outside."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[1]
ADMIN_KEY = "an-admin-key-for-processes-under-test-0123456789"
READY_SECONDS = 300  # it is seen when a program ends before: this is for one that hangs
STOP_SECONDS = 60
ANSWER_SECONDS = 60  # on a machine that does other things besides


def free_port() -> int:
    """A port that a program can be told to listen at. For a minute the kernel gives it to nobody who asks for any.

    It remembers the connection of which the listening end was closed first; who names the port may have it all the
    same, with SO_REUSEADDR, as every server here does.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
        with socket.create_connection(("127.0.0.1", port)), free.accept()[0]:
            return port


def surroundings(**settings: str) -> dict[str, str]:
    """An environment with these settings of ours and no others."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("KEYSAT_", "BTCPAY_"))} | settings


class Program:
    """One command of a module, started, killed and started again. Its output is added to the file `log`."""

    def __init__(self, *command: str, log: Path, environ: Mapping[str, str] | None = None) -> None:
        self._command = [sys.executable, "-m", *command]
        self._log = log
        self._environ = surroundings() if environ is None else environ
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, cwd=ROOT, env=self._environ, stdout=log, stderr=log)

    def ended(self) -> int | None:
        """Its exit code, once it has one."""
        return self._process.poll() if self._process is not None else None

    def kill(self) -> None:
        """As a power cut would: nothing is drained, nothing is closed."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def output(self) -> str:
        return self._log.read_text(errors="replace")

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def await_answer(self, url: str, seconds: float = READY_SECONDS) -> float:
        """Seconds until `url` answered with 200. Raises AssertionError, with the end of the log."""
        began = time.perf_counter()
        with httpx.Client(timeout=2, trust_env=False) as client:  # one: each loads the certificates, for 25 ms
            while time.perf_counter() - began < seconds:
                assert self.ended() is None, f"it ended with {self.ended()}:\n{self.output()[-3000:]}"
                try:
                    if client.get(url).status_code == 200:
                        return time.perf_counter() - began
                except httpx.TransportError:
                    time.sleep(0.01)
        raise AssertionError(f"{url} did not answer within {seconds} s:\n{self.output()[-3000:]}")


@contextmanager
def running(program: Program, url: str) -> Generator[Program, None, None]:
    """Started and answering; stopped at the end."""
    program.start()
    try:
        program.await_answer(url)
        yield program
    finally:
        program.stop()


def keysat(data_dir: Path, *command: str, environ: Mapping[str, str]) -> str:
    """Runs one command of ours to its end and returns what it printed. Raises AssertionError unless it ends with 0."""
    done = subprocess.run(
        [sys.executable, "-m", "keysat", *command, "--data-dir", str(data_dir)],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=READY_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"keysat {' '.join(command)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout
