"""The written rules of `architecture.md` 2 and `style.md`, as functions over source text.

Each rule takes a `Source` (path from the repository's root, text) and yields a line for each violation, so that a small
bad text can prove that the rule still bites. What ruff and basedpyright check is not repeated here.
"""

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import CycleError, TopologicalSorter

FLOORS = (  # from the ground up
    ("kit",),
    ("infra",),
    ("catalog",),
    ("customers",),
    ("licenses",),
    ("subscriptions", "quotas"),
    ("billing", "payments"),
    ("checkout",),
    ("operators", "webhooks"),
    ("upkeep", "letters"),
    ("web", "jobs"),
)
ALLOWED = {  # slice -> the slices it may import; `infra` and `kit` go without saying for those above
    "catalog": set[str](),
    "customers": set[str](),
    "licenses": {"catalog", "customers"},
    "quotas": {"licenses", "catalog"},
    "subscriptions": {"licenses", "catalog"},
    "payments": set[str](),
    "billing": {"catalog", "customers"},
    "checkout": {"billing", "payments", "subscriptions", "quotas", "licenses", "customers", "catalog"},
    "webhooks": set[str](),
    "operators": set[str](),
    "letters": {"checkout", "billing", "subscriptions", "licenses", "customers", "catalog"},
}
EVERYTHING_BELOW = ("upkeep", "web", "jobs")
COMPOSITION = ("schema", "migrations", "daemon", "cli", "demo", "__main__")  # know everything
PROVIDERS_SEE = ("keysat.payments.provider", "keysat.payments.calls", "keysat.infra.http", "keysat.kit")

BANNED_API = (  # ruff refuses them by pyproject.toml, outside these homes
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "datetime.datetime.today",
    "datetime.date.today",
    "time.time",
    "uuid.uuid4",
    "uuid.uuid1",
    "random",
    "secrets",
    "os.urandom",
    "os.environ",
    "os.getenv",
    "unittest.mock",
)
MAY_IMPORT_LATER = {  # function -> what is imported inside it, and why: docs/decisions/0005
    ("keysat/infra/migrate.py", "_run"): ("alembic", "alembic.config"),
}
HOMES_OF_CHANCE = {"keysat/kit/clock.py", "keysat/kit/ids.py", "keysat/infra/settings.py"}

