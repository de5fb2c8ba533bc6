"""The operator's lists over a shop of a million: every page, filter and search, on SQLite and on PostgreSQL.

`python -m tests.bench.lists --size 1M` runs these alone.
"""

import argparse
import asyncio
import math
import statistics
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlencode
from uuid import UUID

import httpx

from keysat.checkout.read import OrderFilter
from keysat.infra.settings import load
from keysat.kit.paging import encode_cursor, mark_of
from keysat.licenses.read import LicenseFilter
from keysat.licenses.tables import LicenseStatus
from tests.bench.renewals import with_host
from tests.bench.seed import environ_of
from tests.bench.sold import Found, Writer, founded
from tests.postgres import Cluster, find_postgres
from tests.running import ADMIN_KEY, Program, free_port, running, surroundings

ASKED = 20
WARM = 2
LIMIT_MS = 50


def _asks(path: str, *queries: Mapping[str, object]) -> list[str]:
    return [f"/v1/admin/{path}?{urlencode(query)}" for query in queries]


def _deep(name: str, wanted: object, moment: datetime, *rest: object) -> str:
    """As if the pages of this list had been turned to this moment."""
    return encode_cursor(moment.isoformat(), str(UUID(int=1)), mark_of((name, wanted, *rest)))


def pages(found: Found) -> list[tuple[str, list[str]]]:
    """Names, and what is asked, in several forms. An indented one is about the list above it."""
    chapters = (_licenses(found), _machines(found), _customers(found), _orders(found))
    return [page for chapter in chapters for page in chapter.items()]


def _licenses(found: Found) -> dict[str, list[str]]:
    big, rare = found.products[0], found.products[-1]
    some = found.samples
    middle, month = found.middle.isoformat(), (found.middle + timedelta(days=30)).isoformat()
    ending = found.middle + timedelta(days=300)
    late = (found.end - timedelta(days=2)).isoformat()
    revoked, later = LicenseFilter(status=LicenseStatus.REVOKED), LicenseFilter(expires_after=found.middle)
    return {
        "licenses": _asks("licenses", {}),
        "licenses, deep page": _asks("licenses", {"cursor": _deep("licenses", LicenseFilter(), found.middle)}),
        "licenses, 200 a page": _asks("licenses", {"limit": 200}),
        "  of a product": _asks("licenses", {"product_id": big}, {"product_slug": "p1"}),
        "  of a product, deep page": _asks(
            "licenses",
            {"product_id": big, "cursor": _deep("licenses", LicenseFilter(product_id=big), found.middle)},
        ),
        "  of a product that hardly sells": _asks("licenses", {"product_id": rare}),
        "  of a tier": _asks(
            "licenses", {"policy_id": found.policies[0]}, {"product_slug": "p1", "policy_slug": "pro"}
        ),
        "  active": _asks("licenses", {"status": "active"}),
        "  suspended": _asks("licenses", {"status": "suspended"}),
        "  revoked, deep page": _asks(
            "licenses", {"status": "revoked", "cursor": _deep("licenses", revoked, found.middle)}
        ),
        "  suspended, of a product that hardly sells": _asks("licenses", {"status": "suspended", "product_id": rare}),
        "  trials": _asks("licenses", {"is_trial": "true"}),
        "  trials that are suspended": _asks("licenses", {"is_trial": "true", "status": "suspended"}),
        "  no trials": _asks("licenses", {"is_trial": "false"}),
        "  issued in a month": _asks("licenses", {"issued_after": middle, "issued_before": month}),
        "  of a product, issued in a month": _asks("licenses", {"product_id": rare, "issued_before": month}),
        "  that end in a month": _asks("licenses", {"expires_after": middle, "expires_before": month}),
        "  that end later, deep page": _asks(
            "licenses", {"expires_after": middle, "cursor": _deep("licenses", later, ending)}
        ),
        "  of an address": _asks("licenses", *({"buyer_email": one.email} for one in some)),
        "  of a customer and a product": _asks(
            "licenses", *({"customer_id": one.customer, "product_id": big} for one in some)
        ),
        "  of an invoice": _asks("licenses", *({"invoice_id": one.order.hex[::-1]} for one in some)),
        "  q: an address's beginning": _asks("licenses", *({"q": one.email[:12]} for one in some)),
        "  q: a letter": _asks("licenses", {"q": "a"}, {"q": "m"}),
        "  q: a name": _asks("licenses", {"q": "Ann Am"}, {"q": "kim l"}),
        "  q: a letter, suspended": _asks("licenses", {"q": "a", "status": "suspended"}),
        "  q: a letter, revoked, of a small product": _asks(
            "licenses", {"q": "a", "status": "revoked", "product_slug": "p3"}
        ),
        "  q: a letter, suspended, of the large product": _asks(
            "licenses", {"q": "a", "status": "suspended", "product_id": big}
        ),
        "  q: a letter, of a small product": _asks("licenses", {"q": "m", "product_slug": "p3"}),
        "  q: a letter, of a product that hardly sells": _asks("licenses", {"q": "a", "product_id": rare}),
        "  q: a letter, of a tier that hardly sells": _asks("licenses", {"q": "a", "policy_id": found.policies[-1]}),
        "  q: a letter, trials": _asks("licenses", {"q": "a", "is_trial": "true"}),
        "  q: a letter, issued in the last days": _asks("licenses", {"q": "a", "issued_after": late}),
        "  q: a letter, that end in a month": _asks(
            "licenses", {"q": "a", "expires_after": middle, "expires_before": month}
        ),
        "  q: a support reference": _asks("licenses", *({"q": one.reference} for one in some)),
        "  q: a license's beginning": _asks("licenses", *({"q": str(one.license)[:9]} for one in some)),
        "  q: nobody": _asks("licenses", {"q": "zzz"}),
        "one license": [f"/v1/admin/licenses/{one.license}" for one in some],
        "its timeline": [f"/v1/admin/licenses/{one.license}/events" for one in some],
        "summary": _asks("licenses/summary", {}),
        "counts": _asks("licenses/counts", {}),
        "revenue": _asks("revenue/summary", {}),
    }


