"""`docs/lessons.md` is whole: each recorded defect once, and held by a test that exists or waiting for its step."""

import ast
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
IDS = frozenset([
    *(f"W-{number:02}" for number in (*range(1, 46), *range(50, 58), *range(60, 68))),
    *(f"D-{number}" for number in range(1, 58)),
    "D-3b",
])  # fmt: skip
STEPS = frozenset({"step 2", "step 3", "step 4", "later"})
ROW = re.compile(r"^\|\s*([A-Z]+-\w+)\s*\|(.*)\|\s*$")
TEST = re.compile(r"`([^`]+)`")
WORDS_MIN = 5

Tests = Callable[[str], dict[str, bool]]
"""Path -> its tests by name (`test_x` or `TestY::test_x`), and whether each is parametrised; {} for no file."""


@dataclass(frozen=True, slots=True)
class Row:
    id: str
    instead: str
    tests: list[str]
    waits_for: list[str]


def rows(text: str) -> list[Row]:
    """Cells: id, what Keysat does, tests in backticks, steps with commas. Other tables have other first cells."""
    found: list[Row] = []
    for line in text.splitlines():
        if match := ROW.match(line):
            instead, tests, waits_for = ([cell.strip() for cell in match[2].split("|")] + ["", "", ""])[:3]
            steps = [step.strip() for step in waits_for.split(",") if step.strip()]
            found.append(Row(match[1], instead, TEST.findall(tests), steps))
    return found


def faults(text: str, tests_of: Tests) -> list[str]:
    """One sentence for each thing that is wrong."""
    found = rows(text)
    times = Counter(row.id for row in found)
    lines = [f"{one} is missing" for one in sorted(IDS - times.keys())]
    lines += [f"{one} is no recorded defect" for one in sorted(times.keys() - IDS)]
    lines += [f"{one} stands {count} times" for one, count in sorted(times.items()) if count > 1]
    for row in found:
        if len(row.instead.split()) < WORDS_MIN:
            lines.append(f"{row.id} does not say what Keysat does")
        if not row.tests and not row.waits_for:
            lines.append(f"{row.id} has neither a test nor a step that it waits for")
        lines += [f"{row.id} waits for {step!r}, which is no step" for step in row.waits_for if step not in STEPS]
        lines += [f"{row.id} names {test}, which is no test" for test in row.tests if not is_test(test, tests_of)]
    return lines


def is_test(reference: str, tests_of: Tests) -> bool:
    """`path::test_x`, `path::TestY::test_x`, and `path::test_x[case]` where it has cases."""
    path, _, name = reference.partition("::")
    name, bracket, case = name.partition("[")
    if bracket and not (case.endswith("]") and len(case) > 1):
        return False
    is_parametrised = tests_of(path).get(name)
    return is_parametrised is not None and (is_parametrised or not bracket)


def collected(source: str) -> dict[str, bool]:
    tree = ast.parse(source)
    everywhere = any(_parametrises(node.value) for node in tree.body if isinstance(node, ast.Assign))
    found: dict[str, bool] = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            cases = everywhere or any(map(_parametrises, node.decorator_list))
            found |= {f"{node.name}::{name}": has or cases for name, has in _functions(node.body)}
    return found | {name: has or everywhere for name, has in _functions(tree.body)}


def _functions(body: list[ast.stmt]) -> list[tuple[str, bool]]:
    return [
        (node.name, any(map(_parametrises, node.decorator_list)))
        for node in body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]


def _parametrises(node: ast.expr) -> bool:
    return "parametrize" in ast.unparse(node)


@cache
def in_the_tree(path: str) -> dict[str, bool]:
    file = ROOT / path
    is_ours = re.fullmatch(r"tests/([a-z_]+/)*test_[a-z_]+\.py", path) is not None
    return collected(file.read_text()) if is_ours and file.is_file() else {}


def test_every_lesson_is_held_or_waits_for_its_step() -> None:
    assert len(IDS) == 119
    assert faults((ROOT / "docs" / "lessons.md").read_text(), in_the_tree) == []


# That it can fail

SOURCE = """
import pytest

@pytest.mark.parametrize("n", [1, 2])
def test_cases(n): ...

async def test_plain(): ...

def helper(): ...

class TestGroup:
    def test_inside(self): ...

class Group:
    def test_hidden(self): ...
"""
HELD = "| {id} | It does the right thing instead. | `tests/test_a.py::test_plain` | |"


def a_tree(path: str) -> dict[str, bool]:
    return collected(SOURCE) if path == "tests/test_a.py" else {}


def whole(**changed: str) -> str:
    """A good page, with the rows of some ids replaced."""
    lines = [changed.get(one.replace("-", "_"), HELD.format(id=one)) for one in sorted(IDS)]
    return "\n".join(["| Id | What Keysat does | Held by | Waits for |", "|---|---|---|---|", *lines])


def row_of(instead: str = "It does the right thing instead.", tests: str = "", waits_for: str = "") -> str:
    return whole(W_01=f"| W-01 | {instead} | {tests} | {waits_for} |")


@pytest.mark.parametrize(
    "page",
    [
        whole(),
        row_of(tests="`tests/test_a.py::test_cases[1]`, `tests/test_a.py::test_cases`"),
        row_of(tests="`tests/test_a.py::TestGroup::test_inside`", waits_for="step 3"),
        row_of(waits_for="step 2, step 3"),
    ],
)
def test_a_good_page_passes(page: str) -> None:
    assert faults(page, a_tree) == []


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        (whole(D_3b=""), "D-3b is missing"),
        (whole(W_01=HELD.format(id="W-1")), "W-01 is missing"),
        (whole(W_67=HELD.format(id="W-66")), "W-66 stands 2 times"),
        (whole() + "\n" + HELD.format(id="W-46"), "W-46 is no recorded defect"),
        (whole() + "\n" + HELD.format(id="X-9"), "X-9 is no recorded defect"),
        (row_of(), "W-01 has neither a test nor a step that it waits for"),
        (row_of(tests="a test without ticks"), "W-01 has neither a test nor a step that it waits for"),
        (row_of(waits_for="step 9"), "W-01 waits for 'step 9', which is no step"),
        (row_of(instead="Better.", waits_for="later"), "W-01 does not say what Keysat does"),
        *(
            (row_of(tests=f"`{reference}`"), f"W-01 names {reference}, which is no test")
            for reference in (
                "tests/test_a.py::test_gone",
                "tests/test_b.py::test_plain",
                "tests/test_a.py::helper",
                "tests/test_a.py::test_inside",
                "tests/test_a.py::Group::test_hidden",
                "tests/test_a.py::test_plain[1]",
                "tests/test_a.py::test_cases[",
                "tests/test_a.py",
                "test_plain",
            )
        ),
    ],
)
def test_a_bad_page_is_seen(page: str, fault: str) -> None:
    assert fault in faults(page, a_tree)


def test_only_files_of_tests_are_read() -> None:
    assert in_the_tree("tests/test_lessons.py")["test_a_bad_page_is_seen"]
    for path in ("keysat/checkout/order.py", "tests/law.py", "tests/../tests/test_lessons.py", ""):
        assert in_the_tree(path) == {}
