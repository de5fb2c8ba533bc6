"""Forms that edit what stands there: of two operators with the same one open, the second is told of the first.

Such a form brings back the ETag of what it was filled in with: of its own fields alone, since what else the page shows
(a count, how deliveries go) may move while somebody types. A button brings back that of what it is pressed for.
"""

from collections.abc import Mapping
from typing import TypeVar

import msgspec
from litestar.serialization import encode_json

from keysat.kit.errors import KeysatError, PreconditionFailed
from keysat.web.etag import tag_of
from keysat.web.wire import Line

MEANWHILE = (
    "Somebody else has saved this while you had it open, so your changes are not saved yet. Below each field that "
    "differs is what was saved. Save again to replace it with yours."
)

CHANGED = (
    "Somebody else has changed this while you had it open, so nothing was done. Look at how it is now, and do it again "
    "if it is still what you want."
)


class EditForm(msgspec.Struct, frozen=True, kw_only=True):
    etag: Line = ""
    """Without one, whatever stands there is written over."""

    def plain(self, name: str) -> str:
        """A field as it is compared."""
        return str(getattr(self, name)).strip()


F = TypeVar("F", bound=EditForm)


def filled_in(now: F) -> F:
    """With the tag of what it says."""
    return msgspec.structs.replace(now, etag=tag_for(*_fields(now).items()))


def expect_unchanged(typed: F, now: F) -> None:
    """`now` as it is in the transaction that edits. Raises PreconditionFailed, unless it says what is typed already.

    That is so after a double click.
    """
    if typed.etag and typed.etag != now.etag and _fields(typed) != _fields(now):
        raise PreconditionFailed(MEANWHILE)


def tag_for(*facts: object) -> str:
    """What a button carries: of what it is pressed for."""
    return tag_of(encode_json(facts)).strip('"')


def expect_seen(pressed: EditForm, *facts: object) -> None:
    """As they are in the transaction that acts. Raises PreconditionFailed."""
    if pressed.etag and pressed.etag != tag_for(*facts):
        raise PreconditionFailed(CHANGED)


def shown_again(typed: F | None, now: F, trouble: KeysatError | None) -> tuple[F, Mapping[str, str]]:
    """What stands in the form, and by field what was saved meanwhile, where it is something else."""
    if typed is None or not isinstance(trouble, PreconditionFailed):
        return typed or now, {}
    others = {name: str(getattr(now, name)) for name, text in _fields(now).items() if text != typed.plain(name)}
    return msgspec.structs.replace(typed, etag=now.etag), others


def _fields(form: EditForm) -> Mapping[str, str]:
    return {name: form.plain(name) for name in form.__struct_fields__ if name != "etag"}
