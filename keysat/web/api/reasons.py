"""Why an operator does something: bodies that may be left out, and what stands where he gives no reason."""

from dataclasses import dataclass
from typing import Annotated, Any

from litestar.openapi.spec import Operation, RequestBody
from msgspec import Meta

from keysat.web.problems import refusals
from keysat.web.wire import NO_NUL, StrictInbound

REASON_MAX = 500
WORDLESS = "by the operator"

Reason = Annotated[str, Meta(max_length=REASON_MAX, pattern=NO_NUL)]


class Why(StrictInbound, frozen=True, kw_only=True):
    reason: Annotated[Reason, Meta(examples=["Refunded."])] | None = None


@dataclass
class Bodiless(Operation):
    """In the OpenAPI document: the body may be left out, which a default alone does not tell."""

    def __post_init__(self) -> None:
        if isinstance(self.request_body, RequestBody):
            self.request_body.required = False


WITH_REASON: dict[str, Any] = {"status_code": 200, "operation_class": Bodiless, "responses": refusals(404, 409)}
"""What acts have in common whose body is `Why`, or nothing."""


def reason_of(words: str | None) -> str:
    return (words or "").strip() or WORDLESS