MONEY = ("keysat/kit/money.py", "keysat/catalog/", "keysat/checkout/", "keysat/payments/", "keysat/billing/")
EMPTY_NAMES = re.compile(r"^(utils?|helpers?|managers?|services?)$")
EMPTY_WORDS = re.compile(r"mock\.patch|MagicMock|\bxfail\b|type: ignore|pragma: no cover|\bTODO\b|\bFIXME\b")
BEYOND_LINT = re.compile(r"noqa\b(?!:)|noqa:[^#]*\bTID25\d")
FILE_LINES = 400
TEST_FILE_LINES = 600
FUNCTION_LINES = 70
README_LINES = 80

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    path: str
    text: str
    modules: frozenset[str] = field(default_factory=frozenset)
    """Names of all modules of the tree: `from keysat.catalog import codes` imports a module, not a name."""

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @property
    def module(self) -> str:
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def is_test(self) -> bool:
        return self.path.startswith("tests/")

    def imports(self) -> Iterator[tuple[int, str]]:
        """Line and full name of each imported module, ours and others'."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    yield node.lineno, inner if inner in self.modules else node.module


Rule = Callable[[Source], Iterator[str]]


def slice_of(module: str) -> str:
    """`keysat.infra.store` -> `infra`; empty for the package itself."""
    return ".".join(module.split(".")[1:2])


def may_import(slice_name: str) -> set[str]:
    below: set[str] = set()
    for floor in FLOORS:
        if slice_name in floor:
            own = below if slice_name in EVERYTHING_BELOW else ALLOWED.get(slice_name, set())
            return own | (below & {"kit", "infra"})
        below = below.union(floor)
    raise KeyError(slice_name)


def imports_go_down(source: Source) -> Iterator[str]:
    own_root, own = source.module.partition(".")[0], slice_of(source.module)
    for line, module in source.imports():
        root, target = module.partition(".")[0], slice_of(module)
        if root == "tests" and not source.is_test:
            yield f"{source.path}:{line}: imports the tests"
        if source.is_test or root not in ("keysat", "providers"):
            continue
        if root == "providers" and (own_root != "providers" or (target and target != own)):
            yield f"{source.path}:{line}: a provider is found by its entry point, not imported ({module})"
        elif root == "keysat" and own_root == "providers":
            if not any(module == seen or module.startswith(seen + ".") for seen in PROVIDERS_SEE):
                yield f"{source.path}:{line}: a provider may not import {module}"
        elif root == "keysat" and own and target and own not in COMPOSITION and target != own:
            if own not in {name for floor in FLOORS for name in floor}:
                yield f"{source.path}:{line}: {own} stands on no floor"
            elif target not in may_import(own):
                yield f"{source.path}:{line}: {own} may not import {target}"


def cycles(sources: Iterable[Source]) -> list[str]:
    """The first cycle among the modules, as `a -> b -> a`; empty without one."""
    sources = list(sources)
    graph = {source.module: {name for _, name in source.imports() if name != source.module} for source in sources}
    known = {module: targets & graph.keys() for module, targets in graph.items()}
    try:
        TopologicalSorter(known).prepare()
    except CycleError as error:
        return [" -> ".join(error.args[1])]
    return []


def imports_stand_on_top(source: Source) -> Iterator[str]:
    """Absolute, at the head of the file, no tricks; inside functions in the command line, and what MAY_IMPORT_LATER."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            yield f"{source.path}:{node.lineno}: a relative import"
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            yield f"{source.path}:{node.lineno}: from __future__"
        if (isinstance(node, ast.Name) and node.id == "TYPE_CHECKING") or (
            isinstance(node, ast.Attribute) and node.attr == "TYPE_CHECKING"
        ):
            yield f"{source.path}:{node.lineno}: TYPE_CHECKING"
    if source.is_test or re.match(r"keysat/cli(\.py|/)", source.path):
        return
    for function in _functions(source.tree):
        later = MAY_IMPORT_LATER.get((source.path, function.name), ())
        for node in ast.walk(function):
            if isinstance(node, ast.Import | ast.ImportFrom) and getattr(node, "module", "") not in later:
                yield f"{source.path}:{node.lineno}: an import inside {function.name}()"


def only_the_store_commits(source: Source) -> Iterator[str]:
    if source.path.startswith("keysat/") and source.path != "keysat/infra/store.py":
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Attribute) and node.attr == "commit":
                yield f"{source.path}:{node.lineno}: .commit belongs to infra/store.py"


def only_advance_writes_a_status(source: Source) -> Iterator[str]:
    """Looks for `row.status = ...` and what means the same: setattr, `update(Row).values(status=...)`, `give_back`.

    A value's own `self.status` is free, but not in the class of a table.
    """
    if not source.path.startswith("keysat/") or source.path == "keysat/infra/work.py":
        return
    tables = [node for node in ast.walk(source.tree) if isinstance(node, ast.ClassDef) and _is_table(node)]
    of_tables = {id(inner) for table in tables for inner in ast.walk(table)}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute) and node.attr == "status" and isinstance(node.ctx, ast.Store | ast.Del):
            own = isinstance(node.value, ast.Name) and node.value.id == "self" and id(node) not in of_tables
            if not own:
                yield f"{source.path}:{node.lineno}: a status is written by advance() alone"
        if isinstance(node, ast.Call) and _writes_status(node):
            yield f"{source.path}:{node.lineno}: a status is written by advance() alone"


def _is_table(node: ast.ClassDef) -> bool:
    return any(isinstance(base, ast.Name) and base.id == "Base" for base in node.bases)


