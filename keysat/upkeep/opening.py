"""Opening a shop: from the settings to everything a process of it shares, or one line that says why not."""

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from sqlalchemy.exc import DBAPIError

from keysat.infra.events import Actor
from keysat.infra.house import MODE, Mode, fact, mode_of, write_once
from keysat.infra.http import HttpClient
from keysat.infra.log import get, redact
from keysat.infra.mail import Mailer
from keysat.infra.migrate import NewerDatabase, migrate
from keysat.infra.private import make_private
from keysat.infra.public_http import house_http
from keysat.infra.setting_values import SQLITE, database_place
from keysat.infra.settings import Settings
from keysat.infra.store import Store
from keysat.infra.telemetry import Telemetry
from keysat.infra.vault import KEY_FILE, Vault, VaultError, load_vault
from keysat.kit.clock import OFFSET_FILE, Clock, OffsetClock
from keysat.kit.errors import KeysatError
from keysat.kit.ids import Chance
from keysat.licenses.issuers import create_first
from keysat.licenses.ring import Ring
from keysat.licenses.seats import seen_writer
from keysat.payments.rates.board import RateBoard
from keysat.payments.tills import Tills
from keysat.upkeep.admin_key import make_admin_key
from keysat.upkeep.happenings import ShopSetUp
from keysat.upkeep.self_license import refresh_edition
from keysat.upkeep.shop import Shop
from keysat.upkeep.tills import refresh_tills
from keysat.upkeep.vendor import vendor

VAULT_CHECK = "vault_check"  # a fact in `house`
TELEMETRY_FILE = "telemetry.db"
FOUNDER = Actor("setup")

log = get(__name__)


class CannotOpen(Exception):
    """One line: what is in the way, and what to do about it."""


@dataclass(frozen=True, slots=True)
class Founding:
    """What to do where no shop was set up yet: set up one of this mode, and show the admin key that is made.

    A shop that is there already keeps its mode.
    """

    mode: Mode
    show_admin_key: Callable[[str], None]


@asynccontextmanager
async def open_shop(
    settings: Settings,
    *,
    clock: Clock,
    chance: Chance,
    transport: httpx.AsyncBaseTransport | None = None,
    founding: Founding | None = None,
) -> AsyncGenerator[Shop, None]:
    """Migrates the database, and opens all that one process needs; closes it at the end.

    `transport` stands in for the network. Raises CannotOpen.
    """
    async with AsyncExitStack() as stack:
        with explained(settings):
            shop = await _open(stack, settings, clock, chance, transport, founding)
        yield shop


@contextmanager
def explained(settings: Settings) -> Generator[None, None, None]:
    """What a person can mend comes out as CannotOpen."""
    try:
        yield
    except (NewerDatabase, VaultError) as error:
        raise CannotOpen(str(error)) from error
    except KeysatError as error:
        raise CannotOpen(error.message) from error
    except ModuleNotFoundError as error:
        raise CannotOpen(f"PostgreSQL needs the module {error.name}: pip install 'keysat[postgres]'.") from error
    except DBAPIError as error:
        where = database_place(settings.database_url)
        raise CannotOpen(f"The database {where} cannot be opened: {_first_line(error.orig)}.") from error
    except OSError as error:
        if error.filename is None and not settings.database_url.startswith(SQLITE):
            where = database_place(settings.database_url)
            raise CannotOpen(f"The database {where} cannot be reached: {_first_line(error)}.") from error
        raise CannotOpen(f"The shop in {settings.data_dir} cannot be opened: {_first_line(error)}.") from error


async def _open(
    stack: AsyncExitStack,
    settings: Settings,
    clock: Clock,
    chance: Chance,
    transport: httpx.AsyncBaseTransport | None,
    founding: Founding | None,
) -> Shop:
    store = await open_store(stack, settings, chance, may_create=founding is not None)
    mode = await _mode(store, settings, founding)
    if mode == Mode.SANDBOX:
        clock = OffsetClock(clock, (settings.data_dir / OFFSET_FILE).read_text)
    vault = await _vault(store, settings, chance)
    await _found(store, vault, mode, settings, clock, founding)
    http = HttpClient(transport=transport) if transport is not None else house_http()
    stack.push_async_callback(http.aclose)
    board = RateBoard(http, clock, chance)
    stack.push_async_callback(board.aclose)
    telemetry = Telemetry(_telemetry_url(settings, store), seen_writer(store))
    stack.push_async_callback(telemetry.close)
    shop = Shop(
        settings=settings,
        mode=mode,
        clock=clock,
        chance=chance,
        store=store,
        telemetry=telemetry,
        vault=vault,
        ring=await Ring.open(store, vault),
        http=http,
        mailer=Mailer(settings.smtp, settings.mail_from),
        board=board,
        tills=Tills(store, vault, http),
        vendor=vendor(),
    )
    stack.push_async_callback(lambda: shop.seen.flush(store, clock.now()))
    await refresh_tills(shop)
    await refresh_edition(shop, shop.now())
    return shop


