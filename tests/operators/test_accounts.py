"""Accounts and their sessions, on both databases."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select

from keysat.infra.store import Store
from keysat.infra.tables import EventRow
from keysat.kit.errors import BadRequest, Conflict, NotFound
from keysat.operators import accounts, api_keys, sessions
from keysat.operators.accounts import AccountView
from keysat.operators.passwords import NOBODYS
from keysat.operators.scopes import Role, Scope
from keysat.operators.seen import LastSeen
from keysat.operators.tables import Account, ApiKey, Session
from tests.conftest import NOON, TESTER


async def an_account(store: Store, name: str, role: Role = Role.OWNER) -> AccountView:
    async with store.work(NOON, TESTER) as work:
        return await accounts.create(work, name, role, NOBODYS)


async def a_session(store: Store, account: AccountView, at: timedelta = timedelta()) -> str:
    async with store.work(NOON + at, TESTER) as work:
        _, token = await sessions.begin(work, account.id, "203.0.113.7", "Tests\0")
    return token


async def is_open(store: Store, token: str, after: timedelta = timedelta()) -> bool:
    async with store.read() as read:
        return await sessions.signed_in(read, token, NOON + after) is not None


async def test_of_two_owners_who_disable_each_other_at_once_one_remains(store: Store):
    """ASVS 2.3.4: the last owner cannot be taken away by two who each see the other one."""
    ada, bob = await an_account(store, "Ada"), await an_account(store, "Bob")

    async def away(account: AccountView, **change: object) -> None:
        async with store.work(NOON, TESTER) as work:
            await accounts.edit(work, account.id, **change)  # pyright: ignore[reportArgumentType]

    done = await asyncio.gather(away(ada, disabled=True), away(bob, role=Role.SUPPORT), return_exceptions=True)
    assert sorted(type(one).__name__ for one in done) == ["Conflict", "NoneType"]
    async with store.read() as read:
        rows = (await read.session.scalars(select(Account).where(Account.role == Role.OWNER))).all()
        assert [row.disabled_at for row in rows if row.disabled_at is None] == [None]


async def test_names_are_one_whatever_their_case_and_accounts_are_listed_by_them(store: Store):
    await an_account(store, "  Zoë   Quinn ")
    for taken in ("zoë quinn", "ZOË QUINN", "Zoe\u0308 Quinn"):
        with pytest.raises(Conflict):
            await an_account(store, taken)
    for wrong in ("", "   ", "x" * 81, "a\u202eb", "a\0b"):
        with pytest.raises(BadRequest):
            await an_account(store, wrong)
    await an_account(store, "ada", Role.SUPPORT)
    await an_account(store, "Bob", Role.READ_ONLY)
    async with store.read() as read:
        first = await accounts.accounts(read, 2)
        rest = await accounts.accounts(read, 2, first.next_cursor)
        assert [one.name for one in (*first.items, *rest.items)] == ["ada", "Bob", "Zoë Quinn"]
        assert rest.next_cursor is None
        with pytest.raises(NotFound):
            await accounts.one_named(read, "nobody")


async def test_a_session_slides_for_a_day_and_ends_after_thirty(store: Store):  # D-17
    ada = await an_account(store, "Ada")
    token = await a_session(store, ada)
    assert not await is_open(store, token[:-1] + ("A" if token[-1] != "A" else "B"))
    assert await is_open(store, token, timedelta(hours=23, minutes=59))
    assert not await is_open(store, token, timedelta(hours=24))
    seen = LastSeen()
    for day in range(1, 32):
        now = NOON + timedelta(hours=23 * day)
        async with store.read() as read:
            found = await sessions.signed_in(read, token, now)
        assert found is not None
        seen.session(found.session_id, found.seen_at, now)
        await seen.flush(store, now)
    assert await is_open(store, token, timedelta(days=30) - timedelta(seconds=1))
    assert not await is_open(store, token, timedelta(days=30))


async def test_what_was_used_last_is_written_seldom_and_never_goes_back(store: Store):
    ada = await an_account(store, "Ada")
    await a_session(store, ada)
    async with store.work(NOON, TESTER) as work:
        await api_keys.create(work, "CI", Role.SUPPORT, frozenset(), None)
    async with store.read() as read:
        session = (await read.session.scalars(select(Session))).one()
        key = (await read.session.scalars(select(ApiKey))).one()
    seen = LastSeen()
    early, late = NOON + timedelta(minutes=4, seconds=59), NOON + timedelta(minutes=5)
    seen.session(session.id, session.seen_at, early)
    await seen.flush(store, early)
    for at in (late + timedelta(minutes=1), late):
        seen.session(session.id, session.seen_at, at)
        seen.key(key.id, None, at)
        await seen.flush(store, at)
    async with store.read() as read:
        assert (await read.get(Session, session.id)).seen_at == late + timedelta(minutes=1)
        assert (await read.get(ApiKey, key.id)).used_at == late + timedelta(minutes=1)


async def test_who_gets_another_role_a_new_password_or_none_signs_in_again(store: Store):
    await an_account(store, "Root")
    ada = await an_account(store, "Ada", Role.SUPPORT)

    async def change(**values: object) -> None:
        async with store.work(NOON, TESTER) as work:
            await accounts.edit(work, ada.id, **values)  # pyright: ignore[reportArgumentType]

    async def reset() -> None:
        async with store.work(NOON, TESTER) as work:
            assert not (await accounts.reset(work, ada.id, NOBODYS)).totp

    for act in (change(role=Role.READ_ONLY), change(disabled=True), change(disabled=False), reset()):
        token = await a_session(store, ada)
        await act
        assert not await is_open(store, token)
    token = await a_session(store, ada)
    await change(role=Role.READ_ONLY, disabled=False)  # as it is
    assert await is_open(store, token)
    async with store.read() as read:
        names = (
            await read.session.scalars(
                select(EventRow.name).where(EventRow.subject == str(ada.id)).order_by(EventRow.id)
            )
        ).all()
    assert names == [
        "account.created",
        "account.role_changed",
        "account.disabled",
        "account.enabled",
        "account.reset",
    ]


async def test_a_key_has_its_role_and_what_was_granted_by_name_until_it_ends(store: Store):
    granted = frozenset({Scope.PAYMENT_PROVIDERS_WRITE})
    async with store.work(NOON, TESTER) as work:
        made, text = await api_keys.create(work, " CI  of  ours ", Role.SUPPORT, granted, NOON + timedelta(days=1))
        for role, scopes, ends in (
            (Role.OWNER, frozenset[Scope](), None),
            (Role.SUPPORT, frozenset({Scope.OWNER}), None),
            (Role.SUPPORT, frozenset({Scope.RATES_WRITE}), None),
            (Role.SUPPORT, frozenset[Scope](), NOON),
        ):
            with pytest.raises(BadRequest):
                await api_keys.create(work, "wrong", role, scopes, ends)
    assert (made.label, made.scopes, text[:3], len(text)) == ("CI of ours", (Scope.PAYMENT_PROVIDERS_WRITE,), "ks_", 46)
    async with store.read() as read:
        key = await api_keys.key_of(read, text, NOON)
        assert key is not None
        assert api_keys.scopes_of(key) >= granted | {Scope.LICENSES_WRITE, Scope.AUDIT_READ}
        assert Scope.OWNER not in api_keys.scopes_of(key)
        assert text.removeprefix("ks_") not in key.hash
        for wrong in (text[:-1] + ("A" if text[-1] != "A" else "B"), text[3:], text + "A", "ks_", key.hash):
            assert await api_keys.key_of(read, wrong, NOON) is None
        assert await api_keys.key_of(read, text, NOON + timedelta(days=1)) is None
    async with store.work(NOON, TESTER) as work:
        assert (await api_keys.revoke(work, made.id))[1]
    async with store.work(NOON + timedelta(hours=1), TESTER) as work:
        again, revoked = await api_keys.revoke(work, made.id)
        assert (revoked, again.revoked_at) == (False, NOON)
    async with store.read() as read:
        assert await api_keys.key_of(read, text, NOON) is None
        events = (await read.session.execute(select(EventRow.name, EventRow.body).order_by(EventRow.id))).all()
    assert [name for name, _ in events] == ["api_key.created", "api_key.revoked"]
    assert "CI" not in str(events)
