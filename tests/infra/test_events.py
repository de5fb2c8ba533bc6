"""Happenings as text, and the hashes that seal them."""

import hashlib
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest

from keysat.infra.events import Actor, Happening, digest, origin_hash, seal_hash

NOON = datetime(2026, 1, 15, 12, 0, 0, 5, tzinfo=UTC)


class Sold(Happening, frozen=True, tag="test.sold"):
    order_id: UUID
    amount_minor: int
    at: datetime
    note: str | None = None


SOLD = Sold(UUID(int=7), 4900, NOON)


def test_a_happening_names_itself_and_its_subject() -> None:
    assert SOLD.name == "test.sold"
    assert SOLD.subject == "00000000-0000-0000-0000-000000000007"


def test_the_body_holds_every_field_and_not_the_name() -> None:
    assert SOLD.body() == (
        '{"order_id":"00000000-0000-0000-0000-000000000007","amount_minor":4900,'
        '"at":"2026-01-15T12:00:00.000005Z","note":null}'
    )


def test_the_digest_is_sha256_over_fields_with_their_lengths() -> None:
    assert digest("ab", "ü") == hashlib.sha256(b"\0\0\0\0\0\0\0\x02ab\0\0\0\0\0\0\0\x02\xc3\xbc").hexdigest()
    assert digest("ab", "c") != digest("a", "bc")
    assert digest("", "a") != digest("a", "")


FIELDS = ("", 1, 7, NOON, "test.sold", "buyer", "{}", None)


@pytest.mark.parametrize(
    ("place", "value"),
    [(0, "x"), (1, 2), (2, 8), (3, NOON + timedelta(microseconds=1)), (4, "x"), (5, "x"), (6, "x"), (7, "x")],
)
def test_every_field_of_an_event_is_under_its_seal(place: int, value: object) -> None:
    changed = [*FIELDS[:place], value, *FIELDS[place + 1 :]]
    assert seal_hash(*changed) != seal_hash(*FIELDS)  # pyright: ignore[reportArgumentType]


def test_the_seal_is_that_of_the_written_rule() -> None:
    at = "2026-01-15T12:00:00.000005+00:00"
    assert seal_hash("p", 1, 7, NOON, "n", "a", "b", None) == digest("p", "1", "7", at, "n", "a", "b", "")


def test_an_origin_is_covered_with_its_salt() -> None:
    assert origin_hash("s", "key", None) == digest("s", "key", "")
    assert len({origin_hash("s", "a", None), origin_hash("s", None, "a"), origin_hash("t", "a", None)}) == 3


@pytest.mark.parametrize(
    ("actor", "personal"),
    [(Actor("job:seal"), False), (Actor("admin_key", credential="k1"), True), (Actor("buyer", address="::1"), True)],
)
def test_who_has_a_credential_or_an_address_is_a_person(actor: Actor, personal: bool) -> None:
    assert actor.is_personal is personal


def test_moments_are_sealed_in_utc() -> None:
    elsewhere = NOON.astimezone(timezone(timedelta(hours=2)))
    assert seal_hash("", 1, 7, elsewhere, "n", "a", "b", None) == seal_hash("", 1, 7, NOON, "n", "a", "b", None)
