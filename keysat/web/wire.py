"""The shapes that go over the wire: bases for bodies, bounded values, and the one way a JSON body is read."""

import json
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any

import msgspec
from litestar import Request
from litestar.datastructures import State
from msgspec import Meta

from keysat.kit.errors import BadRequest, UnsupportedMediaType

INT_MAX = 2**53 - 1  # what every JSON reader can hold exactly (RFC 8259, 6)
NO_NUL = "^[^\\u0000]*$"  # neither database takes it

Count = Annotated[int, Meta(ge=0, le=INT_MAX)]
Integer = Annotated[int, Meta(ge=-INT_MAX, le=INT_MAX)]
Line = Annotated[str, Meta(max_length=255, pattern=NO_NUL)]
"""A name, a slug, a code, a host name."""
Paragraph = Annotated[str, Meta(max_length=10_000, pattern=NO_NUL)]
"""A note, a description."""
Instant = Annotated[datetime, Meta(tz=True)]
"""A moment with its zone (RFC 3339)."""
KeyText = Annotated[str, Meta(max_length=65_536)]
"""A license key as it was typed. What is wrong with it is for `kit/licensekey` to say."""


class Inbound(msgspec.Struct, frozen=True, kw_only=True):
    """A body that SDKs send: unknown fields are ignored, so that newer ones can talk to older shops.

    A subclass says `frozen=True, kw_only=True` again: the latter is not inherited.
    """


class StrictInbound(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A body that operators send: a field that nobody reads is a mistake that should be told."""


class Outbound(msgspec.Struct, frozen=True, kw_only=True):
    """An answer. A field that is left out is `msgspec.UNSET`; None goes out as null. The contract says which."""


class Active(StrictInbound, frozen=True, kw_only=True):
    active: bool


class Done(Outbound, frozen=True, kw_only=True):
    ok: bool = True


class WireRequest(Request[None, None, State]):
    """Reads a JSON body right into the handler's type: strict, so that "1" is no integer, and in one pass.

    Raises UnsupportedMediaType, BadRequest, msgspec.ValidationError, msgspec.DecodeError.
    """

    async def json(self) -> Any:
        if not is_json(self.headers.get("content-type", "")):
            raise UnsupportedMediaType("Send the body as application/json.")
        body = await self.body()
        field = self.route_handler.parsed_data_field
        try:
            decoded = decoder(field.annotation if field is not None else Any).decode(body)
            json.loads(body, object_pairs_hook=_once, parse_int=str, parse_float=str)
        except (UnicodeDecodeError, RecursionError):
            raise BadRequest("The body is not JSON.") from None
        return decoded


@lru_cache(maxsize=512)  # as many as there are types of bodies
def decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def is_json(content_type: str) -> bool:
    """`application/json` and `application/*+json`, with any parameters."""
    essence = content_type.partition(";")[0].strip().lower()
    return essence == "application/json" or (essence.startswith("application/") and essence.endswith("+json"))


def _once(pairs: list[tuple[str, object]]) -> None:
    """Readers differ on which of two equal keys counts, so neither does."""
    names: set[str] = set()
    for name, _ in pairs:
        if name in names:
            raise BadRequest(f"The body has the field {name[:64]!r} twice.")
        names.add(name)
