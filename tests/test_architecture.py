"""The law of `architecture.md` 2 and `style.md`, held over every file, and the proof that each rule can fail."""

import tomllib
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from sys import modules
from typing import Any, cast

import pytest
from sqlalchemy import Enum

from keysat.infra.tables import Base
from keysat.schema import metadata
from tests.law import (
    ALLOWED,
    BANNED_API,
    COMPOSITION,
    EVERYTHING_BELOW,
    FLOORS,
    HOMES_OF_CHANCE,
    README_LINES,
    RULES,
    Rule,
    Source,
    cycles,
    events_have_one_home_and_name_their_fields,
    every_assert_can_fail,
    files_and_functions_are_short,
    imports_go_down,
    imports_stand_on_top,
    may_import,
    money_is_never_a_float,
    names_say_something,
    no_test_is_skipped,
    nothing_is_left_for_later,
    only_advance_writes_a_status,
    only_the_store_commits,
    slice_of,
)

ROOT = Path(__file__).parents[1]
ITSELF = {"tests/law.py", "tests/test_architecture.py"}  # hold the forbidden words, to look for them


def read_sources(*folders: str) -> list[Source]:
    files = [file for folder in folders for file in sorted((ROOT / folder).rglob("*.py"))]
    names = frozenset(Source(str(file.relative_to(ROOT)), "").module for file in files)
    return [Source(str(file.relative_to(ROOT)), file.read_text(), names) for file in files]


SOURCES = read_sources("keysat", "providers", "tests")


@pytest.mark.parametrize("rule", RULES)
def test_every_file_keeps_the_rule(rule: Rule) -> None:
    exempt: set[str] = ITSELF if rule is nothing_is_left_for_later else set()
    assert [line for source in SOURCES if source.path not in exempt for line in rule(source)] == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert cycles(source for source in SOURCES if not source.is_test) == []


def test_every_line_of_the_law_points_down() -> None:
    height = {name: level for level, floor in enumerate(FLOORS) for name in floor}
    for name in height:
        assert all(height[target] < height[name] for target in may_import(name)), name
    assert height.keys() == {"kit", "infra", *ALLOWED, *EVERYTHING_BELOW}


def test_every_slice_stands_on_a_floor() -> None:
    known = {name for floor in FLOORS for name in floor} | set(COMPOSITION) | {""}
    slices = {slice_of(source.module) for source in SOURCES if source.path.startswith("keysat/")}
    assert slices - known == set()


def states_without_a_table() -> Iterator[str]:
    """A `status` of more than one value needs a table of steps beside it, for `advance()` to take them from."""
    for mapper in Base.registry.mappers:
        status = mapper.columns.get("status")
        if status is None or not isinstance(status.type, Enum):
            continue
        states = cast("type[StrEnum]", status.type.enum_class)
        beside = [value for value in vars(modules[states.__module__]).values() if isinstance(value, dict)]
        if len(states) > 1 and not any(is_table_of(states, table) for table in beside):
            yield f"{mapper.class_.__name__}: {states.__name__} has no table of steps in {states.__module__}"


def is_table_of(states: type[StrEnum], table: dict[Any, Any]) -> bool:
    return bool(table) and all(
        isinstance(key, tuple) and isinstance(key[0], states) and isinstance(value, states)
        for key, value in table.items()
    )


def test_every_status_has_a_table_of_steps() -> None:
    assert metadata.tables
    assert list(states_without_a_table()) == []


def missing_readmes(root: Path) -> Iterator[str]:
    for folder in sorted([*(root / "keysat").iterdir(), *(root / "providers").iterdir()]):
        if len([file for file in folder.glob("*.py") if file.name != "__init__.py"]) <= 2 or folder.name in COMPOSITION:
            continue
        readme = folder / "README.md"
        lines = readme.read_text().count("\n") if readme.exists() else 0
        if not 0 < lines <= README_LINES:
            yield f"{readme.relative_to(root)}: {lines} lines; a page of at most {README_LINES} is wanted"


def test_every_slice_says_what_it_owns() -> None:
    assert list(missing_readmes(ROOT)) == []


def test_a_missing_and_a_long_readme_are_seen(tmp_path: Path) -> None:
    (tmp_path / "providers").mkdir()
    for name, lines in (("mute", 0), ("wordy", 81), ("fine", 80)):
        (tmp_path / "keysat" / name).mkdir(parents=True)
        for file in "abc":
            (tmp_path / "keysat" / name / f"{file}.py").touch()
        if lines:
            (tmp_path / "keysat" / name / "README.md").write_text("x\n" * lines)
    assert [line.split("/")[1] for line in missing_readmes(tmp_path)] == ["mute", "wordy"]


