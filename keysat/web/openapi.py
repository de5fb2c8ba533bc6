"""The OpenAPI 3.1 document at /v1/openapi.json, generated from the handlers. No page shows it: those come from CDNs."""

from importlib.metadata import version
from typing import Any

import msgspec
from litestar import MediaType, Request
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.routes import HTTPRoute

from keysat.web.problems import MEDIA_TYPE, Problem

PATH = "/v1/openapi.json"
ADMIN_KEY_SCHEME = "adminKey"

_PROBLEM = {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}}
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A repetition with the same key and body gets the first answer again, for 24 hours.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}


def openapi_config() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="Keysat",
        version=version("keysat"),
        path=PATH,
        render_plugins=[_Document(path="/", media_type=MediaType.JSON)],
        use_handler_docstrings=True,
        security=[{}],
        components=Components(security_schemes={ADMIN_KEY_SCHEME: SecurityScheme(type="http", scheme="bearer")}),
    )


class _Document(JsonRenderPlugin):
    def has_path(self, path: str) -> bool:
        """Whatever path the framework would add one for, this is it: no pages beside the document."""
        return bool(path)

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """What the framework does not know: errors are problems, and some requests may be repeated safely."""
        creating = _creating_operations(request)
        for methods in openapi_schema["paths"].values():
            for operation in methods.values():
                if operation["operationId"] in creating:
                    _add_idempotency(operation)
                for status, answer in operation["responses"].items():
                    if int(status) >= 400:
                        answer["content"] = _PROBLEM
        return msgspec.json.encode(openapi_schema)


def _creating_operations(request: Request[Any, Any, Any]) -> set[str]:
    handlers = [
        handler for route in request.app.routes if isinstance(route, HTTPRoute) for handler in route.route_handlers
    ]
    return {str(handler.operation_id) for handler in handlers if handler.opt.get("creates")}


def _add_idempotency(operation: dict[str, Any]) -> None:
    parameters: list[dict[str, Any]] = operation.setdefault("parameters", [])
    if _IDEMPOTENCY_KEY not in parameters:
        parameters.append(_IDEMPOTENCY_KEY)
    for status, words in (
        ("409", "It is still being answered, or in conflict"),
        ("422", "The key came with another body"),
    ):
        operation["responses"].setdefault(status, {"description": words})
