"""The OpenAPI 3.1 document at /v1/openapi.json: generated from the handlers, with what Litestar cannot know of us.

That is: the example of an operation (`examples.py`), what may follow it (LINKS), and that errors are problems.
`public/reference.py` shows the same document as a page; docs/openapi.json is what it was at last.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.metadata import version
from inspect import cleandoc
from itertools import groupby
from typing import Any, NamedTuple, cast

import msgspec
from litestar import Litestar, MediaType, Request
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme, Tag
from litestar.routes import HTTPRoute
from msgspec import inspect

from keysat.kit.errors import CODES, ErrorCode
from keysat.operators.scopes import Scope
from keysat.web.auth import ADMIN_PATH, SESSION_COOKIE, scope_of
from keysat.web.etag import is_edit, is_tagged
from keysat.web.examples import Example, examples
from keysat.web.problems import MEDIA_TYPE, Problem

PATH = "/v1/openapi.json"
WAYS_IN: Mapping[str, SecurityScheme] = {
    "adminKey": SecurityScheme(
        type="http",
        scheme="bearer",
        description="The admin key, which may do all; or a key `ks_...`, which may do what its role and its scopes "
        "allow, and is never `owner`.",
    ),
    "sessionCookie": SecurityScheme(
        type="apiKey",
        security_scheme_in="cookie",
        name=SESSION_COOKIE,
        description="Of who signed in on /admin: what the role of the account allows. What changes something must "
        "come from a page of the shop itself.",
    ),
}
"""Each opens /v1/admin by itself, to the scope that an operation needs."""
ABOUT = """\
What a Keysat shop answers to apps, to programs that buy, and to its operator. All text is UTF-8 JSON; moments are RFC
3339 in UTC; amounts are whole numbers of the minor unit that stands beside them, or of sats. Unknown fields in answers
are to be ignored: there may be more of them tomorrow. Errors are `application/problem+json` (RFC 9457) with a code in
`error`. Any request may also be answered 500 `internal_error`, or 503 `service_unavailable` while the shop is busy."""

_KEY = {"key": "$response.body#/license_key"}
_SEAT = {**_KEY, "fingerprint": "the-id-of-this-machine"}
_SAME_SEAT = {"key": "$request.body#/key", "fingerprint": "$request.body#/fingerprint"}
_WITH_KEY = {"validateLicense": _KEY, "activateMachine": _SEAT, "refreshLicenseKey": {"license_key": _KEY["key"]}}
_BY_SLUG = {"slug": "$response.body#/products/0/slug"}
_TYPED = {"product": "$request.query.product", "code": "$request.query.code"}
_CHEAPEST = "$response.body#/policies/0/slug"
_BOUGHT = {
    "getPurchase": {"invoice_id": "$response.body#/invoice_id"},
    "recoverLicense": {"invoice_id": "$response.body#/invoice_id", "email": "$request.body#/buyer_email"},
}

LINKS: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "listProducts": {"getProduct": _BY_SLUG, "listTiers": _BY_SLUG},
    "listTiers": {
        "previewCode": {"product": "$request.path.slug", "policy_slug": _CHEAPEST},
        "createPurchase": {"product": "$request.path.slug", "policy_slug": _CHEAPEST},
    },
    "previewCode": {"redeemCode": _TYPED, "createPurchase": _TYPED},
    "createPurchase": {**_BOUGHT, **_WITH_KEY},
    "redeemCode": {**_BOUGHT, **_WITH_KEY},
    "getPurchase": _WITH_KEY,
    "recoverLicense": _WITH_KEY,
    "refreshLicenseKey": _WITH_KEY,
    "activateMachine": {"validateLicense": _SAME_SEAT, "heartbeatMachine": _SAME_SEAT, "deactivateMachine": _SAME_SEAT},
}
"""What may follow what (OpenAPI links): the operation that follows, and where its parameters or its body come from."""

_MOMENT = "2026-01-15T12:00:00Z"
_PARAMETERS: Mapping[str, tuple[str, str | int]] = {
    "limit": ("How many at most.", 20),
    "cursor": ("`next_cursor` of the page before.", "WyIyMDI2LTAxLTE1VDEyOjAwOjAwWiJd"),
    "offer": ("Another price and period of the tier.", "yearly"),
    "customer_id": ("As an order names its buyer.", "5b7e4f0a-3f1d-4c55-9d2e-0a6c9a1f4e77"),
    "license_id": ("The license's id.", "c402200a-20d5-435f-8d2a-5206d48115a8"),
    "policy_id": ("The tier's id.", "019bc186-de00-722c-bbc3-9e50f02c2717"),
    "product_id": ("The product's id.", "5d6cf3a5-9a0a-4f0f-8a43-0e2f4d1c7b11"),
    "product_slug": ("The product's slug.", "aurora"),
    "policy_slug": ("The tier's slug.", "pro"),
    "invoice_id": ("An order, as its buyer knows it.", "q4ctz6b2v7dmq3ws8k5n9xr2hj6f4ygp"),
    "order_id": ("The order's id.", "019bc186-de00-7d2e-9a31-6a1c55b0e201"),
    "connection_id": ("The connection's id.", "8a0f6a0e-51a4-4c9f-a9f7-2b7a1f1d9c33"),
    "merchant_profile_id": ("The profile's id.", "019bc186-de00-7aa1-8f02-5a6b7c8d9e0f"),
    "endpoint_id": ("The endpoint's id.", "019bc186-de00-7f42-b7c1-1d2e3f405162"),
    "provider_invoice_id": ("What the provider calls its invoice.", "CvTjXSYTC6Ws3QAhQMRrMY"),
    "buyer_email": ("The buyer's address, whole.", "ann@example.org"),
    "purpose": ("What the order buys.", "renewal"),
    "kind": ("Of this kind alone.", "btcpay"),
    "subject": ("The id of what it is about.", "019bc186-de00-7d2e-9a31-6a1c55b0e201"),
    "seen_state": ("What the provider showed last.", "settled"),
    "event_type": ("The name of an event.", "license.issued"),
    "after": ("The `position` of the last event that was read; 0 from the first on.", 17),
    "actor": ("Who acted, by kind.", "admin_key"),
    "credential": ("The id of the key or account that acted.", "admin_key"),
    "since": ("From this moment on.", _MOMENT),
    "until": ("Before this moment.", _MOMENT),
    **{
        f"{what}_{side}": (words, _MOMENT)
        for what in ("issued", "expires", "created", "paid", "paid_through")
        for side, words in (("after", "From this moment on."), ("before", "Before this moment."))
    },
}
"""Words, and an example for where the story needs none."""

_NOISE: Sequence[tuple[str, Any]] = (
    ("deprecated", False),
    ("allowEmptyValue", False),
    ("allowReserved", False),
    ("headers", {}),
)
_PROBLEM = {"$ref": f"#/components/schemas/{Problem.__name__}"}
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A repetition with the same key and body gets the first answer again, for 24 hours.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    "example": "2f1c8d3e-order-1",
}

_ETAG = {"description": "Changes with every change of what is shown.", "schema": {"type": "string"}}
_CONDITIONS: Mapping[str, Mapping[str, Any]] = {
    name: {
        "name": name,
        "in": "header",
        "required": False,
        "description": words,
        "schema": {"type": "string"},
        "example": '"3b1f0d6a9c5e47d28e0b6f4a1c9d7e35"',
    }
    for name, words in (
        ("If-Match", "The `ETag` of what was read: if it is another thing by now, nothing is changed."),
        ("If-None-Match", "The `ETag` of what was read: if it is the same still, the answer is 304, without a body."),
    )
}

Operation = dict[str, Any]


class Call(NamedTuple):
    """How an operation is called, and what the document tells of it."""

    method: str
    path: str
    operation: Operation


def operations(document: Mapping[str, Any]) -> dict[str, Call]:
    """All that it has, by their ids."""
    return {
        operation["operationId"]: Call(method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def openapi_config(chapters: list[Tag]) -> OpenAPIConfig:
    return OpenAPIConfig(
        title="Keysat",
        version=version("keysat"),
        description=ABOUT,
        path=PATH,
        render_plugins=[_Document(path="/", media_type=MediaType.JSON)],
        use_handler_docstrings=True,
        tags=chapters,
        security=[{}],
        components=Components(security_schemes=dict(WAYS_IN)),
    )


class _Document(JsonRenderPlugin):
    def has_path(self, path: str) -> bool:
        """Whatever path the framework would add one for, this is it: no pages beside the document."""
        return bool(path)

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return _served(request.app)


@lru_cache(maxsize=1)
def _served(app: Litestar) -> bytes:
    return msgspec.json.encode(document(app))


@lru_cache(maxsize=1)  # a process has one app, and all of its handlers before it answers
def document(app: Litestar) -> dict[str, Any]:
    """As it is served, but for what JSON has no word for."""
    schema, known = app.openapi_schema.to_schema(), examples()
    handlers = {str(handler.operation_id): handler for handler in _handlers(app)}
    calls = operations(schema)
    for name, (method, path, operation) in calls.items():
        operation["summary"] = _words(name)
        opt = handlers[name].opt
        if path.startswith(ADMIN_PATH):
            _tell_scope(operation, scope_of(handlers[name], method))
        if opt.get("creates"):
            _add(operation, _IDEMPOTENCY_KEY, "409", "422")
        if is_tagged(opt):
            _add(operation, _CONDITIONS["If-None-Match"], "304")
        if is_edit(opt):
            _add(operation, _CONDITIONS["If-Match"], "412")
        if is_tagged(opt) or (is_edit(opt) and method != "DELETE"):
            operation["responses"]["200"]["headers"] = {"ETag": _ETAG}
        _tell_errors(operation, path)
        _add_example(operation, known.get(name, Example()))
        if links := LINKS.get(name):
            answer = operation["responses"]["200"]
            answer["links"] = {follower: _link(calls[follower].operation, link) for follower, link in links.items()}
    for name, shape in _shapes(app).items():
        if name in schema["components"]["schemas"] and (words := _docstring(shape)):
            schema["components"]["schemas"][name]["description"] = words
    schema["components"]["responses"] = _problems()
    return _without_noise(schema)


def _handlers(app: Litestar) -> list[HTTPRouteHandler]:
    return [handler for route in app.routes if isinstance(route, HTTPRoute) for handler in route.route_handlers]


def _shapes(app: Litestar) -> dict[str, type]:
    """All that bodies and answers are made of, by name."""
    found: dict[str, type] = {}

    def look(kind: Any) -> None:
        match kind:
            case inspect.StructType() if kind.cls.__name__ not in found:
                found[kind.cls.__name__] = kind.cls
                for field in kind.fields:
                    look(field.type)
            case inspect.UnionType():
                for one in kind.types:
                    look(one)
            case inspect.ListType() | inspect.VarTupleType():
                look(kind.item_type)
            case _:
                pass

    for handler in _handlers(app):
        for field in (handler.parsed_data_field, handler.parsed_return_field):
            for kind in field.inner_types if field and field.is_union else [field]:
                look(inspect.type_info(kind.annotation if kind else None))
    return found


def _docstring(shape: type) -> str | None:
    """Its own, or that of the class whose fields it has more of."""
    named = (one.__dict__.get("__doc__") for one in shape.__mro__ if getattr(one, "__struct_fields__", ()))
    return next((cleandoc(words) for words in named if words), None)


def _words(operation_id: str) -> str:
    """`listAllProducts` -> `List all products`"""
    return re.sub(r"[A-Z]", lambda capital: f" {capital[0].lower()}", operation_id).capitalize()


def _add(operation: Operation, header: Mapping[str, Any], *statuses: str) -> None:
    """A header that it takes, and the answers that come with it."""
    parameters: list[dict[str, Any]] = operation.setdefault("parameters", [])
    if header["name"] not in {parameter["name"] for parameter in parameters}:
        parameters.append({**header})
    for status in statuses:
        operation["responses"].setdefault(status, {"description": "What you have is what there is."})


def _tell_scope(operation: Operation, scope: Scope) -> None:
    """In words, and as OpenAPI 3.1 lists the roles that a way in must come with (Security Requirement Object)."""
    operation["security"] = [{way: [str(scope)]} for way in WAYS_IN]
    operation["description"] += f"\n\nNeeds the scope `{scope}`."


def _tell_errors(operation: Operation, path: str) -> None:
    """Those that its handler declares, and those that come with what it takes and where it stands."""
    answers: dict[str, Any] = operation["responses"]
    if "requestBody" in operation:
        for status in ("400", "413", "415"):
            answers.setdefault(status, {})
    if path.startswith(ADMIN_PATH):
        for status in ("400", "401", "403", "429"):
            answers.setdefault(status, {})
    operation["responses"] = {
        status: {"$ref": f"#/components/responses/{_problem_name(status)}"} if int(status) >= 400 else answers[status]
        for status in sorted(answers)
    }


def _problem_name(status: str | int) -> str:
    return f"{Problem.__name__}{status}"


def _problems() -> dict[str, Any]:
    """An answer for each status of an error: it looks the same wherever it is given."""
    return {_problem_name(status): _problem([*codes]) for status, codes in groupby(CODES, lambda code: code.status)}


def _problem(codes: Sequence[ErrorCode]) -> dict[str, Any]:
    code = codes[0]
    example = Problem(
        error=code.code,
        message=f"{code.title}.",
        type=f"urn:keysat:error:{code.code}",
        title=code.title,
        status=code.status,
        detail=f"{code.title}.",
        request_id="c6ylnyxjdnvlfvvc",
    )
    return {
        "description": " / ".join(f"{code.title}: `{code.code}`" for code in codes),
        "content": {MEDIA_TYPE: {"schema": _PROBLEM, "example": msgspec.to_builtins(example)}},
    }


def _add_example(operation: Operation, example: Example) -> None:
    given = {**example.path, **example.query, **example.headers}
    for parameter in operation.get("parameters", ()):
        name = parameter["name"]
        words, usual = _PARAMETERS.get(name, (None, None))
        if words and not parameter.get("description"):
            parameter["description"] = words
        if name in given or usual:
            parameter["example"] = given.get(name, usual)
            parameter.pop("examples", None)  # the two exclude each other (OpenAPI 3.1, Parameter Object)
    if example.body is not msgspec.UNSET:
        [content] = operation["requestBody"]["content"].values()
        content["example"] = example.body
    if example.answer is not msgspec.UNSET:
        [content] = operation["responses"]["200"]["content"].values()
        content["example"] = example.answer


def _without_noise(value: Any) -> Any:
    """Without what goes without saying."""
    match value:
        case dict():
            found = cast("dict[str, Any]", value)
            return {name: _without_noise(inner) for name, inner in found.items() if (name, inner) not in _NOISE}
        case list():
            return [_without_noise(inner) for inner in cast("list[Any]", value)]
        case _:
            return value


def _link(follower: Operation, given: Mapping[str, str]) -> dict[str, Any]:
    where = "requestBody" if "requestBody" in follower else "parameters"
    return {"operationId": follower["operationId"], where: dict(given)}
