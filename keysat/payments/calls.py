"""One call to a provider's API: what goes into it, and what its answer comes to. For the providers to share."""

import re
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from keysat.infra.http import Answer, HttpError, NetworkError
from keysat.payments.provider import (
    CredentialGone,
    Malformed,
    NoSuchId,
    OutcomeUnknown,
    PermissionMissing,
    ProviderError,
    Rejected,
    Transient,
)

T = TypeVar("T")

SAID_MAX = 500  # characters of a provider's own words
ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
"""What an id of a provider's or of ours may be."""


def unanswered(error: HttpError, who: str, *, makes_something: bool) -> ProviderError:
    """What a request comes to that has no usable answer: was it one that must not be carried out twice?"""
    if isinstance(error, NetworkError) and not (makes_something and error.outcome_unknown):
        return Transient(f"{who} cannot be reached: {error}")
    if makes_something:
        return OutcomeUnknown(f"{who} may have done it, and the answer is lost: {error}")
    return Malformed(f"the answer of {who} cannot be read: {error}")


def is_undecided(status: int) -> bool:
    """Whether what was asked for may have been done all the same: a server or a proxy gave up waiting, or broke."""
    return status == 408 or status >= 500


def refusal(answer: Answer, who: str, said: str, code: str, missing: str | None = None) -> ProviderError:
    """By what the caller may do next; the text is for the operator.

    `said` and `code` as the API names its problem, `missing` the permission that was lacking.
    """
    status, said = answer.status, said[:SAID_MAX]
    if status == 429 or is_undecided(status):
        return Transient(f"{who} answered {status} {said}".rstrip(), answer.retry_after_seconds())
    if status == 401:
        return CredentialGone(f"{who} does not know this API key (any more)")
    if status == 403:
        return PermissionMissing(f"{who} forbids this: {said or code}", missing)
    if status == 404 and code:
        return NoSuchId(said or code)
    if status in (400, 409, 422):
        return Rejected(f"{who} refuses this: {said or code or status}")
    # A page of a proxy says nothing about what the provider knows.
    return Malformed(f"{who}'s API does not answer so ({status}): is this its address?")


def decoded(body: bytes | msgspec.Raw, shape: type[T], who: str) -> T:
    """Raises Malformed."""
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"the answer of {who} does not fit its contract: {error}") from error


def segment(name: str) -> str:
    """An id as part of a path. One that cannot have been given is not found, without asking: raises NoSuchId."""
    if ID.fullmatch(name) is None:
        raise NoSuchId("no such id is ever given")
    return name


def is_base_url(text: str) -> bool:
    """Whether paths can be put behind it: http(s) and a host, without user, query and fragment."""
    try:
        found = urlsplit(text)
        is_web = found.scheme in ("http", "https") and bool(found.hostname) and found.port != 0
    except ValueError:
        return False
    is_bare = not (found.query or found.fragment or "@" in found.netloc)
    return is_web and is_bare and text.isascii() and text.isprintable()


def is_key(text: str, length_max: int) -> bool:
    """Whether it can stand in a header."""
    return 0 < len(text) <= length_max and text.isascii() and text.isprintable() and " " not in text
