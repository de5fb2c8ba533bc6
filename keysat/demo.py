"""The demo: from an empty folder to a shop that sells for play money, with its wallet as a child process."""

import asyncio
import socket
import sys
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import update

from keysat.catalog import offers, policies, products
from keysat.catalog.checks import PeriodInput
from keysat.catalog.features import FeatureInput
from keysat.catalog.read import policies as policies_of
from keysat.catalog.read import product_by_slug
from keysat.daemon import answer, listening, loop_factory
from keysat.infra import log
from keysat.infra.events import Actor
from keysat.infra.house import Mode
from keysat.infra.private import keep_new_files_private
from keysat.infra.settings import Settings, load, surroundings
from keysat.kit.clock import SystemClock
from keysat.kit.errors import BadRequest, Conflict, NotFound
from keysat.kit.ids import SystemChance, token
from keysat.kit.periods import Unit
from keysat.operators import accounts
from keysat.operators.passwords import HASHING
from keysat.operators.scopes import Role
from keysat.payments.connections import connect, register_webhook
from keysat.payments.rates.pins import set_pin
from keysat.payments.tables import ConnectionRow
from keysat.payments.tills import OpenTill
from keysat.upkeep.occupy import occupied
from keysat.upkeep.offset import parse_span, put_forward
from keysat.upkeep.opening import CannotOpen, Founding, open_shop
from keysat.upkeep.shop import Shop
from keysat.upkeep.tills import refresh_tills

HOST = "127.0.0.1"
PROVIDER = "sandbox"
WALLET_KEY = "KEYSAT_SANDBOX_WALLET_KEY"
PLAY_RATE = Decimal(50_000)  # USD for one bitcoin
WALLET_STARTS_SECONDS = 60  # one that does not start ends sooner: this is for one that hangs
WALLET_ENDS_SECONDS = 5
LAST_YEAR = 2999  # a clock at the end of time could not be read any more
DEMO = Actor("demo")

# The demo brings its own database and its own provider: a shop that is in use must not be touched by accident.
NOT_FOR_THE_DEMO = frozenset(
    {
        "KEYSAT_DATABASE_URL",
        "KEYSAT_DB_PATH",
        "LICENSING_DB_PATH",
        "KEYSAT_DATA_DIR",
        "KEYSAT_BACKUP_DIR",
        "BTCPAY_URL",
        "BTCPAY_API_KEY",
        "BTCPAY_STORE_ID",
    }
)

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Owner:
    """`password`: where the account was made now."""

    name: str
    password: str | None = None


def settings_of(environ: Mapping[str, str], data_dir: Path, port: int | None) -> tuple[Settings, list[str]]:
    """The demo's settings, and the names in the environment that it leaves aside. Raises SettingsErrors."""
    ignored = sorted(NOT_FOR_THE_DEMO & environ.keys())
    kept = {name: value for name, value in environ.items() if name not in NOT_FOR_THE_DEMO}
    kept.setdefault("KEYSAT_LOG_LEVEL", "warning")
    return load(kept, data_dir=data_dir.resolve(), port=port, default_host=HOST), ignored


def run(settings: Settings, say: Say) -> None:
    """Until SIGTERM or Ctrl-C. Raises CannotOpen."""
    log.configure(settings.log_level, settings.log_format)
    keep_new_files_private()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_run(settings, say))


def fast_forward(settings: Settings, text: str, say: Say) -> None:
    """Puts that demo's clock forward, also while it runs: shop, jobs and wallet follow.

    `text` is a span such as `31d`. Raises CannotOpen, BadRequest; Conflict for a live shop.
    """
    log.configure(settings.log_level, settings.log_format)
    keep_new_files_private()
    span = parse_span(text)
    asyncio.run(_put_forward(settings, span, say))


async def _put_forward(settings: Settings, span: timedelta, say: Say) -> None:
    async with open_shop(settings, clock=SystemClock(), chance=SystemChance()) as shop:
        if shop.mode != Mode.SANDBOX:
            raise Conflict("This is a live shop: its time is everybody's.")
        if (shop.now() + span).year > LAST_YEAR:
            raise BadRequest(f"A demo's clock goes up to the year {LAST_YEAR}.")
        put_forward(settings.data_dir, span)
        say(f"It is {shop.now():%Y-%m-%d %H:%M:%S} UTC now in {settings.data_dir}.")