def unguarded(pyproject: dict[str, Any]) -> Iterator[str]:
    """Clock, chance and environment have one home each: ruff's list must stand, and excuse nobody else."""
    lint = pyproject["tool"]["ruff"]["lint"]
    banned = lint["flake8-tidy-imports"]["banned-api"]
    yield from (f"{name} is not banned" for name in BANNED_API if name not in banned)
    if "TID" not in lint["select"] or any(code.startswith("TID") for code in lint["ignore"]):
        yield "TID is not checked"
    for path, codes in lint["per-file-ignores"].items():
        if any(code.startswith("TID") for code in codes) and path not in {*HOMES_OF_CHANCE, "tests/**"}:
            yield f"{path} is no home of clock or chance"


def test_clock_and_chance_are_banned_outside_their_homes() -> None:
    assert list(unguarded(tomllib.loads((ROOT / "pyproject.toml").read_text()))) == []


def test_a_hole_in_the_ban_is_seen() -> None:
    tidy = {"banned-api": dict.fromkeys(BANNED_API[1:], "")}
    lint = {
        "select": ["E"],
        "ignore": [],
        "flake8-tidy-imports": tidy,
        "per-file-ignores": {"keysat/web/app.py": ["TID251"]},
    }
    assert len(list(unguarded({"tool": {"ruff": {"lint": lint}}}))) == 3


BAD: list[tuple[Rule, str, str]] = [
    (imports_go_down, "keysat/kit/money.py", "from keysat.infra.store import Store"),
    (imports_go_down, "keysat/catalog/read.py", "import keysat.licenses.tables"),
    (imports_go_down, "keysat/catalog/read.py", "from keysat import licenses"),
    (imports_go_down, "keysat/payments/tills.py", "from keysat.billing.ledger import book"),
    (imports_go_down, "keysat/subscriptions/rules.py", "from keysat.customers.tables import Customer"),
    (imports_go_down, "keysat/upkeep/shop.py", "from keysat.web.app import app"),
    (imports_go_down, "keysat/web/app.py", "from keysat.jobs.runner import run"),
    (imports_go_down, "keysat/web/app.py", "from keysat.schema import metadata"),
    (imports_go_down, "keysat/daemon.py", "from providers.btcpay import BTCPAY"),
    (imports_go_down, "keysat/odds/ends.py", "from keysat.kit.money import Money"),
    (imports_go_down, "providers/btcpay/till.py", "from keysat.infra.store import Store"),
    (imports_go_down, "providers/btcpay/till.py", "from keysat.payments.tables import Attempt"),
    (imports_go_down, "providers/btcpay/till.py", "from providers.sandbox.wire import Invoice"),
    (imports_go_down, "keysat/web/app.py", "from tests.conftest import NOON"),
    (imports_stand_on_top, "keysat/web/app.py", "from . import auth"),
    (imports_stand_on_top, "keysat/web/app.py", "from __future__ import annotations"),
    (imports_stand_on_top, "tests/web/test_app.py", "import typing\nif typing.TYPE_CHECKING:\n    import keysat"),
    (imports_stand_on_top, "keysat/web/app.py", "async def act():\n    if 1:\n        import json"),
    (imports_stand_on_top, "keysat/infra/migrate.py", "def _run():\n    import json"),
    (imports_stand_on_top, "keysat/infra/migrate.py", "def upgrade():\n    from alembic import command"),
    (only_the_store_commits, "keysat/infra/seals.py", "async def act(work):\n    await work.session.commit()"),
    (only_advance_writes_a_status, "keysat/checkout/read.py", "order.status = S.PAID"),
    (only_advance_writes_a_status, "keysat/checkout/read.py", "a, order.status = 1, S.PAID"),
    (only_advance_writes_a_status, "keysat/checkout/read.py", "setattr(order, 'status', S.PAID)"),
    (only_advance_writes_a_status, "keysat/checkout/read.py", "update(Order).where(x).values(status=S.PAID)"),
    (only_advance_writes_a_status, "keysat/checkout/read.py", "update(Order).values({'status': S.PAID})"),
    (only_advance_writes_a_status, "keysat/checkout/read.py", "update(Order).values({Order.status: S.PAID})"),
    (only_advance_writes_a_status, "keysat/checkout/read.py", "give_back(work, Order, 1, 'x', status=S.PAID)"),
    (only_advance_writes_a_status, "keysat/x/tables.py", "class O(Base):\n  def pay(self):\n    self.status = 1"),
    (files_and_functions_are_short, "keysat/web/app.py", "a = 1\n" * 400),
    (files_and_functions_are_short, "tests/web/test_app.py", "a = 1\n" * 600),
    (files_and_functions_are_short, "keysat/web/app.py", "def act():\n" + "    a = 1\n" * 69),
    (events_have_one_home_and_name_their_fields, "keysat/x/sell.py", "class Sold(Happening, frozen=True): ..."),
    (events_have_one_home_and_name_their_fields, "keysat/x/sell.py", "work.record(Sold(1, 2, 3, 4))"),
    (names_say_something, "keysat/web/text_utils.py", ""),
    (names_say_something, "keysat/helpers/text.py", ""),
    (names_say_something, "keysat/web/app.py", "class LicenseManager: ..."),
    (money_is_never_a_float, "keysat/checkout/quote.py", "price = 4.9"),
    (money_is_never_a_float, "keysat/kit/money.py", "price = float('4')"),
    (nothing_is_left_for_later, "keysat/web/app.py", "a = 1  # TODO: more"),
    (nothing_is_left_for_later, "tests/web/test_app.py", "a: int = ''  # type: ignore"),
    (nothing_is_left_for_later, "tests/web/test_app.py", "from unittest.mock import MagicMock"),
    (nothing_is_left_for_later, "tests/web/test_app.py", "@pytest.mark.xfail\ndef test_a(): ..."),
    (nothing_is_left_for_later, "keysat/web/app.py", "import random  # noqa: TID251"),
    (nothing_is_left_for_later, "keysat/web/app.py", "import random  # noqa"),
    (no_test_is_skipped, "tests/web/test_app.py", "def test_a():\n    pytest.skip('slow')"),
    (no_test_is_skipped, "tests/web/test_app.py", "@pytest.mark.skip(reason='slow')\ndef test_a(): ..."),
    (no_test_is_skipped, "tests/conftest.py", "@pytest.mark.skipif(True, reason='x')\ndef test_a(): ..."),
    (no_test_is_skipped, "tests/conftest.py", "def folder():\n    pytest.skip()"),
    (every_assert_can_fail, "tests/web/test_app.py", "assert a == 1 if b else 2"),
]


