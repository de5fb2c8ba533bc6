"""The demo as a stranger starts it, and a real Chromium before it."""

import inspect
import os
import shutil
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

from tests.running import ADMIN_KEY, ANSWER_SECONDS, Program, free_port, running, surroundings

PHONE: ViewportSize = {"width": 390, "height": 844}
WAITS_MILLISECONDS = 1000 * ANSWER_SECONDS
expect.set_options(timeout=WAITS_MILLISECONDS)

BESIDE = ThreadPoolExecutor(1)
"""Playwright's event loop runs as long as it is open, and where other tests run they want loops of their own."""

Visit = Callable[..., AbstractContextManager[Page]]


@dataclass(frozen=True)
class Demo:
    url: str
    data_dir: Path


@pytest.fixture(scope="session")
def chromium() -> str:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("CI must have Chromium: .ci/run installs it")
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    return found


@contextmanager
def demo_in(folder: Path) -> Generator[Demo, None, None]:
    port, data_dir = free_port(), folder / "data"
    program = Program(
        *("keysat", "demo", "--port", str(port), "--data-dir", str(data_dir)),
        log=folder / "demo.log",
        environ=surroundings(KEYSAT_ADMIN_API_KEY=ADMIN_KEY),
    )
    url = f"http://127.0.0.1:{port}"
    with running(program, f"{url}/healthz"):
        yield Demo(url, data_dir)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Generator[Demo, None, None]:
    with demo_in(tmp_path_factory.mktemp("demo")) as demo:
        yield demo


@pytest.fixture(scope="session")
def browser(chromium: str) -> Generator[Browser, None, None]:
    playwright = BESIDE.submit(sync_playwright().start).result()
    launch = partial(playwright.chromium.launch, executable_path=chromium, args=["--no-sandbox"])
    browser = BESIDE.submit(launch).result()
    yield browser
    BESIDE.submit(browser.close).result()
    BESIDE.submit(playwright.stop).result()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool:
    """Each test of this folder, in the browser's thread."""
    named = inspect.signature(pyfuncitem.obj).parameters
    BESIDE.submit(pyfuncitem.obj, **{name: pyfuncitem.funcargs[name] for name in named}).result()
    return True


@pytest.fixture
def visit(browser: Browser, demo: Demo) -> Visit:
    """`with visit(javascript=False) as page`: a phone-sized browser that nobody has used before.

    At its end: nothing else was told in the console, nothing was asked of anyone but this machine, and the page was
    not wider than the phone.
    """

    @contextmanager
    def visiting(*, javascript: bool = True, told_in_console: Sequence[str] = ()) -> Generator[Page, None, None]:
        asked: list[str] = []
        told: list[str] = []
        with browser.new_context(base_url=demo.url, java_script_enabled=javascript, viewport=PHONE) as context:
            if javascript:
                context.grant_permissions(["clipboard-read", "clipboard-write"], origin=demo.url)
            page = context.new_page()
            page.set_default_timeout(WAITS_MILLISECONDS)
            page.on("request", lambda request: asked.append(request.url))
            page.on("console", lambda message: told.append(message.text))
            page.on("pageerror", lambda error: told.append(str(error)))
            yield page
            if javascript:
                assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        assert told == list(told_in_console)
        assert {urlsplit(url).hostname for url in asked} == {"127.0.0.1"}

    return visiting
