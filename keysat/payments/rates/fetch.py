"""Ask one public source: one GET, without redirects, within the limits of `payment-rails.md` 4.2, item 1."""

from keysat.infra.http import HttpClient
from keysat.kit.clock import Clock
from keysat.payments.rates.quotes import Quote
from keysat.payments.rates.sources import Source, SourceFailed

ANSWER_BYTES_MAX = 256 * 1024  # Coinbase's, the longest, has about 20 KiB
_HEADERS = {"accept": "application/json"}


async def fetch(source: Source, currency: str, http: HttpClient, clock: Clock) -> Quote | None:
    """None: the source has no opinion. Raises SourceFailed, and what HttpClient and the parser raise."""
    answer = await http.request("GET", source.url(currency), headers=_HEADERS)
    now = clock.now()
    if answer.status != 200:
        raise SourceFailed(
            f"status {answer.status}",
            throttled=answer.status == 429,
            retry_after_seconds=answer.retry_after_seconds(now),
        )
    if len(answer.body) > ANSWER_BYTES_MAX:
        raise SourceFailed(f"an answer of {len(answer.body)} bytes")
    return source.parse(answer.json(), currency, now)
