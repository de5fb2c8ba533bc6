"""One call to Zaprite's API: the credential goes in, our own errors come out (`payment-rails.md` 3)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Generic, TypeVar
from urllib.parse import urlencode

import msgspec

from keysat.infra.http import Answer, HttpClient, HttpError
from keysat.payments.provider import (
    CredentialGone,
    Declined,
    Malformed,
    NoSuchId,
    OutcomeUnknown,
    PermissionMissing,
    ProviderError,
    Rejected,
    Transient,
    unanswered,
)
from providers.zaprite import wire

T = TypeVar("T")

MESSAGE_MAX = 500

ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
"""What an id of Zaprite's or of ours may be."""


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
        if answer.status == 408 or answer.status >= 500:
            raise OutcomeUnknown(f"Zaprite answered {answer.status}", answer.retry_after_seconds())
        try:
            return _read(answer, shape)
        except Malformed as error:
            raise OutcomeUnknown(str(error)) from error


def segment(name: str) -> str:
    """An id as part of a path. One that neither Zaprite nor we can have given is not found, without asking."""
    if ID.fullmatch(name) is None:
        raise NoSuchId("Zaprite has no such id")
    return name


def decoded(body: bytes | msgspec.Raw, shape: type[T]) -> T:
    """Raises Malformed."""
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"Zaprite's answer does not fit its contract: {error}") from error


def _read(answer: Answer, shape: type[T]) -> Said[T]:
    if not 200 <= answer.status < 300:
        raise error_of(answer)
    return Said(decoded(answer.body, shape), _moment(answer.headers.get("date", "")))


def _moment(date: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(date)
    except (ValueError, TypeError, OverflowError):
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def error_of(answer: Answer) -> ProviderError:
    """By what the caller may do next; the text is for the operator."""
    status, problem = answer.status, _problem(answer.body)
    said = "; ".join(text for text in (problem.message, *(issue.message for issue in problem.issues)) if text)
    said = said[:MESSAGE_MAX]
    if status in (408, 429) or status >= 500:
        return Transient(f"Zaprite answered {status} {said}".rstrip(), answer.retry_after_seconds())
    if status == 401:
        return CredentialGone("Zaprite does not know this API key (any more)")
    if status == 402:
        return Declined(f"Zaprite says that the card was declined: {said}")
    if status == 403:
        return PermissionMissing(f"Zaprite forbids this: {said or problem.code}")
    if status == 404 and problem.code:
        return NoSuchId(said or problem.code)
    if status in (400, 409, 422):
        return Rejected(f"Zaprite refuses this: {said or problem.code or status}")
    # A page of a proxy says nothing about what Zaprite knows.
    return Malformed(f"Zaprite's API does not answer so ({status}): is this its address?")


def _problem(body: bytes) -> wire.Problem:
    try:
        return msgspec.json.decode(body, type=wire.Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return wire.Problem()