async def _run(settings: Settings, say: Say) -> None:
    made: list[str] = []
    with listening(settings) as door, occupied(settings := _at_home(settings, door)):
        founding = Founding(Mode.SANDBOX, made.append)
        async with open_shop(settings, clock=SystemClock(), chance=SystemChance(), founding=founding) as shop:
            if shop.mode != Mode.SANDBOX:
                raise CannotOpen(f"{settings.data_dir} holds a live shop: choose another folder with --data-dir.")
            known = next((till for till in shop.tills.all() if till.connection.provider == PROVIDER), None)
            api_key = known.connection.secrets["api_key"] if known else token(shop.chance)
            port = urlsplit(known.connection.base_url).port if known else settings.bind_port + 1
            async with wallet(settings.data_dir, port or 0, api_key) as url:
                await seed(shop)
                owner = await hire(shop)
                await _connect(shop, known, url, api_key)

                async def ready(_shop: Shop) -> None:
                    _welcome(shop, url, made, owner, say)

                await answer(shop, door, ready)


def _at_home(settings: Settings, door: socket.socket) -> Settings:
    """With the port it really has, and an address that works in the browser of this machine."""
    port = door.getsockname()[1]
    host = HOST if settings.bind_host in ("0.0.0.0", "::") else settings.bind_host  # noqa: S104  compared, not bound
    public_url = (
        f"http://{f'[{host}]' if ':' in host else host}:{port}"
        if settings.public_url_is_default
        else settings.public_url
    )
    return replace(settings, bind_port=port, public_url=public_url, public_url_is_default=False, warnings=())


def _welcome(shop: Shop, wallet_url: str, made: list[str], owner: Owner, say: Say) -> None:
    url, own, data_dir = shop.settings.public_url, shop.settings.admin_api_key, shop.settings.data_dir
    say(f"Open {url}/buy/aurora to buy a license with play money.")
    say("")
    say(f"  Shop        {url}/")
    say(f"  Operator    {url}/admin")
    say(f"    Name      {owner.name}")
    if owner.password is not None:
        say(f"    Password  {owner.password} (shown only now)")
    else:
        say(f"    Password  as shown at the first start; lost: keysat account reset {owner.name} --data-dir {data_dir}")
    say(f"  Wallet      {wallet_url} (play money; the checkout opens it)")
    if made:
        say(f"  Admin key   {made[0]} (shown only now; set KEYSAT_ADMIN_API_KEY to choose your own)")
    else:
        say(f"  Admin key   {'as in KEYSAT_ADMIN_API_KEY' if own else 'as shown at the first start'}")
    say(f"  Data        {data_dir}")
    say("")
    say("Ctrl-C ends the demo; the same command goes on with what is there.")


@asynccontextmanager
async def wallet(data_dir: Path, port: int, api_key: str) -> AsyncGenerator[str, None]:
    """The wallet's process; yields its address. It ends with the block, and also when we are killed.

    Takes another port when this one is in use. Raises CannotOpen when it does not start.
    """
    process = await _start(data_dir, port if _is_free(port) else 0, api_key)
    address = await _address(process)
    if address is None:  # somebody took the port between the look and the start
        await _end(process)
        process = await _start(data_dir, 0, api_key)
        address = await _address(process)
    try:
        if address is None:
            raise CannotOpen("The sandbox wallet did not start: its words stand above.")
        yield address
    finally:
        await _end(process)


async def _start(data_dir: Path, port: int, api_key: str) -> asyncio.subprocess.Process:
    arguments = ("--end-with-stdin", "--data-dir", str(data_dir), "--port", str(port))
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "providers.sandbox", *arguments),
        env=surroundings() | {WALLET_KEY: api_key},  # an argument could be read by everybody on this machine
        stdin=asyncio.subprocess.PIPE,  # its end of our life line
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for us: the wallet is there until the last request is answered
    )


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), WALLET_ENDS_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()


async def _address(process: asyncio.subprocess.Process) -> str | None:
    """Where the wallet listens; None when it ended without saying so."""
    line = b""
    if process.stdout is not None:
        with suppress(TimeoutError):
            line = await asyncio.wait_for(process.stdout.readline(), WALLET_STARTS_SECONDS)
    _, found, address = line.decode().strip().rpartition("ready at ")
    return address if found else None


