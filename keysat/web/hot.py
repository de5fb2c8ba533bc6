"""The hot roads: what apps ask most, answered in front of Litestar, which costs more than the answer itself.

A road shares its body type, its function and its errors with the handler that Litestar has for the same address, and
takes the plain good request only. Whatever is odd about one, Litestar answers, as if nobody had looked at it before.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec
from litestar import Litestar
from litestar.types import ASGIApp, HTTPScope, Receive, Send

from keysat.web.problems import refuse
from keysat.web.visit import Visit, visit_of
from keysat.web.wire import decoder, is_json

LENGTH_DIGITS = 4  # of the body's length: a longer body is not plain

_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class HotRoad:
    body: type[msgspec.Struct]
    act: Callable[[Any, Visit], Awaitable[msgspec.Struct]]
    """The handler's own function, which takes the body and the visit."""


def with_hot_roads(app: Litestar, roads: Mapping[str, HotRoad]) -> ASGIApp:
    """`app`, but for HTTP requests that have been entered (`visit.enter`)."""

    async def ask(scope: HTTPScope, receive: Receive, send: Send) -> None:
        road = roads.get(scope["path"])
        if road is None or not _is_plain(scope):
            await app(scope, receive, send)
            return
        parts: list[Any] = [await receive()]
        while parts[-1].get("more_body"):
            parts.append(await receive())
        data = _read(road.body, parts)
        if data is None:
            await app(scope, _again(parts, receive), send)
            return
        try:
            answer = await road.act(data, visit_of(scope))
        except Exception as error:  # as Litestar's handlers of exceptions, which are the same function
            cast("dict[str, Any]", scope)["path_template"] = scope["path"]
            await refuse(app, scope, receive, send, error)
            return
        body = _encoder.encode(answer)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    return cast("ASGIApp", ask)


def _is_plain(scope: HTTPScope) -> bool:
    """A POST of JSON that says how short it is and no header twice, at an address without a prefix."""
    headers = list(scope["headers"])
    said = dict(headers)
    length = said.get(b"content-length", b"")
    return (
        scope["method"] == "POST"
        and not scope["root_path"]
        and len(said) == len(headers)
        and length.isdigit()
        and len(length) <= LENGTH_DIGITS
        and is_json(said.get(b"content-type", b"").decode("latin-1"))
    )


def _read(kind: type[msgspec.Struct], parts: Sequence[Mapping[str, Any]]) -> msgspec.Struct | None:
    body = b"".join(part.get("body", b"") for part in parts)
    try:
        return decoder(kind).decode(body) if _has_no_field_twice(body) else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _has_no_field_twice(body: bytes) -> bool:
    """As many quotes as the fields that are left of it need: a doubled one has more. So has what is nested or escaped.

    False: perhaps. In a tenth of the time that it takes to look at each pair.
    """
    fields = decoder(dict[str, Any]).decode(body)
    return body.count(b'"') == 2 * (len(fields) + sum(type(value) is str for value in fields.values()))


def _again(parts: Iterable[Any], receive: Receive) -> Receive:
    """What was received is handed out once more."""
    waiting = iter(parts)

    async def handed_out() -> Any:
        for part in waiting:
            return part
        return await receive()

    return handed_out
