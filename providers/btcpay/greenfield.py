"""One call to BTCPay's Greenfield API: the credential goes in, our own errors come out (`payment-rails.md` 1.1)."""

from typing import TypeVar
from urllib.parse import urlencode

import msgspec

from keysat.infra.http import Answer, HttpClient, HttpError
from keysat.payments.calls import decoded, is_undecided, refusal, unanswered
from keysat.payments.provider import Malformed, OutcomeUnknown, ProviderError
from providers.btcpay import wire

T = TypeVar("T")


class Greenfield:
    """Raises ProviderErrors only."""

    def __init__(self, http: HttpClient, base_url: str, api_key: str) -> None:
        self._http = http
        self._root = base_url.rstrip("/") + "/api/v1"
        self._headers = {"Authorization": f"token {api_key}", "Accept": "application/json"}

    async def ask(
        self, path: str, shape: type[T], query: list[tuple[str, str]] | None = None, *, seconds: float | None = None
    ) -> T:
        """GET. `path` is below /api/v1; `seconds` limits the wait for the answer."""
        return self._read(await self._call("GET", path + _query(query), None, seconds), shape)

    async def tell(self, method: str, path: str, body: object, shape: type[T]) -> T:
        """What may be sent twice without harm."""
        return self._read(await self._call(method, path, body, None), shape)

    async def remove(self, path: str) -> None:
        self._check(await self._call("DELETE", path, None, None))

    async def create(self, path: str, body: object, shape: type[T], *, seconds: float) -> T:
        """POST what must not be made twice: OutcomeUnknown wherever it may have been made."""
        try:
            answer = await self._http.request(
                "POST", self._root + path, headers=self._headers, json=body, read_seconds=seconds
            )
        except HttpError as error:
            raise unanswered(error, "BTCPay", makes_something=True) from error
        if is_undecided(answer.status):
            raise OutcomeUnknown(f"BTCPay answered {answer.status}", answer.retry_after_seconds())
        try:
            return self._read(answer, shape)
        except Malformed as error:
            raise OutcomeUnknown(str(error)) from error

    async def _call(self, method: str, path: str, body: object, seconds: float | None) -> Answer:
        try:
            return await self._http.request(
                method,
                self._root + path,
                headers=self._headers,
                json=body,
                read_seconds=seconds,
            )
        except HttpError as error:
            raise unanswered(error, "BTCPay", makes_something=False) from error

    def _read(self, answer: Answer, shape: type[T]) -> T:
        self._check(answer)
        return decoded(answer.body, shape, "BTCPay")

    def _check(self, answer: Answer) -> None:
        if not 200 <= answer.status < 300:
            raise error_of(answer)


def error_of(answer: Answer) -> ProviderError:
    problem = _problem(answer.body)
    return refusal(answer, "BTCPay", problem.message, problem.code, problem.missing_permission)


def _problem(body: bytes) -> wire.Problem:
    """One problem, or the list of fields that comes with 422; empty when it is neither."""
    try:
        found = msgspec.json.decode(body, type=wire.Problem | list[wire.FieldProblem])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return wire.Problem()
    if isinstance(found, wire.Problem):
        return found
    return wire.Problem(message="; ".join(f"{field.path}: {field.message}" for field in found))


def _query(pairs: list[tuple[str, str]] | None) -> str:
    return "?" + urlencode(pairs) if pairs else ""
