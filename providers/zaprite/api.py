"""One call to Zaprite's API: the credential goes in, our own errors come out (`payment-rails.md` 3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Generic, TypeVar
from urllib.parse import urlencode

import msgspec

from keysat.infra.http import Answer, HttpClient, HttpError
from keysat.payments.calls import SAID_MAX, decoded, is_undecided, refusal, unanswered
from keysat.payments.provider import Declined, Malformed, OutcomeUnknown, ProviderError
from providers.zaprite import wire

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Said(Generic[T]):
    """What was answered, and when by Zaprite's own clock (RFC 9110, 6.6.1); None where it does not say."""

    what: T
    at: datetime | None


class Api:
    """Raises ProviderErrors only."""

    def __init__(self, http: HttpClient, base_url: str, api_key: str) -> None:
        self._http = http
        self._root = base_url.rstrip("/") + "/v1"
        self._headers = {"Authorization": f"Bearer {api_key}", "Accept": "application/json"}

    async def ask(self, path: str, shape: type[T], query: Sequence[tuple[str, str]] = ()) -> Said[T]:
        """GET below /v1."""
        url = self._root + path + ("?" + urlencode(query) if query else "")
        try:
            answer = await self._http.request("GET", url, headers=self._headers)
        except HttpError as error:
            raise unanswered(error, "Zaprite", makes_something=False) from error
        return _read(answer, shape)

    async def make(self, path: str, body: msgspec.Struct, shape: type[T], *, seconds: float) -> Said[T]:
        """POST what must not be done twice: OutcomeUnknown wherever it may have been done."""
        try:
            answer = await self._http.request(
                "POST", self._root + path, headers=self._headers, json=body, read_seconds=seconds
            )
        except HttpError as error:
            raise unanswered(error, "Zaprite", makes_something=True) from error
        if is_undecided(answer.status):
            raise OutcomeUnknown(f"Zaprite answered {answer.status}", answer.retry_after_seconds())
        try:
            return _read(answer, shape)
        except Malformed as error:
            raise OutcomeUnknown(str(error)) from error


def _read(answer: Answer, shape: type[T]) -> Said[T]:
    if not 200 <= answer.status < 300:
        raise error_of(answer)
    return Said(decoded(answer.body, shape, "Zaprite"), _moment(answer.headers.get("date", "")))


def _moment(date: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(date)
    except (ValueError, TypeError, OverflowError):
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def error_of(answer: Answer) -> ProviderError:
    problem = _problem(answer.body)
    said = "; ".join(text for text in (problem.message, *(issue.message for issue in problem.issues)) if text)
    if answer.status == 402:
        return Declined(f"Zaprite says that the card was declined: {said[:SAID_MAX]}")
    return refusal(answer, "Zaprite", said, problem.code)


def _problem(body: bytes) -> wire.Problem:
    try:
        return msgspec.json.decode(body, type=wire.Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return wire.Problem()
