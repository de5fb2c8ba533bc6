"""The OpenAPI document as a page to read: complete without JavaScript, and nothing in it from elsewhere."""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

import msgspec
from litestar import Litestar, Request, Response, get
from markupsafe import Markup, escape

from keysat.infra.house import Mode
from keysat.infra.setting_values import Contact
from keysat.web.examples import Example, examples
from keysat.web.html import text_for_all
from keysat.web.openapi import PATH, Call, document, operations
from keysat.web.provide import WithShop

Schema = Mapping[str, Any]

LINE_MAX = 72
_BOUNDS = (
    ("maxLength", "at most {} characters"),
    ("minimum", "at least {:g}"),
    ("maximum", "at most {:g}"),
    ("exclusiveMinimum", "more than {:g}"),
    ("exclusiveMaximum", "less than {:g}"),
    ("maxItems", "at most {} of them"),
)


@dataclass(frozen=True, slots=True)
class Field:
    """`kind`: `text`, `list of Tier or null`. `where`: path, query or header; empty in a body."""

    name: str
    kind: Markup
    bounds: Markup
    required: bool
    words: Markup
    where: str = ""


@dataclass(frozen=True, slots=True)
class Shape:
    name: str
    words: Markup
    fields: Sequence[Field]
    """None for a list of words, which `kind` tells then."""
    kind: Markup


@dataclass(frozen=True, slots=True)
class Door:
    """One operation."""

    id: str
    method: str
    path: str
    summary: str
    words: Markup
    parameters: Sequence[Field]
    body: Shape | None
    answer: Markup
    answer_words: Markup
    example: str
    curl: str
    errors: Sequence[tuple[str, Markup]]
    followers: Sequence[tuple[str, str]]
    """Operations that what this one answers is good for."""


@dataclass(frozen=True, slots=True)
class Chapter:
    anchor: str
    name: str
    words: Markup
    doors: Sequence[Door]


@dataclass(frozen=True, slots=True)
class Reference:
    version: str
    words: Markup
    chapters: Sequence[Chapter]
    shapes: Sequence[Shape]


@get("/v1/docs", include_in_schema=False)
async def docs(request: Request[Any, Any, Any], shop: WithShop) -> Response[str]:
    told = shop.settings
    text = _written_out(request.app, told.public_url, told.operator_contact, shop.mode, shop.operator_name)
    return Response(text, media_type="text/html")


@lru_cache(maxsize=1)  # a process has one app and one shop, and the page takes 35 ms
def _written_out(app: Litestar, url: str, contact: Contact | None, mode: Mode, named: str | None) -> str:
    told = reference(document(app), url)
    return text_for_all(contact, mode, named, "reference.html", reference=told, source=PATH)


def reference(told: Mapping[str, Any], url: str) -> Reference:
    schemas: Mapping[str, Schema] = told["components"]["schemas"]
    doors: dict[str, list[Door]] = {}
    calls = operations(told)
    summaries = {id: call.operation["summary"] for id, call in calls.items()}
    for call in calls.values():
        doors.setdefault(call.operation["tags"][0], []).append(_door(call, told, url, summaries))
    return Reference(
        told["info"]["version"],
        prose(told["info"]["description"]),
        [
            Chapter(_anchor(tag["name"]), tag["name"], prose(tag["description"]), doors.get(tag["name"], []))
            for tag in told["tags"]
        ],
        [_shape(name, schema) for name, schema in sorted(schemas.items())],
    )


def _door(call: Call, told: Mapping[str, Any], url: str, summaries: Mapping[str, str]) -> Door:
    method, path, operation = call
    [answer] = operation["responses"]["200"]["content"].values()
    body = operation["requestBody"]["content"]["application/json"] if "requestBody" in operation else None
    return Door(
        id=operation["operationId"],
        method=method,
        path=path,
        summary=operation["summary"],
        words=prose(operation["description"]),
        parameters=[
            _field(one["name"], one, one["schema"], bool(one.get("required")), one["in"])
            for one in operation.get("parameters", ())
        ],
        body=_body(body["schema"], told["components"]["schemas"]) if body else None,
        answer=kind(answer["schema"]),
        answer_words=prose(_resolved(answer["schema"], told["components"]["schemas"]).get("description", "")),
        example=_written(answer.get("example")),
        curl=_curl(call, examples()[operation["operationId"]], url),
        errors=[
            (status, prose(told["components"]["responses"][_name(error)]["description"]))
            for status, error in operation["responses"].items()
            if int(status) >= 400
        ],
        followers=[(id, summaries[id]) for id in operation["responses"]["200"].get("links", ())],
    )


