"""How often who may ask for what: one table (`decisions.md`, Limits), counted in memory.

What could be guessed in the time a daemon takes to start again is counted in the database: `shared_limits`.
"""

from collections import OrderedDict
from datetime import datetime
from enum import StrEnum
from fractions import Fraction

from keysat.kit.errors import RateLimited
from keysat.kit.gcra import Decision, Limit, take

BUCKETS_MAX = 100_000  # about 20 MB; the bucket that was idle longest is forgotten first


class Rate(StrEnum):
    """What is counted. The comment says by which key."""

    LICENSE = "license"  # license and its key, once the signature held: validate, activate and deactivate together
    BAD_KEY = "bad_key"  # address: validate with a key that does not verify
    HEARTBEAT = "heartbeat"  # license and its key
    PURCHASE = "purchase"  # address: purchase, redeem, upgrade
    PREVIEW = "preview"  # address: preview, upgrade-quote
    TRIAL = "trial"  # address: trials that ask for no identity, in the database
    POLL = "poll"  # order
    WEAK_POLL = "weak_poll"  # order whose public id came from another shop
    WRONG_BEARER = "wrong_bearer"  # address
    NUDGE = "nudge"  # connection: webhooks in
    BAD_WEBHOOK = "bad_webhook"  # address: webhooks in that are not signed by the connection's secret
    WRONG_SIGNATURE = "wrong_signature"  # connection: no refusal, but a reason to call a person
    RECOVER = "recover"  # address: in the database; who has the claim code is not counted
    LOGIN_ACCOUNT = "login_account"  # name, as it was typed, or browser that is known for it: in the database
    LOGIN_CODE = "login_code"  # account, once its password was right: in the database
    LOGIN_ADDRESS = "login_address"  # address: in the database
    CLAIM = "claim"  # order, as it was typed, or license: in the database; as RECOVER


LIMITS = {
    Rate.LICENSE: Limit(burst=60, refill_seconds=1),
    Rate.BAD_KEY: Limit(burst=60, refill_seconds=1),
    Rate.HEARTBEAT: Limit(burst=60, refill_seconds=60),
    Rate.PURCHASE: Limit(burst=20, refill_seconds=6),
    Rate.PREVIEW: Limit(burst=30, refill_seconds=1),
    Rate.TRIAL: Limit(burst=3, refill_seconds=28_800),  # 3 a day
    Rate.POLL: Limit(burst=60, refill_seconds=1),
    Rate.WEAK_POLL: Limit(burst=5, refill_seconds=12 * 60),
    Rate.WRONG_BEARER: Limit(burst=20, refill_seconds=6),
    Rate.NUDGE: Limit(burst=300, refill_seconds=Fraction(1, 20)),
    Rate.BAD_WEBHOOK: Limit(burst=20, refill_seconds=6),
    Rate.WRONG_SIGNATURE: Limit(burst=2, refill_seconds=600),
    Rate.RECOVER: Limit(burst=10, refill_seconds=6),
    Rate.LOGIN_ACCOUNT: Limit(burst=5, refill_seconds=180),
    Rate.LOGIN_CODE: Limit(burst=5, refill_seconds=180),
    Rate.LOGIN_ADDRESS: Limit(burst=20, refill_seconds=10),
    Rate.CLAIM: Limit(burst=5, refill_seconds=600),
}


_POLICIES = {
    rate: f'"{rate}";q={limit.burst};w={max(1, round(limit.burst * Fraction(limit.refill_seconds)))}'
    for rate, limit in LIMITS.items()
}


class Throttle:
    """The buckets of this process."""

    def __init__(self, *, off: bool = False, buckets_max: int = BUCKETS_MAX) -> None:
        self.off = off
        self._buckets_max = buckets_max
        self._tats: OrderedDict[tuple[Rate, str], datetime] = OrderedDict()

    def allows(self, rate: Rate, key: str, now: datetime) -> Decision:
        """Take one, if there is one. What is refused spends nothing."""
        bucket = (rate, key)
        decision = take(None if self.off else self._tats.get(bucket), LIMITS[rate], now)
        self._tats[bucket] = decision.tat
        self._tats.move_to_end(bucket)
        if len(self._tats) > self._buckets_max:
            self._tats.popitem(last=False)
        return decision

    def check(self, rate: Rate, key: str, now: datetime) -> None:
        """Raises RateLimited."""
        refuse_unless(self.allows(rate, key, now))


def refuse_unless(decision: Decision) -> None:
    """Raises RateLimited for a decision that says no."""
    if not decision.allowed:
        seconds = decision.retry_after_seconds
        raise RateLimited(f"Too many requests. Please try again in {_said(seconds)}.", retry_after_seconds=seconds)


def _said(seconds: int) -> str:
    """Rounded up to what a person waits by: `90 s`, `3 min`, `8 h`."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{-(-seconds // size)} {unit}"
    return f"{seconds} s"


def headers(rate: Rate, decision: Decision) -> dict[str, str]:
    """As draft-ietf-httpapi-ratelimit-headers-10 has them: `q` and `r` count requests, `w` and `t` seconds.

    And when to come again, where a page or an answer of status 200 tells that it was too often.
    """
    again = {} if decision.allowed else {"Retry-After": str(decision.retry_after_seconds)}
    return again | {
        "RateLimit-Policy": _POLICIES[rate],
        "RateLimit": f'"{rate}";r={decision.remaining};t={decision.reset_seconds}',
    }
