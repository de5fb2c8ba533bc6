"""The OpenAPI document as a page to read: complete without JavaScript, and nothing in it from elsewhere."""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

from litestar import Litestar, Request, Response, get
from markupsafe import Markup, escape

from keysat.web.html import page
from keysat.web.openapi import PATH, document
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
    return page(request, "reference.html", reference=reference(request.app, shop.settings.public_url), source=PATH)


@lru_cache(maxsize=1)  # a process has one app and one address
def reference(app: Litestar, url: str) -> Reference:
    told = document(app)
    schemas: Mapping[str, Schema] = told["components"]["schemas"]
    doors: dict[str, list[Door]] = {}
    summaries = {operation["operationId"]: operation["summary"] for _, _, operation in _operations(told)}
    for method, path, operation in _operations(told):
        doors.setdefault(operation["tags"][0], []).append(_door(method, path, operation, told, url, summaries))
    return Reference(
        told["info"]["version"],
        prose(told["info"]["description"]),
        [
            Chapter(_anchor(tag["name"]), tag["name"], prose(tag["description"]), doors.get(tag["name"], []))
            for tag in told["tags"]
        ],
        [_shape(name, schema) for name, schema in sorted(schemas.items())],
    )


def _operations(told: Mapping[str, Any]) -> list[tuple[str, str, Schema]]:
    return [
        (method.upper(), path, operation)
        for path, methods in told["paths"].items()
        for method, operation in methods.items()
    ]


def _door(
    method: str, path: str, operation: Schema, told: Mapping[str, Any], url: str, summaries: Mapping[str, str]
) -> Door:
    [answer] = operation["responses"]["200"]["content"].values()
    body = _content(operation)
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
        curl=_curl(method, path, operation, url),
        errors=[
            (status, prose(told["components"]["responses"][_name(error)]["description"]))
            for status, error in operation["responses"].items()
            if status != "200"
        ],
        followers=[(id, summaries[id]) for id in operation["responses"]["200"].get("links", ())],
    )


def _content(operation: Schema) -> Schema | None:
    return operation["requestBody"]["content"]["application/json"] if "requestBody" in operation else None


def _curl(method: str, path: str, operation: Schema, url: str) -> str:
    """A line for a POSIX shell; the operator's key comes from the environment."""
    given = {place: _examples(operation, place) for place in ("path", "query", "header")}
    address = f"{url}{path.format(**given['path'])}"
    if given["query"]:
        address += "?" + urlencode({name: _plain(value) for name, value in given["query"].items()})
    parts = ["curl" if method == "GET" else f"curl -X {method}", shlex.quote(address)]
    if operation.get("security"):
        parts.append('-H "Authorization: Bearer $KEYSAT_ADMIN_API_KEY"')
    parts += [f"-H {shlex.quote(f'{name}: {value}')}" for name, value in given["header"].items()]
    if (body := _content(operation)) is not None:
        parts.append("-H 'Content-Type: application/json'")
        parts.append(f"-d {shlex.quote(_written(body.get('example')))}")
    return " \\\n  ".join(parts)


def _written(value: object) -> str:
    """On one line where it fits."""
    line = json.dumps(value, ensure_ascii=False)
    return line if len(line) <= LINE_MAX else json.dumps(value, indent=2, ensure_ascii=False)


def _examples(operation: Schema, place: str) -> dict[str, Any]:
    found = (parameter for parameter in operation.get("parameters", ()) if parameter["in"] == place)
    return {one["name"]: one["example"] for one in found if one.get("required") or _is_told(one)}


def _is_told(parameter: Schema) -> bool:
    """An optional one that a first look does well with."""
    return parameter["name"] in ("limit", "policy_slug", "product_slug", "force", "name", "BTCPay-Sig")


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
