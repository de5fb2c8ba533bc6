"""BTCPay's own specification as the judge of what goes to the fake and of what comes from it.

The file stays outside of this repository; without it (a stranger's clone) nothing is judged, and `available()` says so.
"""

import json
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, cast

from openapi_core import OpenAPI
from openapi_core.templating.responses.exceptions import ResponseNotFound
from openapi_core.testing import MockRequest, MockResponse
from openapi_schema_validator import OAS30Validator
from werkzeug.datastructures import ImmutableMultiDict

SPECIFICATION = Path(__file__).resolve().parents[3] / "shared" / "data" / "btcpay-2.4.1-merged-fixed.json"

UNDOCUMENTED = frozenset({401, 403, 404, 422, 429, 500})
"""Statuses the server does give where its specification is silent (`payment-rails.md` 1.1)."""

REMEMBERED = 4096


def available() -> bool:
    return SPECIFICATION.exists()


@cache
def _document() -> dict[str, Any]:
    return cast("dict[str, Any]", json.loads(SPECIFICATION.read_text()))


@cache
def _specification() -> OpenAPI:
    return OpenAPI.from_dict(_document())


@cache
def _event_validator(name: str) -> Any:
    components = _document()["components"]
    return OAS30Validator({"components": components, "$ref": f"#/components/schemas/{name}"})


@dataclass(frozen=True)
class Asked:
    """A request as the judge sees it. What is alike is judged once: judging takes 20 ms, and shops ask alike."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def seen(self) -> MockRequest:
        arguments: dict[str, list[str]] = {}
        for name, value in self.query:
            arguments.setdefault(name, []).append(value)
        return MockRequest(
            "http://btcpay.test",
            self.method.lower(),
            self.path,
            args=cast("Any", ImmutableMultiDict(arguments)),
            headers={name.title(): value for name, value in self.headers},
            data=self.body or None,
            content_type=dict(self.headers).get("content-type", "application/json"),
        )


@lru_cache(REMEMBERED)
def faults_of_request(asked: Asked) -> tuple[str, ...]:
    return tuple(_described(error) for error in _specification().iter_request_errors(asked.seen()))


def faults_of_checkout(checkout: dict[str, Any]) -> list[str]:
    """The specification lets unknown names through here, and a server would ignore a misspelt one."""
    known = _document()["components"]["schemas"]["CheckoutOptions"]["properties"]
    return [f"checkout.{name} is not in the specification" for name in checkout if name not in known]


@lru_cache(REMEMBERED)
def faults_of_answer(asked: Asked, status: int, body: bytes) -> tuple[str, ...]:
    if status == 400 and b"generic-error" in body:
        return ()  # one object where the specification says a list (1.1)
    response = MockResponse(body, status_code=status, content_type="application/json")
    errors = list(_specification().iter_response_errors(asked.seen(), response))
    if status in UNDOCUMENTED and any(isinstance(error, ResponseNotFound) for error in errors):
        return ()
    return tuple(_described(error) for error in errors)


def faults_of_event(kind: str, body: dict[str, Any]) -> list[str]:
    own = f"Webhook{kind}Event"
    name = own if own in _document()["components"]["schemas"] else "WebhookInvoiceEvent"
    return [f"{kind}: {error.message}" for error in _event_validator(name).iter_errors(body)]


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