def _machines(found: Found) -> dict[str, list[str]]:
    rare, some = found.products[-1], found.samples
    deep = encode_cursor(str(some[len(some) // 2].machine), mark_of(("machines", None, None, False)))
    return {
        "machines": _asks("machines", {}),
        "machines, deep page": _asks("machines", {"cursor": deep}),
        "  of a license": _asks("machines", *({"license_id": one.license} for one in some)),
        "  of a product, all": _asks("machines", {"product_slug": "p0", "include_inactive": "true"}),
        "  of a product that sells little": _asks("machines", {"product_slug": "p3"}),
        "  of a product that hardly sells": _asks("machines", {"product_id": rare}),
    }


def _customers(found: Found) -> dict[str, list[str]]:
    some = found.samples
    deep = encode_cursor(str(some[len(some) // 2].customer), mark_of(("customers", None)))
    return {
        "customers": _asks("customers", {}),
        "customers, deep page": _asks("customers", {"cursor": deep}),
        "  of an address": _asks("customers", *({"email": one.email} for one in some)),
        "  q: an address's beginning": _asks("customers", *({"q": one.email[:12]} for one in some)),
        "  q: a letter": _asks("customers", {"q": "a"}, {"q": "m"}),
        "  q: a name": _asks("customers", {"q": "Ann Am"}, {"q": "kim l"}),
        "one customer": [f"/v1/admin/customers/{one.customer}" for one in some],
    }


def _orders(found: Found) -> dict[str, list[str]]:
    deep = _deep("orders", OrderFilter(), found.middle, None)
    big, rare = found.products[0], found.products[-1]
    some = found.samples
    middle, month = found.middle.isoformat(), (found.middle + timedelta(days=30)).isoformat()
    return {
        "orders": _asks("orders", {}),
        "orders, deep page": _asks("orders", {"cursor": deep}),
        "  fulfilled": _asks("orders", {"status": "fulfilled"}),
        "  in review": _asks("orders", {"status": "review"}),
        "  of a product": _asks("orders", {"product_id": big}),
        "  of a product that hardly sells": _asks("orders", {"product_id": rare}),
        "  of an address": _asks("orders", *({"buyer_email": one.email} for one in some)),
        "  of a license": _asks("orders", *({"license_id": one.license} for one in some)),
        "  paid in a month": _asks("orders", {"paid_after": middle, "paid_before": month}),
    }


@dataclass(frozen=True)
class Took:
    name: str
    least_ms: float
    p50_ms: float
    p99_ms: float

    def __str__(self) -> str:
        slow = " !" if self.p50_ms > LIMIT_MS else "  "
        return f"{self.least_ms:7.1f} {self.p50_ms:7.1f} {self.p99_ms:7.1f} ms{slow}"


def measure(port: int, found: Found) -> list[Took]:
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=120, trust_env=False) as http:
        return [_took(http, name, asks) for name, asks in pages(found)]


def _took(http: httpx.Client, name: str, asks: Sequence[str]) -> Took:
    times: list[float] = []
    for number in range(WARM + ASKED):
        begun = time.perf_counter()
        answer = http.get(asks[number % len(asks)])
        took = 1000 * (time.perf_counter() - begun)
        answer.raise_for_status()
        times += [took] if number >= WARM else []
        if sum(times) > 5_000:  # so slow that no more needs to be known
            break
    return Took(name, min(times), statistics.median(times), sorted(times)[math.ceil(0.99 * len(times)) - 1])


@contextmanager
def shop_with_lists(folder: Path, size: int, database_url: str | None) -> Generator[tuple[int, Found], None, None]:
    port = free_port()
    environ = surroundings(**environ_of(folder, port))
    if database_url is not None:
        environ["KEYSAT_DATABASE_URL"] = with_host(database_url)
    found = asyncio.run(founded(environ, size))
    url = database_url or load(environ).database_url
    begun = time.perf_counter()
    asyncio.run(Writer(url).fill(size, found))
    print(f"{size:,} sales written in {time.perf_counter() - begun:.0f} s", flush=True)
    daemon = Program("keysat", "serve", log=folder / "daemon.log", environ=environ)
    with running(daemon, f"http://127.0.0.1:{port}/healthz"):
        time.sleep(2 + size / 200_000)  # the figures are counted once
        yield port, found


def both(folder: Path, size: int) -> dict[str, list[Took]]:
    """By database. PostgreSQL only where its server is installed."""
    took: dict[str, list[Took]] = {}
    (folder / "sqlite").mkdir(parents=True)
    with shop_with_lists(folder / "sqlite", size, None) as (port, found):
        took["SQLite"] = measure(port, found)
    binaries = find_postgres()
    if binaries is None:
        return took
    cluster = Cluster(binaries)
    cluster.start()
    try:
        (folder / "postgres").mkdir()
        with cluster.empty_database() as url, shop_with_lists(folder / "postgres", size, url) as (port, found):
            took["PostgreSQL"] = measure(port, found)
    finally:
        cluster.stop()
    return took


def told(took: Mapping[str, Iterable[Took]]) -> str:
    """A line for each page and what it took on each database, on a busy machine the least is what counts."""
    head = f"{'least, p50 and p99 of':<46}  {'   '.join(took)}"
    lines = ("  ".join([f"{times[0].name:<46}", *map(str, times)]) for times in zip(*took.values(), strict=True))
    return "\n".join([head, *lines])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.lists")
    sizes = {"10k": 10_000, "100k": 100_000, "1M": 1_000_000}
    parser.add_argument("--size", choices=sizes, default="100k")
    with TemporaryDirectory(prefix="keysat-lists-") as folder:
        print(told(both(Path(folder), sizes[parser.parse_args().size])))


if __name__ == "__main__":
    main()
