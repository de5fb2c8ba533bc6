import base64
import json
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keysat.kit.errors import BadRequest
from keysat.kit.paging import (
    LIMIT_DEFAULT,
    LIMIT_MAX,
    Page,
    cursor_parts,
    decode_cursor,
    encode_cursor,
    mark_of,
    page_of,
)

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=100)
parts = st.lists(texts | st.integers(-(2**63) + 1, 2**63 - 1), max_size=3).map(tuple)


def cursor_of(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode()).decode().rstrip("=")


@given(parts)
def test_a_cursor_comes_back_as_it_went(given_parts: tuple[str | int, ...]):
    cursor = encode_cursor(*given_parts)
    assert cursor.isascii()
    assert decode_cursor(cursor, len(given_parts)) == given_parts


def test_the_longest_name_of_a_buyer_fits_into_a_cursor():
    key = (2, 200 * "\N{GRINNING FACE}", str(UUID(int=1)))
    assert decode_cursor(encode_cursor(*key), 3) == key


@given(st.text(), st.integers(0, 3))
def test_any_text_is_a_cursor_or_refused(text: str, length: int):
    try:
        found = decode_cursor(text, length)
    except BadRequest:
        return
    assert encode_cursor(*found) == text


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_any_json_is_a_cursor_or_refused(value: object):
    try:
        found = decode_cursor(cursor_of(value), 1)
    except BadRequest:
        return
    assert type(found[0]) in (str, int)


@pytest.mark.parametrize(
    "value",
    [None, {}, "a", [], ["a", "b"], [True], [None], [1.0], [2**63], [["a"]], ["\0"], ["\ud800"], ["a" * 4000]],
)
def test_what_no_row_can_have_is_refused(value: object):
    with pytest.raises(BadRequest, match="next_cursor"):
        decode_cursor(cursor_of(value), 1)


@pytest.mark.parametrize("body", [b"[" * 700, b"[1] ", b"[01]", b"[NaN]", b"[1e400]", b"\xff"])
def test_what_we_would_not_write_is_refused(body: bytes):
    with pytest.raises(BadRequest):
        decode_cursor(base64.urlsafe_b64encode(body).decode().rstrip("="), 1)


@given(st.datetimes(timezones=st.just(UTC)), st.uuids())
def test_moments_and_ids_come_back_as_they_went(moment: datetime, row_id: UUID):
    cursor = page_of([0, 1], 1, lambda _: (moment, row_id), of="list").next_cursor
    assert cursor is not None
    assert cursor_parts(cursor, datetime, UUID, of="list") == (moment, row_id)


@pytest.mark.parametrize(
    ("part", "kind"),
    [
        (1, str),
        ("1", int),
        ("1", UUID),
        (1, UUID),
        ("noon", datetime),
        ("2026-01-15T12:00:00", datetime),  # of no zone
        ("0001-01-01T00:00:00+14:00", datetime),  # before the calendar
    ],
)
def test_parts_of_another_kind_are_refused(part: str | int, kind: type[object]):
    with pytest.raises(BadRequest, match="next_cursor"):
        cursor_parts(encode_cursor(part, mark_of("list")), kind, of="list")


@pytest.mark.parametrize("of", ["lists", ("list", None), None])
def test_a_cursor_of_another_list_or_of_other_filters_is_refused(of: object):
    with pytest.raises(BadRequest, match="with these filters: send next_cursor"):
        cursor_parts(encode_cursor("a", mark_of(("list", "active"))), str, of=of)


@given(st.sets(st.integers(0, 50), max_size=30).map(lambda found: sorted(found)), st.integers(1, 7))
def test_turning_the_pages_shows_every_row_once(rows: list[int], limit: int):
    seen: list[int] = []
    after = -1
    while True:
        page = page_of([row for row in rows if row > after][: limit + 1], limit, lambda row: (row,), of="list")
        seen += page.items
        if page.next_cursor is None:
            break
        assert len(page.items) == limit
        after = cursor_parts(page.next_cursor, int, of="list")[0]
    assert seen == rows


def test_the_last_page_has_no_next():
    assert page_of(["a", "b"], 2, lambda row: (row,), of="list") == Page(["a", "b"], None)
    assert page_of(["a", "b"], 1, lambda row: (row,), of="list") == Page(["a"], encode_cursor("a", mark_of("list")))
    nothing: list[str] = []
    assert page_of(nothing, LIMIT_DEFAULT, lambda row: (row,), of="list") == Page([], None)
    assert LIMIT_DEFAULT <= LIMIT_MAX
