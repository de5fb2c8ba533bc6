"""RFC 6238, appendix B, cut to six digits; RFC 4226, appendix D."""

from datetime import UTC, datetime
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from keysat.kit.ids import SeededChance, SystemChance
from keysat.operators import tokens, totp

RFC_SEED = b"12345678901234567890"


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
        (20000000000, "353130"),
    ],
)
def test_codes_are_those_of_the_rfc(seconds: int, code: str):
    step = totp.step_of(at(seconds))
    assert totp.code(RFC_SEED, step) == code
    assert totp.fitting_step(RFC_SEED, code, at(seconds)) == step


def test_a_code_counts_in_its_step_and_the_ones_beside_it():
    code, step = totp.code(RFC_SEED, 100), 100
    fitting = [moment for moment in range(60) if totp.fitting_step(RFC_SEED, code, at(30 * (step - 1) + moment))]
    assert fitting == list(range(60))
    assert totp.fitting_step(RFC_SEED, code, at(30 * (step + 1) + 29)) == step
    assert totp.fitting_step(RFC_SEED, code, at(30 * (step - 1) - 1)) is None
    assert totp.fitting_step(RFC_SEED, code, at(30 * (step + 2))) is None


@pytest.mark.parametrize("typed", ["", "28708", "2870820", "28708x", "²87082", "٢٨٧٠٨٢"])
def test_what_is_no_code_fits_nothing(typed: str):
    assert totp.fitting_step(RFC_SEED, typed, at(59)) is None


def test_the_app_is_told_all_it_needs():
    seed = totp.new_seed(SeededChance(1))
    address = urlsplit(totp.address(seed, "Ada & Sons", "Zoë"))
    assert (address.scheme, address.netloc, unquote(address.path)) == ("otpauth", "totp", "/Ada & Sons:Zoë")
    assert parse_qs(address.query) == {"secret": [totp.text(seed).replace(" ", "")], "issuer": ["Ada & Sons"]}


def test_what_opens_a_door_is_256_bits_of_the_systems_chance():
    """ASVS 7.2.3, 11.5.1: at least 128 bits from a cryptographically secure generator."""
    made = {tokens.make(SystemChance()) for _ in range(1000)}
    assert (len(made), {len(one) for one in made}) == (1000, {43})
    assert tokens.TOKEN_BYTES * 8 == 256
    assert tokens.hashed("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-4