def _curl(call: Call, step: Example, url: str) -> str:
    """A line for a POSIX shell that asks as the story does; the operator's key comes from the environment."""
    address = f"{url}{call.path.format(**step.path)}"
    if step.query:
        address += "?" + urlencode({name: _plain(value) for name, value in step.query.items()})
    parts = ["curl" if call.method == "GET" else f"curl -X {call.method}", shlex.quote(address)]
    if call.operation.get("security"):
        parts.append('-H "Authorization: Bearer $KEYSAT_ADMIN_API_KEY"')
    parts += [f"-H {shlex.quote(f'{name}: {value}')}" for name, value in step.headers.items()]
    if step.body is not msgspec.UNSET:
        parts.append("-H 'Content-Type: application/json'")
        parts.append(f"-d {shlex.quote(_written(step.body))}")
    return " \\\n  ".join(parts)


def _written(value: object) -> str:
    """On one line where it fits."""
    line = json.dumps(value, ensure_ascii=False)
    return line if len(line) <= LINE_MAX else json.dumps(value, indent=2, ensure_ascii=False)


def _plain(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else value


def _field(name: str, told: Schema, schema: Schema, required: bool, where: str = "") -> Field:
    return Field(name, kind(schema), prose(_bounds(schema)), required, prose(told.get("description", "")), where)


def _body(schema: Schema, schemas: Mapping[str, Schema]) -> Shape:
    return _shape(_name(schema), _resolved(schema, schemas))


def _resolved(schema: Schema, schemas: Mapping[str, Schema]) -> Schema:
    """One that may be left out is the first of two."""
    first = schema.get("oneOf", [schema])[0]
    return schemas[_name(first)] if "$ref" in first else first


def _shape(name: str, schema: Schema) -> Shape:
    required = schema.get("required", ())
    properties = schema.get("properties", {}).items()
    fields = [_field(field, inner, inner, field in required) for field, inner in properties]
    return Shape(name, prose(schema.get("description", "")), fields, Markup("") if fields else kind(schema))


def _name(schema: Schema) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]


def kind(schema: Schema) -> Markup:
    """What a value is, in words, with links to shapes."""
    match schema:
        case {"$ref": _}:
            name = _name(schema)
            return Markup('<a href="#shape-{0}">{0}</a>').format(name)
        case {"oneOf": many} | {"anyOf": many}:
            return Markup(" or ").join(kind(one) for one in many)
        case {"enum": words}:
            return Markup(" ").join(Markup("<code>{}</code>").format(word) for word in words)
        case {"const": word}:
            return Markup("<code>{}</code>").format(word)
        case {"type": "array"}:
            return Markup("list of ") + kind(schema.get("items", {}))
        case {"type": "object", "additionalProperties": inner} if inner:
            return Markup("map of ") + kind(inner)
        case {"format": "uuid"}:
            return Markup("UUID")
        case {"format": "date-time"}:
            return Markup("moment")
        case {"type": str() as type}:
            return escape({"string": "text", "integer": "whole number", "object": "object"}.get(type, type))
        case _:
            return Markup("anything")


def _bounds(schema: Schema) -> str:
    told = [words.format(schema[name]) for name, words in _BOUNDS if name in schema]
    if "default" in schema and schema["default"] not in (None, [], ()):
        told.append(f"else `{json.dumps(schema['default'])}`")
    return ", ".join(told)


def prose(text: str) -> Markup:
    """Paragraphs are blank lines apart; what stands in backticks is code."""
    return Markup("<br>").join(_with_code(part) for part in text.split("\n\n"))


def _with_code(text: str) -> Markup:
    parts = (
        Markup("<code>{}</code>").format(part) if at % 2 else escape(part) for at, part in enumerate(text.split("`"))
    )
    return Markup("").join(parts)


def _anchor(name: str) -> str:
    return re.sub(r"[^a-z]+", "-", name.lower())


ROUTES = (docs,)