def _is_free(port: int) -> bool:
    try:
        with socket.create_server((HOST, port)):
            return True
    except (OSError, OverflowError):
        return False


async def _connect(shop: Shop, known: OpenTill | None, url: str, api_key: str) -> None:
    """Make the connection, or tell it where the wallet and the shop are this time."""
    office = shop.office(shop.now(), DEMO)
    if known is None:
        await connect(office, PROVIDER, {"url": url, "api_key": api_key})
    else:
        async with office.work() as work:
            await work.session.execute(update(ConnectionRow).where(ConnectionRow.id == known.id).values(base_url=url))
        await shop.tills.refresh()
        till = await shop.tills.get(known.id)
        await register_webhook(office, till.id, till.till)
    await refresh_tills(shop)


FEATURES = (
    FeatureInput("core", "The editor", "Write, preview and print."),
    FeatureInput("sync", "Sync", "The same notes on all your machines, encrypted."),
    FeatureInput("export", "Export", "PDF, EPUB and Markdown."),
    FeatureInput("themes", "Themes", "Twelve themes, and your own."),
    FeatureInput("priority-support", "Priority support", "An answer within a day."),
)
ALL_FEATURES = [feature.slug for feature in FEATURES]
AURORA = products.NewProduct(
    slug="aurora",
    name="Aurora",
    description="A quiet place to write, on your own machine.",
    price_currency="USD",
    price_value=2500,
    entitlements_catalog=list(FEATURES),
)
TIERS = (
    policies.NewPolicy(
        product_slug=AURORA.slug,
        slug="free",
        name="Free",
        description="Everything to get to know Aurora.",
        price_value=0,
        entitlements=["core"],
        marketing_bullets=["Free for ever"],
        tier_rank=0,
    ),
    policies.NewPolicy(
        product_slug=AURORA.slug,
        slug="standard",
        name="Standard",
        description="For everyday writing.",
        price_value=2500,
        entitlements=["core", "export", "themes"],
        marketing_bullets=["Pay once, keep it"],
        highlighted=True,
        tier_rank=1,
    ),
    policies.NewPolicy(
        product_slug=AURORA.slug,
        slug="pro",
        name="Pro",
        description="For those who write for a living.",
        price_value=7500,
        max_machines=3,
        entitlements=ALL_FEATURES,
        marketing_bullets=["Pay once, keep it"],
        tier_rank=2,
    ),
    policies.NewPolicy(
        product_slug=AURORA.slug,
        slug="team",
        name="Team",
        description="For those who write together.",
        price_value=1200,
        is_recurring=True,
        renewal_period=PeriodInput(1, Unit.MONTH),
        trial_days=14,
        max_machines=10,
        entitlements=ALL_FEATURES,
        marketing_bullets=["14 days to try it", "Stop whenever you like"],
        tier_rank=3,
    ),
)
OFFERS = {"team": [offers.NewOffer(slug="yearly", price_value=12000, renewal_period=PeriodInput(1, Unit.YEAR))]}


async def hire(shop: Shop) -> Owner:
    """Who may sign in on /admin: an account is made where there is none."""
    async with shop.read() as read:
        there = (await accounts.accounts(read, limit=1)).items
    if there:
        return Owner(there[0].name)
    password, hashed = await HASHING.given_or_made(None, shop.chance)
    async with shop.work(DEMO) as work:
        made = await accounts.create(work, "owner", Role.OWNER, hashed)
    return Owner(made.name, password)


async def seed(shop: Shop) -> None:
    """The product `aurora` with its tiers and a pinned rate; what is there already stays as it is."""
    async with shop.work(DEMO) as work:
        try:
            product = await product_by_slug(work, AURORA.slug)
        except NotFound:
            product = await products.create(work, AURORA)
            await set_pin(work, "USD", PLAY_RATE)
        known = {tier.slug for tier in await policies_of(work, product)}
        for tier in TIERS:  # a demo that was begun with an earlier release gets the later ones
            if tier.slug not in known:
                made = await policies.create(work, tier)
                for offer in OFFERS.get(tier.slug, ()):
                    await offers.create(work, made.id, offer)
