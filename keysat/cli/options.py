"""Options that many commands share."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import rich_click as click
from click import option

F = TypeVar("F", bound=Callable[..., Any])


class Moment(click.DateTime):
    """In UTC, as the help of each option says."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        return super().convert(value, param, ctx).replace(tzinfo=UTC)


MOMENT = Moment(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S"])


def data_dir(command: F) -> F:
    """`data_dir: Path | None`: the setting or its default when None."""
    return option(
        "--data-dir",
        type=click.Path(file_okay=False, path_type=Path),
        help="Where the shop lives (KEYSAT_DATA_DIR, else ./data).",
    )(command)


def as_json(command: F) -> F:
    return option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def paged(command: F) -> F:
    """`limit: int`, `cursor: str | None`."""
    limit = option("--limit", type=click.IntRange(1, 200), default=50, show_default=True)
    return limit(option("--cursor", help="Go on where the page before ended.")(command))
