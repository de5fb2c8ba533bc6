"""What a tier says, all of it at once, and whether it makes sense together. Pure."""

from collections.abc import Sequence
from typing import Any

import msgspec

from keysat.catalog import checks
from keysat.catalog.features import check_granted
from keysat.catalog.tables import TrialNeeds
from keysat.catalog.views import PolicyView
from keysat.kit.errors import BadRequest
from keysat.kit.periods import COUNT_MAX, Unit

MACHINES_MAX = 1_000_000
GRACE_DAYS_MAX = 90
RANK_MAX = 1000
BULLETS_MAX = 50
BULLET_LENGTH_MAX = 500
EVICT_DAYS_MAX = 3650
TRIAL_DAYS_MAX = 365
"""Of a tier that is bought once; of another one it is a period."""
LEAD_DAYS_MAX = COUNT_MAX[Unit.DAY] // 2

_DAYS = {Unit.DAY: 1, Unit.MONTH: 30, Unit.YEAR: 365}


class PolicyValues(msgspec.Struct, frozen=True, kw_only=True):
    """The editable columns of a tier with the defaults of a new one."""

    name: str
    description: str = ""
    price_value: int | None = None
    duration_seconds: int = 0
    grace_seconds: int = 0
    max_machines: int = 1
    seats_evict_after_days: int | None = None
    is_trial: bool = False
    trial_days: int = 0
    trial_needs: TrialNeeds = TrialNeeds.EMAIL
    is_recurring: bool = False
    period_count: int | None = None
    period_unit: Unit | None = None
    grace_period_days: int = 7
    renewal_lead_days: int = 3
    tier_rank: int | None = None
    entitlements: list[str] = []
    marketing_bullets: list[str] = []
    marketing_bullets_position: str = "above"
    hidden_entitlements: list[str] = []
    highlighted: bool = False
    details: dict[str, Any] = {}

    def check(self, catalog: Sequence[str], currency: str) -> None:
        """Raises BadRequest that says what to do.

        `catalog`: the entitlements the product knows; empty allows all. `currency`: the product's.
        """
        checks.name(self.name)
        checks.text("description", self.description, checks.DESCRIPTION_MAX)
        if self.price_value is not None:
            checks.price("price_sats_override", self.price_value, currency)
        checks.between("duration_seconds", self.duration_seconds, 0, checks.SECONDS_MAX)
        checks.between("grace_seconds", self.grace_seconds, 0, checks.SECONDS_MAX)
        checks.between("max_machines", self.max_machines, 0, MACHINES_MAX)
        if self.seats_evict_after_days is not None:
            checks.between("seats_evict_after_days", self.seats_evict_after_days, 1, EVICT_DAYS_MAX)
        if self.tier_rank is not None:
            checks.between("tier_rank", self.tier_rank, 0, RANK_MAX)
        self._check_recurring()
        check_granted(self.entitlements, catalog)
        self._check_shown()

    def _check_recurring(self) -> None:
        checks.between("grace_period_days", self.grace_period_days, 0, GRACE_DAYS_MAX)
        checks.between("renewal_lead_days", self.renewal_lead_days, 0, LEAD_DAYS_MAX)
        if not self.is_recurring:
            checks.between("trial_days", self.trial_days, 0, TRIAL_DAYS_MAX)
            return
        if self.period_count is None or self.period_unit is None:
            raise BadRequest(
                "A recurring tier needs its period: renewal_period_days, or renewal_period such as "
                '{"count": 1, "unit": "month"}.'
            )
        checks.between("trial_days", self.trial_days, 0, self.period_count * _DAYS[self.period_unit])

    def _check_shown(self) -> None:
        checks.texts("marketing_bullets", self.marketing_bullets, BULLETS_MAX, BULLET_LENGTH_MAX)
        if self.marketing_bullets_position not in ("above", "below"):
            raise BadRequest("marketing_bullets_position is above or below the entitlements. Give one of the two.")
        check_granted(self.hidden_entitlements, ())
        checks.metadata(self.details)


def lifted(metadata: dict[str, Any]) -> dict[str, Any]:
    """Columns out of free-form metadata: the keys that the published server read in it have columns of their own.

    Raises BadRequest when one of them has another type.
    """
    try:
        shown = msgspec.convert(metadata, _Shown)
    except msgspec.ValidationError as error:
        raise BadRequest(f"metadata: {error}") from None
    rest = {key: value for key, value in metadata.items() if key not in _Shown.__struct_fields__}
    named = {key: getattr(shown, key) for key in _Shown.__struct_fields__ if key in metadata}
    if "highlight" in named:
        named["highlighted"] = named.pop("highlight")
    return {"details": rest, **named}


def folded(policy: PolicyView) -> dict[str, Any]:
    """The metadata as the published server gives it: the inverse of `lifted`."""
    shown = _Shown(
        policy.description,
        policy.highlighted,
        list(policy.marketing_bullets),
        policy.marketing_bullets_position,
        list(policy.hidden_entitlements),
    )
    plain = msgspec.structs.asdict(_Shown())
    return policy.details | {key: value for key, value in msgspec.structs.asdict(shown).items() if value != plain[key]}


class _Shown(msgspec.Struct, frozen=True):
    description: str = ""
    highlight: bool = False
    marketing_bullets: list[str] = []
    marketing_bullets_position: str = "above"
    hidden_entitlements: list[str] = []