def _writes_status(call: ast.Call) -> bool:
    name = _called(call)
    if name in ("setattr", "set_committed_value", "set_attribute"):
        return any(isinstance(one, ast.Constant) and one.value == "status" for one in call.args)
    keys = [key for given in call.args if isinstance(given, ast.Dict) for key in given.keys]
    named = any(keyword.arg == "status" for keyword in call.keywords) or any(
        (isinstance(key, ast.Constant) and key.value == "status")
        or (isinstance(key, ast.Attribute) and key.attr == "status")
        for key in keys
    )
    if name == "values" and isinstance(call.func, ast.Attribute):
        roots = {_called(inner) for inner in ast.walk(call.func.value) if isinstance(inner, ast.Call)}
        return named and "update" in roots
    return name in ("give_back", "on_conflict_do_update") and named


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def files_and_functions_are_short(source: Source) -> Iterator[str]:
    """But for migrations: each is written by a program, once, and is history afterwards."""
    if source.path.startswith("keysat/migrations/versions/"):
        return
    most = TEST_FILE_LINES if source.is_test else FILE_LINES
    if (lines := source.text.count("\n")) >= most:
        yield f"{source.path}: {lines} lines; fewer than {most} are allowed"
    for function in _functions(source.tree):
        if (lines := (function.end_lineno or 0) - function.lineno + 1) >= FUNCTION_LINES:
            yield f"{source.path}:{function.lineno}: {function.name}() has {lines} lines"


def _functions(tree: ast.Module) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def names_say_something(source: Source) -> Iterator[str]:
    words = [word for part in source.path.removesuffix(".py").split("/") for word in part.split("_")]
    if any(EMPTY_NAMES.match(word) for word in words):
        yield f"{source.path}: this name says nothing"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ClassDef) and any(
            EMPTY_NAMES.match(word.lower()) for word in re.findall(r"[A-Z][a-z0-9]*", node.name)
        ):
            yield f"{source.path}:{node.lineno}: the name {node.name} says nothing"


def money_is_never_a_float(source: Source) -> Iterator[str]:
    if not source.path.startswith(MONEY):
        return
    for node in ast.walk(source.tree):
        if (isinstance(node, ast.Constant) and isinstance(node.value, float)) or (
            isinstance(node, ast.Call) and _called(node) == "float"
        ):
            yield f"{source.path}:{node.lineno}: a float where money is reckoned"


def nothing_is_left_for_later(source: Source) -> Iterator[str]:
    for number, line in enumerate(source.text.splitlines(), 1):
        if EMPTY_WORDS.search(line) or BEYOND_LINT.search(line):
            yield f"{source.path}:{number}: {line.strip()}"


def no_test_is_skipped(source: Source) -> Iterator[str]:
    """Only a fixture may skip, for a program or a folder that a stranger's clone lacks, and it says which."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute) and node.attr in ("skipif", "importorskip", "skipTest"):
            yield f"{source.path}:{node.lineno}: {node.attr}"
        marks = isinstance(node, ast.Attribute) and node.attr == "skip" and "pytest" in ast.unparse(node.value)
        if isinstance(node, ast.Attribute) and marks and not source.path.endswith("/conftest.py"):
            yield f"{source.path}:{node.lineno}: only a conftest's fixture may skip"
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.skip" and not node.args:
            yield f"{source.path}:{node.lineno}: a skip without its reason"


def every_assert_can_fail(source: Source) -> Iterator[str]:
    """`assert x == a if c else b` asks nothing of `x` where `c` is false: brackets are forgotten."""
    for node in ast.walk(source.tree):
        choice = node.test if isinstance(node, ast.Assert) else None
        if isinstance(choice, ast.IfExp) and isinstance(choice.orelse, ast.Constant):
            yield f"{source.path}:{choice.lineno}: this assert can hold whatever is so"


def events_have_one_home_and_name_their_fields(source: Source) -> Iterator[str]:
    """A slice's events stand in its `happenings.py`; where they are recorded, more than three fields have names."""
    if not source.path.startswith("keysat/"):
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ClassDef) and any(getattr(base, "id", "").endswith("Happening") for base in node.bases):
            if not source.path.endswith("/happenings.py"):
                yield f"{source.path}:{node.lineno}: an event belongs into happenings.py"
        elif isinstance(node, ast.Call) and _called(node) == "record":
            for event in node.args:
                if isinstance(event, ast.Call) and len(event.args) > 3:
                    yield f"{source.path}:{node.lineno}: {_called(event)} by position; name its fields"


RULES: tuple[Rule, ...] = (
    imports_go_down,
    imports_stand_on_top,
    only_the_store_commits,
    only_advance_writes_a_status,
    files_and_functions_are_short,
    names_say_something,
    money_is_never_a_float,
    nothing_is_left_for_later,
    no_test_is_skipped,
    every_assert_can_fail,
    events_have_one_home_and_name_their_fields,
)
