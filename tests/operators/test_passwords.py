"""Argon2id in threads: right, slow for everybody alike, and never more at once than the memory allows."""

import asyncio

import pytest
from nacl.pwhash import argon2id

from keysat.kit.errors import BadRequest, Unavailable
from keysat.operators import passwords
from keysat.operators.passwords import HASHING, NOBODYS, Hashing

PASSWORD = "correct horse battery staple"


async def test_a_password_fits_its_hash_and_no_other():
    first, second = await asyncio.gather(HASHING.hashed(PASSWORD), HASHING.hashed(PASSWORD))
    assert first != second
    assert await HASHING.fits(PASSWORD, first)
    assert not await HASHING.fits(PASSWORD + "x", first)
    assert not await HASHING.fits("x" * 10_000, first)


async def test_nobodys_hash_costs_as_much_as_anybodys_and_nothing_fits_it():
    """So that the time tells nobody whether there is such an account."""
    real = await HASHING.hashed(PASSWORD)
    assert NOBODYS.split("$")[:4] == real.split("$")[:4] == ["", "argon2id", "v=19", "m=65536,t=2,p=1"]
    assert not await HASHING.fits("x" * 20, None)
    assert argon2id.verify(NOBODYS.encode(), b"x" * 20)  # even what it was made of opens nothing


@pytest.mark.parametrize("password", ["", "x" * 11, "x" * 257])
async def test_a_password_has_12_to_256_characters(password: str):
    with pytest.raises(BadRequest, match="12 to 256"):
        await HASHING.hashed(password)


async def test_the_queue_has_an_end(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(passwords, "WAITING_MAX", 3)
    answers = await asyncio.gather(*(Hashing().fits(PASSWORD, NOBODYS) for _ in range(2)))
    assert answers == [False, False]
    crowded = Hashing()
    answers = await asyncio.gather(*(crowded.fits(PASSWORD, NOBODYS) for _ in range(5)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [bool, bool, bool, Unavailable, Unavailable]
    assert not await crowded.fits(PASSWORD, NOBODYS)
