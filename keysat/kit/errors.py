"""The errors a caller can meet: one list of data, and one small exception for each.

`code` is the public contract's `error` field. Any other exception is a bland 500 at the door.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class ErrorCode:
    code: str
    status: int
    """The HTTP status the door answers with."""
    title: str


BAD_REQUEST = ErrorCode("bad_request", 400, "The request cannot be understood")
UNAUTHORIZED = ErrorCode("unauthorized", 401, "Who asks is not known")
TIER_CAP = ErrorCode("tier_cap", 402, "This edition's limit is reached")
FORBIDDEN = ErrorCode("forbidden", 403, "Not allowed")
NOT_FOUND = ErrorCode("not_found", 404, "Not found")
METHOD_NOT_ALLOWED = ErrorCode("method_not_allowed", 405, "This path does not take this method")
CONFLICT = ErrorCode("conflict", 409, "This conflicts with what is there")
REQUEST_IN_FLIGHT = ErrorCode("request_in_flight", 409, "The same request is still being answered")
PRECONDITION_FAILED = ErrorCode("precondition_failed", 412, "It has changed since it was read")
TOO_LARGE = ErrorCode("too_large", 413, "The request is too large")
UNSUPPORTED_MEDIA_TYPE = ErrorCode("unsupported_media_type", 415, "This content type is not taken")
IDEMPOTENCY_MISMATCH = ErrorCode("idempotency_mismatch", 422, "This idempotency key came with another request")
RATE_LIMITED = ErrorCode("rate_limited", 429, "Too many requests")
INTERNAL_ERROR = ErrorCode("internal_error", 500, "Something went wrong here")
UPSTREAM_ERROR = ErrorCode("upstream_error", 502, "A server this one depends on failed")
BTCPAY_NOT_CONFIGURED = ErrorCode("btcpay_not_configured", 503, "No payment provider is connected")
SERVICE_UNAVAILABLE = ErrorCode("service_unavailable", 503, "Not available at the moment")

CODES = (
    BAD_REQUEST,
    UNAUTHORIZED,
    TIER_CAP,
    FORBIDDEN,
    NOT_FOUND,
    METHOD_NOT_ALLOWED,
    CONFLICT,
    REQUEST_IN_FLIGHT,
    PRECONDITION_FAILED,
    TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    IDEMPOTENCY_MISMATCH,
    RATE_LIMITED,
    INTERNAL_ERROR,
    UPSTREAM_ERROR,
    BTCPAY_NOT_CONFIGURED,
    SERVICE_UNAVAILABLE,
)


class KeysatError(Exception):
    """`message` is shown to the caller: it says what is wrong and what to do, and holds no secret.

    `extra` are further fields of the answer, such as `upgrade_url` of a tier cap.
    """

    code: ClassVar[ErrorCode] = INTERNAL_ERROR

    def __init__(self, message: str, *, retry_after_seconds: int | None = None, **extra: str) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after_seconds = retry_after_seconds
        self.extra: Mapping[str, str] = extra


class BadRequest(KeysatError):
    code = BAD_REQUEST


class Unauthorized(KeysatError):
    code = UNAUTHORIZED


class TierCap(KeysatError):
    code = TIER_CAP


class Forbidden(KeysatError):
    code = FORBIDDEN


class NotFound(KeysatError):
    code = NOT_FOUND


class MethodNotAllowed(KeysatError):
    code = METHOD_NOT_ALLOWED


class Conflict(KeysatError):
    code = CONFLICT


class RequestInFlight(KeysatError):
    code = REQUEST_IN_FLIGHT


class PreconditionFailed(KeysatError):
    code = PRECONDITION_FAILED


class TooLarge(KeysatError):
    code = TOO_LARGE


class UnsupportedMediaType(KeysatError):
    code = UNSUPPORTED_MEDIA_TYPE


class IdempotencyMismatch(KeysatError):
    code = IDEMPOTENCY_MISMATCH


class RateLimited(KeysatError):
    code = RATE_LIMITED


class InternalError(KeysatError):
    code = INTERNAL_ERROR


class UpstreamError(KeysatError):
    code = UPSTREAM_ERROR


class BtcpayNotConfigured(KeysatError):
    code = BTCPAY_NOT_CONFIGURED


class Unavailable(KeysatError):
    code = SERVICE_UNAVAILABLE