@pytest.mark.parametrize(("rule", "path", "text"), BAD)
def test_a_violation_is_seen(rule: Rule, path: str, text: str) -> None:
    assert list(rule(Source(path, text, frozenset({"keysat.licenses"}))))


def test_every_rule_was_seen_to_fail() -> None:
    assert {rule for rule, _, _ in BAD} == set(RULES)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("keysat/checkout/order.py", "from keysat.payments.tills import Tills\nfrom keysat.billing.ledger import book"),
        ("keysat/upkeep/doctor.py", "from keysat.checkout.invariants import broken"),
        ("keysat/web/app.py", "from keysat.upkeep.shop import Shop"),
        ("keysat/schema.py", "from keysat.web import tables"),
        ("keysat/cli/serve.py", "def serve():\n    from keysat.daemon import run"),
        ("keysat/infra/migrate.py", "import keysat"),
        ("keysat/infra/migrate.py", "def _run():\n    from alembic import command"),
        ("keysat/infra/http.py", "class Answer:\n    def __init__(self, status):\n        self.status = status"),
        ("keysat/checkout/order.py", "insert(Order).values(status=S.DRAFT)\nOrder(status=S.DRAFT)"),
        ("keysat/web/limits.py", "seconds = 0.5"),
        ("providers/btcpay/till.py", "from keysat.kit.money import Money\nfrom providers.btcpay.wire import Invoice"),
        ("tests/conftest.py", "def folder():\n    pytest.skip('the folder is not here')"),
    ],
)
def test_what_is_allowed_passes(path: str, text: str) -> None:
    assert [line for rule in RULES for line in rule(Source(path, text))] == []


def test_a_circle_is_seen_through_packages() -> None:
    names = frozenset({"keysat.a", "keysat.a.b", "keysat.a.c"})
    bad = [
        Source("keysat/a/__init__.py", "", names),
        Source("keysat/a/b.py", "from keysat.a import c", names),
        Source("keysat/a/c.py", "from keysat.a.b import act", names),
    ]
    assert cycles(bad) != []
    assert cycles(bad[:2]) == []