async def open_store(stack: AsyncExitStack, settings: Settings, chance: Chance, *, may_create: bool) -> Store:
    """The database at this release's schema. Raises NewerDatabase, DBAPIError, OSError."""
    if may_create:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    elif not settings.data_dir.is_dir():
        raise CannotOpen(_not_set_up(settings))
    store = Store(settings.database_url, chance)
    if store.is_sqlite:
        make_private(Path(str(store.url.database)))
        make_private(settings.data_dir / TELEMETRY_FILE)
    stack.push_async_callback(store.close)
    migrated = await migrate(store)
    if migrated.is_ahead:
        log.warning("database.ahead", schema=migrated.after)
    elif migrated.before != migrated.after:
        log.info("database.migrated", before=migrated.before, after=migrated.after)
    return store


async def _mode(store: Store, settings: Settings, founding: Founding | None) -> Mode:
    """The mode that stands, else the one to be founded."""
    async with store.read() as read:
        mode = await mode_of(read)
    if mode is None:
        if founding is None:
            raise CannotOpen(_not_set_up(settings))
        mode = founding.mode
    if mode == Mode.LIVE and settings.limits_off:
        raise CannotOpen("KEYSAT_LIMITS=off is for sandbox shops, and this one is live: remove the setting.")
    return mode


async def _vault(store: Store, settings: Settings, chance: Chance) -> Vault:
    """The vault whose key this shop's secrets were sealed with. A lost key file is not replaced by a new one."""
    async with store.read() as read:
        check = await fact(read, VAULT_CHECK)
    path = settings.data_dir / KEY_FILE
    if check is not None and settings.vault_key is None and not path.exists():
        raise CannotOpen(f"The vault key is missing: put {path} back from your backup, or set KEYSAT_VAULT_KEY.")
    vault = load_vault(settings.vault_key, settings.data_dir, chance)
    if check is not None and not vault.matches(check):
        where = "KEYSAT_VAULT_KEY" if settings.vault_key is not None else str(path)
        raise CannotOpen(f"{where} is not the vault key of this shop: put the right one back.")
    return vault


async def _found(
    store: Store, vault: Vault, mode: Mode, settings: Settings, clock: Clock, founding: Founding | None
) -> None:
    """Write down what a shop has from its first day; of two daemons that start at once, the first one's holds."""
    if founding is None:
        return
    async with store.work(clock.now(), FOUNDER) as work:
        if await fact(work, MODE) is None:
            work.record(ShopSetUp(mode))
        if await write_once(work, MODE, mode) != mode:
            raise CannotOpen("Another process has set this shop up in the other mode a moment ago. Start again.")
        if not vault.matches(await write_once(work, VAULT_CHECK, vault.check_value())):
            raise CannotOpen("Another process has set this shop up with another vault key a moment ago. Start again.")
        await create_first(work, vault)
        key = await make_admin_key(work) if settings.admin_api_key is None else None
    if key is not None:
        founding.show_admin_key(key)


def _telemetry_url(settings: Settings, store: Store) -> str:
    """On PostgreSQL a schema of the same database, on SQLite a file of its own beside the rest."""
    return f"{SQLITE}{settings.data_dir / TELEMETRY_FILE}" if store.is_sqlite else settings.database_url


def _not_set_up(settings: Settings) -> str:
    return f"There is no shop in {settings.data_dir} yet: run `keysat init` or `keysat demo` first."


def _first_line(error: BaseException | None) -> str:
    """Redacted: a driver may quote the URL that it was given."""
    return redact((str(error).splitlines() or [type(error).__name__])[0]).rstrip(".")
