"""What commands print: aligned columns for people, JSON for programs."""

from collections.abc import Mapping, Sequence

import rich_click as click

Row = Mapping[str, object]


def show_list(rows: Sequence[Row], *, as_json: bool, nothing: str, next_cursor: str | None = None) -> None:
    if as_json:
        return print_json({"items": rows, "next_cursor": next_cursor})
    if not rows:
        return click.echo(nothing)
    names = list(rows[0])
    lines = [names, *([_text(row[name]) for name in names] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(names))]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    if next_cursor is not None:
        click.echo(f"More: --cursor {next_cursor}")
    return None


def show_one(row: Row, *, as_json: bool) -> None:
    if as_json:
        return print_json(row)
    width = max(len(name) for name in row)
    for name, value in row.items():
        click.echo(f"{name.ljust(width)}  {_text(value)}")
    return None


def print_json(value: object) -> None:
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(value)).decode())


def _text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "-"  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return f"{value:%Y-%m-%d %H:%M:%S}Z" if hasattr(value, "isoformat") else str(value)
