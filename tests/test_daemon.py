"""What the daemon says when it starts."""

import pytest

from keysat.daemon import warnings
from keysat.infra.house import Mode
from keysat.infra.settings import load

PUBLIC = {"KEYSAT_PUBLIC_URL": "https://keys.example.org"}


def test_a_live_shop_that_buyers_cannot_write_to_is_warned() -> None:
    [line] = warnings(load(PUBLIC), Mode.LIVE)
    assert line.startswith("KEYSAT_OPERATOR_CONTACT is not set")


@pytest.mark.parametrize(("contact", "mode"), [("help@example.org", Mode.LIVE), ("", Mode.SANDBOX)])
def test_others_are_not(contact: str, mode: Mode) -> None:
    assert warnings(load(PUBLIC | {"KEYSAT_OPERATOR_CONTACT": contact}), mode) == ()
