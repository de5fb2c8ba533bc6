import base64
import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keysat.kit.ids import SeededChance, SystemChance, fraction, random_uuid, support_reference, token, uuid7

seeds = st.integers(0, 2**64).map(SeededChance)
moments = st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


class FixedChance:
    def __init__(self, drawn: bytes) -> None:
        self.drawn = drawn

    def bytes(self, count: int) -> bytes:
        assert count == len(self.drawn)
        return self.drawn


def test_a_uuid7_has_the_layout_of_rfc_9562():
    # Its appendix A.6: 2022-02-22 14:22:22.00 -05:00, rand_a 0xCC3, rand_b 0x18C4DC0C0C07398F.
    now = datetime(2022, 2, 22, 19, 22, 22, tzinfo=UTC)
    drawn = (0xCC3 << 68 | 0x18C4DC0C0C07398F).to_bytes(10)
    assert uuid7(now, FixedChance(drawn)) == UUID("017F22E2-79B0-7CC3-98C4-DC0C0C07398F")


@given(moments, seeds)
def test_a_uuid7_tells_its_millisecond(now: datetime, chance: SeededChance):
    made = uuid7(now, chance)
    assert (made.version, made.variant) == (7, RFC_4122)
    since = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=made.int >> 80)
    assert timedelta(0) <= now - since < timedelta(milliseconds=1)


@given(moments, seeds)
def test_uuid7s_sort_by_time(now: datetime, chance: SeededChance):
    assert uuid7(now, chance) < uuid7(now + timedelta(milliseconds=1), chance)


@given(seeds)
def test_a_random_uuid_is_version_4(chance: SeededChance):
    made = random_uuid(chance)
    assert (made.version, made.variant) == (4, RFC_4122)
    assert made != random_uuid(chance)


@given(seeds, st.integers(1, 80).map(lambda fives: 5 * fives))
def test_a_token_is_lower_case_base32_of_so_many_bits(chance: SeededChance, bits: int):
    made = token(chance, bits)
    assert re.fullmatch("[a-z2-7]+", made)
    assert len(made) == bits // 5


def test_a_token_of_160_bits_keeps_every_bit():
    made = token(FixedChance(bytes(range(20))))
    assert base64.b32decode(made.upper()) == bytes(range(20))


@pytest.mark.parametrize("bits", [0, -5, 128])
def test_a_token_refuses_bits_that_fill_no_character(bits: int):
    with pytest.raises(ValueError, match="multiple of 5"):
        token(SystemChance(), bits)


@given(seeds)
def test_a_support_reference_can_be_read_aloud(chance: SeededChance):
    assert re.fullmatch("KS-[A-Z2-7]{10}", support_reference(chance))


@given(seeds)
def test_a_fraction_is_below_one(chance: SeededChance):
    assert 0 <= fraction(chance) < 1


def test_the_largest_draw_still_gives_a_fraction_below_one():
    assert fraction(FixedChance(b"\xff" * 8)) == 1 - Fraction(1, 2**64)


def test_seeded_chance_is_the_same_on_every_machine():
    chance = SeededChance(1)
    drawn = [chance.bytes(4).hex(), chance.bytes(4).hex()]
    again = SeededChance(1)
    assert [again.bytes(4).hex(), again.bytes(4).hex()] == drawn
    assert drawn[0] != drawn[1]
    assert SeededChance(2).bytes(4).hex() != drawn[0]


def test_the_systems_chance_gives_what_was_asked():
    chance = SystemChance()
    assert len(chance.bytes(32)) == 32
    assert chance.bytes(32) != chance.bytes(32)
