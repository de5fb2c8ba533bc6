"""The examples of the OpenAPI document: one story in one shop, an operation a step (`examples/`, in name order).

Later steps name what earlier answers told: ids, references, keys. `tests/web/story.py` plays it and finds every answer
as it stands there, up to the names that chance gives; `make openapi` writes the answers anew.
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec
from msgspec import UNSET


class Example(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    path: dict[str, str | int] = {}
    query: dict[str, str | int | bool] = {}
    headers: dict[str, str] = {}
    body: Any = UNSET
    answer: Any = UNSET
    """Of status 200. Written by `make openapi`."""


@cache
def chapters() -> Mapping[str, Mapping[str, Example]]:
    """By file name and operation id, in the order of the story."""
    found = sorted((files("keysat.web") / "examples").iterdir(), key=lambda file: file.name)
    return {file.name: msgspec.json.decode(file.read_bytes(), type=dict[str, Example]) for file in found}


@cache
def examples() -> Mapping[str, Example]:
    """By operation id, in the order of the story."""
    return {name: example for chapter in chapters().values() for name, example in chapter.items()}
