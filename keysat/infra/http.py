"""Requests to other servers: providers, rate sources, webhook receivers.

Every limit is data, every failure says whether the request may have been carried out, and no error text holds a header,
a path or a query.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from importlib.metadata import version

import httpx
import msgspec

EXPONENT_MAX = 30
RETRY_AFTER_SECONDS_MAX = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    connect_seconds: float = 5
    read_seconds: float = 15
    """Of silence. A whole call may last `connect_seconds` and twice this."""
    answer_bytes_max: int = 1 << 20
    connections_max: int = 20


class HttpError(Exception):
    """Nothing usable came back."""


class NetworkError(HttpError):
    """No answer. `outcome_unknown`: the request may have been carried out, so look before asking again."""

    def __init__(self, message: str, *, outcome_unknown: bool) -> None:
        super().__init__(message)
        self.outcome_unknown = outcome_unknown


class ResponseTooLarge(HttpError):
    """The answer was cut off. The request was carried out, or refused with `status`."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class NotJson(HttpError):
    """An answer came, such as a proxy's HTML page, but it cannot be read."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Any status, redirects too: none is followed."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    """Looked up without regard to case."""
    body: bytes = field(repr=False)

    def retry_after_seconds(self, now: datetime | None = None, most: int = RETRY_AFTER_SECONDS_MAX) -> int | None:
        """RFC 9110, 10.2.3: seconds, or a date where `now` is known; at most `most`. None for anything else."""
        text = self.headers.get("retry-after", "")
        if text.isascii() and text.isdigit():
            return min(int(text[:9]), most)
        try:
            wait = parsedate_to_datetime(text) - now if now else None
        except (ValueError, TypeError, OverflowError):  # no date; a date without a zone
            return None
        return min(max(0, int(wait.total_seconds())), most) if wait is not None else None

    def json(self) -> object:
        """Fractions are Decimal, never float. Raises NotJson, also for NaN and for numbers no amount can be."""
        try:
            return json.loads(self.body, parse_float=_decimal, parse_constant=_no_number)
        except (ValueError, ArithmeticError, RecursionError):
            raise NotJson(f"the answer with status {self.status} is not JSON") from None


class HttpClient:
    """One per process, shared: it keeps connections, but neither cookies nor credentials.

    It takes no proxy and no certificates from the environment. `transport` stands in for the network.
    """

    def __init__(self, limits: HttpLimits | None = None, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.limits = limits or HttpLimits()
        self._client = httpx.AsyncClient(
            transport=transport,
            follow_redirects=False,
            trust_env=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            limits=httpx.Limits(max_connections=self.limits.connections_max, keepalive_expiry=30),
            # Identity: what is counted against the limit is what was sent, not what a few bytes unpack to.
            headers={"User-Agent": f"Keysat/{version('keysat')}", "Accept-Encoding": "identity"},
        )

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: object = None,
        content: bytes | None = None,
        read_seconds: float | None = None,
    ) -> Answer:
        """`json` is encoded by msgspec and sets the content type; `content` goes out as it is.

        Raises NetworkError or ResponseTooLarge.
        """
        sent = dict(headers or {})
        if json is not None:
            content = msgspec.json.encode(json)
            sent.setdefault("Content-Type", "application/json")
        reading = self.limits.read_seconds if read_seconds is None else read_seconds
        where = _where(method, url)
        timeout = httpx.Timeout(reading, connect=self.limits.connect_seconds, pool=self.limits.connect_seconds)
        try:
            async with (
                asyncio.timeout(self.limits.connect_seconds + 2 * reading),  # a slow drip is no answer either
                self._client.stream(method, url, headers=sent, content=content, timeout=timeout) as response,
            ):
                return Answer(response.status_code, response.headers, await self._body(response, where))
        # What httpx says may quote a header, and its cause would be printed with it: hence `from None`.
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            reason = str(error) or type(error).__name__
            raise NetworkError(f"{where}: no connection ({reason})", outcome_unknown=False) from None
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError, UnicodeError) as error:
            raise NetworkError(f"{where}: cannot be sent ({type(error).__name__})", outcome_unknown=False) from None
        except (httpx.HTTPError, TimeoutError) as error:
            raise NetworkError(f"{where}: no answer ({type(error).__name__})", outcome_unknown=True) from None

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _body(self, response: httpx.Response, where: str) -> bytes:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > self.limits.answer_bytes_max:
                raise ResponseTooLarge(
                    f"{where}: the answer is larger than {self.limits.answer_bytes_max} bytes", response.status_code
                )
        return bytes(body)


def _where(method: str, url: str) -> str:
    """Paths hold ids and queries hold keys, so the host must do."""
    try:
        return f"{method} {httpx.URL(url).host}"
    except (httpx.InvalidURL, UnicodeError):
        return f"{method} (no URL)"


def _decimal(text: str) -> Decimal:
    number = Decimal(text)
    if abs(number.adjusted()) > EXPONENT_MAX:  # 1e999999999 is nine characters, until someone makes an int of it
        raise ValueError("the exponent is out of range")
    return number


def _no_number(text: str) -> object:
    raise ValueError(f"{text} is not JSON")
