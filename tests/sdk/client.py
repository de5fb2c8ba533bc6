"""What the three SDKs have in common: they send JSON, and read the answer into a declared shape."""

import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, ClassVar, TypeVar, get_args, get_type_hints

import httpx
import msgspec

Shape = TypeVar("Shape", bound=msgspec.Struct)
Between = Callable[[], Awaitable[object]]
"""What happens while a client sleeps between two polls."""
POLLS_MAX = 10


class ServerError(Exception):
    """A status that the SDK takes for a failure. Its text is the answer's body, which no SDK parses."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status
        self.text = text


class PublicKey(msgspec.Struct):
    public_key_pem: str


class Client:
    """An answer that breaks the SDK's declared types raises msgspec.ValidationError; `heard` keeps all answers."""

    text_max: ClassVar[int | None] = None
    """How much of a failure's body the exception keeps."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http
        self.heard: list[tuple[type[msgspec.Struct], Any]] = []

    def is_success(self, status: int) -> bool:
        raise NotImplementedError

    async def ask(self, shape: type[Shape], method: str, path: str, body: dict[str, str] | None = None) -> Shape:
        headers = {"Accept": "*/*"} | ({"Content-Type": "application/json"} if body is not None else {})
        content = json.dumps(body) if body is not None else None
        answer = await self.http.request(method, path, content=content, headers=headers, follow_redirects=False)
        if not self.is_success(answer.status_code):
            raise ServerError(answer.status_code, answer.text[: self.text_max])
        said = answer.json()
        self.heard.append((shape, said))
        return msgspec.convert(said, shape)

    async def public_key(self) -> str:
        return (await self.ask(PublicKey, "GET", "/v1/pubkey")).public_key_pem


def given(**fields: str | None) -> dict[str, str]:
    """A body without the fields that are None."""
    return {name: value for name, value in fields.items() if value is not None}


Path = tuple[str | int, ...]


def required(shape: type[msgspec.Struct], said: dict[str, Any]) -> Iterator[Path]:
    """Where the fields stand in this answer that the shape cannot do without."""
    hints = get_type_hints(shape)
    for field in msgspec.structs.fields(shape):
        if field.required:
            yield (field.encode_name,)
        inner = _struct_in(hints[field.name])
        value = said.get(field.encode_name)
        if inner is None or value is None:
            continue
        if isinstance(value, list):
            for number, item in enumerate(value):
                yield from ((field.encode_name, number, *path) for path in required(inner, item))
        else:
            yield from ((field.encode_name, *path) for path in required(inner, value))


def without(said: dict[str, Any], path: Path) -> Any:
    """A copy that lacks this field. KeyError: it was not there."""
    copy = json.loads(json.dumps(said))
    place = copy
    for step in path[:-1]:
        place = place[step]
    del place[path[-1]]
    return copy


def _struct_in(kind: Any) -> type[msgspec.Struct] | None:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind
    return next((found for part in get_args(kind) if (found := _struct_in(part)) is not None), None)
