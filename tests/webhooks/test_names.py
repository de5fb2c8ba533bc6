"""What the world is told of: names that exist, and fields that name nobody."""

from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import pytest

import keysat
from keysat.infra.events import Happening
from keysat.kit.errors import BadRequest
from keysat.webhooks.names import BY_STATUS, NAMES, TOLD, checked, told, wants

AT = datetime(2026, 6, 1, 10, 0, 0, 123456, UTC)
PUBLISHED = """product.created license.issued license.revoked license.suspended license.unsuspended license.tier_changed
machine.activated machine.deactivated code.redeemed subscription.renewal_pending subscription.renewed
subscription.renewal_skipped subscription.lapsed subscription.cancelled subscription.auto_charge_initiated
subscription.auto_charge_failed"""
"""The complete list of `published-server.md` 4.4."""


def happenings() -> dict[str, type[Happening]]:
    for path in Path(keysat.__path__[0]).glob("*/happenings.py"):
        import_module(f"keysat.{path.parent.name}.happenings")
    return {str(one.__struct_config__.tag): one for one in below(Happening)}


def below(base: type[Happening]) -> Iterator[type[Happening]]:
    for one in base.__subclasses__():
        yield one
        yield from below(one)


def test_each_name_is_that_of_a_happening() -> None:
    assert happenings().keys() >= TOLD


def test_every_event_of_the_published_server_is_told() -> None:
    assert set(NAMES) >= set(PUBLISHED.split())
    assert set(NAMES) >= {"order.paid", "order.needs_attention", "order.expired", "license.seat_limit_reached"}


def test_no_field_names_a_person() -> None:
    fields = {field for name in TOLD for field in happenings()[name].__struct_fields__}
    assert not fields & {"email", "buyer_email", "name", "note", "buyer", "key", "license_key"}
    assert "invoice_id" not in fields  # which opens a key
    assert "customer_id" in fields


def test_the_body_of_a_request() -> None:
    event = told(7, "license.revoked", "an-id", AT, '{"license_id":"an-id"}')
    assert event is not None
    text = '{"event_type":"license.revoked","timestamp":"2026-06-01T10:00:00.123456Z","data":{"license_id":"an-id"}}'
    assert event.payload(is_sandbox=False) == text
    assert event.payload(is_sandbox=True) == text[:-1] + ',"sandbox":true}'


def test_a_product_comes_as_an_object_too() -> None:
    event = told(1, "product.created", "an-id", AT, '{"product_id":"an-id","slug":"app"}')
    assert event is not None
    assert event.data["product"]["id"] == event.data["product_id"] == "an-id"


@pytest.mark.parametrize(("status", "name"), BY_STATUS["order.closed"].items())
def test_an_order_that_ended_says_how(status: str, name: str) -> None:
    event = told(1, "order.closed", "an-id", AT, f'{{"order_id":"an-id","status":"{status}"}}')
    assert event is not None
    assert event.event_type == name


def test_what_happens_inside_is_not_told() -> None:
    assert told(1, "letter.sent", "an-id", AT, "{}") is None
    assert told(1, "order.closed", "an-id", AT, '{"status":"paid"}') is None


def test_types_are_names_groups_or_all() -> None:
    assert checked(["order.paid", "license.*", "order.paid"]) == ["license.*", "order.paid"]
    assert wants(["*"], "order.paid")
    assert wants(["license.*"], "license.issued")
    assert not wants(["license.*", "order.paid"], "order.expired")
    for bad in ([], ["order.settled"], ["letter.*"], ["*.paid"], [""]):
        with pytest.raises(BadRequest):
            checked(bad)
