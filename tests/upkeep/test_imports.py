"""The move from the published server: every key it ever sold holds here, and nobody pays twice for it."""

import sqlite3
from collections.abc import AsyncGenerator
from contextlib import closing
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select, update

from keysat.catalog.tables import DiscountCode, Feature, Policy, Product
from keysat.checkout import operate, subscribed
from keysat.checkout.tables import Order, OrderId, OrderStatus, Redemption
from keysat.customers.accounts import CustomerEdit, edit, remember
from keysat.customers.tables import Customer, CustomerNote
from keysat.infra.seals import seal
from keysat.infra.store import Store
from keysat.infra.tables import AttentionRow, Base, EventRow
from keysat.kit.errors import BadRequest
from keysat.licenses import issue
from keysat.licenses.change import OwnValues, set_own
from keysat.licenses.seats import Device, bind
from keysat.licenses.tables import License, LicenseId, Machine
from keysat.operators.tables import ApiKey
from keysat.payments.rates.pins import clear_pin, pin_of
from keysat.payments.tables import MerchantProfile
from keysat.subscriptions.tables import Subscription, SubscriptionStatus
from keysat.upkeep.doctor import violations
from keysat.upkeep.imports.bring import bring
from keysat.upkeep.imports.report import Report
from keysat.upkeep.person import erase
from keysat.webhooks.tables import Endpoint
from tests.conftest import NOON, TESTER
from tests.upkeep.published import Published, a_shop_of_years, at
from tests.web.conftest import ADMIN
from tests.web.selling import Front, open_front


@pytest.fixture
async def front(store: Store, tmp_path: Path) -> AsyncGenerator[Front, None]:
    async with open_front(store, tmp_path) as front:
        front.http.headers["accept"] = "application/json"
        [spare] = (await front.http.get("/v1/products")).json()["products"]
        assert (await front.http.delete(f"/v1/admin/products/{spare['id']}", headers=ADMIN)).status_code == 200
        yield front


@pytest.fixture
def old(front: Front, tmp_path: Path) -> Published:
    return a_shop_of_years(tmp_path / "licensing.db", front.counter.now)


async def move(front: Front, old: Published, *, dry_run: bool = False) -> Report:
    shop = front.shop
    report = await bring(shop.store, shop.vault, old.path, front.counter.now, dry_run=dry_run)
    await shop.ring.refresh()
    return report


def uuid_of(old: Published, name: str) -> UUID:
    return UUID(old.ids[name])


async def counted(front: Front) -> dict[str, int]:
    async with front.shop.read() as read:
        kinds: tuple[type[Base], ...] = (Product, Policy, License, Order, Customer, Machine, Subscription, DiscountCode)
        return {
            kind.__tablename__: await read.session.scalar(select(func.count()).select_from(kind)) or 0 for kind in kinds
        }


async def test_every_key_that_was_sold_holds_here(front: Front, old: Published) -> None:
    report = await move(front, old)
    said = {}
    for name, key in old.keys.items():
        answer = await front.http.post("/v1/validate", json={"key": key, "product_slug": "app"})
        said[name] = (answer.json()["ok"], answer.json().get("reason"))
    refused = {"revoked": "revoked", "suspended": "suspended", "over": "expired"}
    assert said == {name: (name not in refused, refused.get(name)) for name in old.keys}
    assert report.brought["licenses"] == len(old.keys)

    summary = (await front.http.get("/v1/admin/licenses/summary", headers=ADMIN)).json()
    assert (summary["total"], summary["revoked"]) == (len(old.keys), 1)

    again = await move(front, old)
    assert (sum(again.brought.values()), again.there["licenses"]) == (0, len(old.keys))
    await seal(front.shop.store, front.counter.now)
    async with front.shop.read() as read:
        assert await violations(read, front.counter.now) == []


async def test_a_dry_run_tells_the_same_and_leaves_nothing(front: Front, old: Published) -> None:
    before = await counted(front)
    foreseen = await move(front, old, dry_run=True)
    assert await counted(front) == before
    assert foreseen == await move(front, old)
    async with front.shop.read() as read:
        events = (await read.session.scalars(select(EventRow.name).where(EventRow.name == "shop.imported"))).all()
    assert len(events) == 1


async def test_seats_codes_and_buyers_come_as_they_count_here(front: Front, old: Published) -> None:
    report = await move(front, old)
    async with front.shop.read() as read:
        sold = await read.get(License, uuid_of(old, "sold"))
        machines = await read.session.execute(
            select(Machine.deactivation_reason, func.count())
            .where(Machine.license_id == sold.id)
            .group_by(Machine.deactivation_reason)
        )
        assert sold.seats_taken == 3
        assert sorted(map(tuple, machines), key=str) == [("imported_over_cap", 1), (None, 3)]
        assert (await read.get(License, uuid_of(old, "bound"))).seats_taken == 1
        given = await read.get(License, uuid_of(old, "given"))
        assert (given.note, given.expires_at) == ("For a review", None)
        emails = (await read.session.scalars(select(Customer.email).order_by(Customer.email))).all()
        assert emails == ["Ann@Example.org", *(f"{name}@example.org" for name in ("bob", "cy", "dora", "eve", "fay"))]

        spring, ten, tiers = [
            (await read.session.scalars(select(DiscountCode).where(DiscountCode.code == code))).one()
            for code in ("SPRING", "TEN", "TIERS")
        ]
        assert (spring.used_count, spring.active, ten.currency, ten.active) == (1, True, "USD", False)
        assert tiers.product_id == uuid_of(old, "app")
        pro = await read.get(Policy, uuid_of(old, "pro"))
        assert (pro.description, pro.highlighted, pro.details) == ("For many", True, {"x": 1})
        assert (await read.session.scalars(select(Feature.slug))).all() == ["sync"]
        assert (await read.get(Product, uuid_of(old, "old"))).price_value == 9000
        default = (await read.session.scalars(select(MerchantProfile).where(MerchantProfile.is_default))).one()
        assert (default.name, default.support_email) == ("Ada & Sons", "help@ada.example")
        pinned = await pin_of(read, "EUR")
        assert pinned is not None
        assert pinned.centibps == 600_005_000
        hooks = (await read.session.scalars(select(Endpoint))).all()
        assert [(str(hook.id), hook.url) for hook in hooks] == [(old.ids["hook"], "https://hooks.example/keysat")]
        key = (await read.session.scalars(select(ApiKey))).one()
        [note] = await read.session.scalars(select(CustomerNote.note))
        assert note == "I will pay later"
    told = " ".join(report.notes)
    for words in (
        "TEN is switched off",
        "tips of tiers",
        "had paid yet",
        "never ends",
        "by a click",
    ):
        assert words in told, words
    assert list(report.left.values()) == [[old.ids["inside"]]]
    answer = await front.http.get("/v1/admin/licenses", headers={"Authorization": f"Bearer ks_{'a' * 43}"})
    assert (answer.status_code, str(key.id)) == (200, old.ids["ci"])


async def test_a_buyer_of_three_goes_on_with_the_oldest_and_nobody_is_billed_for_a_week(
    front: Front, old: Published
) -> None:
    report = await move(front, old)
    now = front.counter.now
    async with front.shop.read() as read:
        rows = {str(row.id): row for row in await read.session.scalars(select(Subscription))}
        licenses = {str(row.id): row for row in await read.session.scalars(select(License))}
    dora = [rows[old.ids[f"of dora {number}"]] for number in range(3)]
    assert [row.status for row in dora] == [SubscriptionStatus.ACTIVE, *[SubscriptionStatus.CANCELLED] * 2]
    assert (dora[0].paid_through, dora[0].cycle_number) == (now + timedelta(days=15), 3)
    assert licenses[old.ids["dora 0"]].expires_at == dora[0].paid_through
    assert [licenses[old.ids[f"dora {number}"]].expires_at for number in (1, 2)] == [None, None]  # as they were
    assert sum("older one of the same tier" in note for note in report.notes) == 2

    eve, fay, gus = rows[old.ids["of eve"]], rows[old.ids["of fay"]], rows[old.ids["of gus"]]
    assert (eve.paid_through, eve.listed_value) == (now + timedelta(days=7), 1200)  # it was to renew for nothing (D-2)
    assert (fay.status, licenses[old.ids["fay"]].expires_at) == (SubscriptionStatus.CANCELLED, None)
    assert gus.paid_through == now + timedelta(days=20)
    due = [row.next_attempt_at for row in rows.values() if row.status == SubscriptionStatus.ACTIVE]
    assert all(moment is not None and moment >= now + timedelta(days=7) for moment in due)


async def test_an_old_invoice_opens_its_key_a_few_times_an_hour(front: Front, old: Published) -> None:
    await move(front, old)
    path = f"/v1/purchase/{old.ids['invoice of sold']}"
    answers = [await front.http.get(path) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert (answers[0].json()["status"], answers[0].json()["license_id"]) == ("settled", old.ids["sold"])
    mine = {"invoice_id": old.ids["invoice of bound"], "email": "ann@example.org"}
    recovered = await front.http.post("/v1/recover", json=mine)
    assert recovered.json()["license_id"] == old.ids["bound"]


async def test_what_was_paid_in_vain_is_for_the_operator_and_makes_a_license_once(front: Front, old: Published) -> None:
    await move(front, old)
    await move(front, old)
    order_id = OrderId(uuid_of(old, "paid in vain"))
    async with front.shop.work(TESTER) as work:
        [call] = await work.session.scalars(select(AttentionRow).where(AttentionRow.kind == "order_imported"))
        assert call.subject == str(order_id)
        await operate.accept(work, order_id)
    async with front.shop.read() as read:
        order = await read.get(Order, order_id)
        assert (order.status, order.license_id is not None) == (OrderStatus.FULFILLED, True)
    await move(front, old)
    assert (await counted(front))["licenses"] == len(old.keys) + 1


@pytest.mark.once
async def test_what_is_no_database_of_it_stops_at_once(front: Front, old: Published, tmp_path: Path) -> None:
    before = await counted(front)
    text = b"This is no database, but it is long enough to be one."
    for name, content in (("nothing.db", None), ("text.db", text), ("half.db", old.path.read_bytes()[: 4096 * 9])):
        path = tmp_path / name
        if content:
            path.write_bytes(content)
        with pytest.raises(BadRequest):
            await move(front, Published(path, NOON))
    change(old, "DELETE FROM server_keys")
    with pytest.raises(BadRequest, match="no issuer key"):
        await move(front, old)
    assert await counted(front) == before


def change(old: Published, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(old.path)) as connection, connection:
        connection.execute(statement, values)


USED: dict[str, Any] = {
    "discount_applied_sats": 1,
    "base_price_sats": 2,
    "final_price_sats": 1,
    "created_at": at(NOON),
    "updated_at": at(NOON),
}


async def test_what_was_sold_there_after_a_first_move_comes_with_the_next(front: Front, old: Published) -> None:
    await move(front, old)
    change(old, "UPDATE invoices SET status = 'settled' WHERE id = ?", old.ids["still open"])
    for name in ("still open", "paid in vain"):
        old.license(f"late, {name}", invoice_id=old.ids[name], policy_id=old.ids["pro"])
    report = await move(front, old)
    assert (report.brought["licenses"], report.brought["orders"]) == (2, 0)
    for name in ("still open", "paid in vain"):
        told = (await front.http.get(f"/v1/purchase/{old.ids[name]}")).json()
        assert (told["status"], told["license_id"]) == ("settled", old.ids[f"late, {name}"])
    await seal(front.shop.store, front.counter.now)
    async with front.shop.read() as read:
        assert await violations(read, front.counter.now) == []


async def test_who_was_erased_here_does_not_come_again(front: Front, old: Published) -> None:
    """Nor with rows that were left behind, came later, or had never been here."""
    old.invoice("mended", buyer_email="ann@example.org", buyer_note="Ann again", updated_at=7)
    old.license("mended", invoice_id=old.ids["mended"], max_machines=-1, metadata_json={"note": "Ann L."})
    report = await move(front, old)
    assert old.ids["mended"] in [name for names in report.left.values() for name in names]
    async with front.shop.work(TESTER) as work:
        for name in ("zoe", "rob"):  # bought here
            await remember(work, f"{name}@example.org")
        ids = {row.email_normal: row.id for row in await work.session.scalars(select(Customer))}
        await edit(work, ids["bob@example.org"], CustomerEdit(email="robert@example.org"))
        for name in ("ann", "bob", "zoe", "rob"):
            await erase(work, front.shop.vault, ids[f"{name}@example.org"])
        assert not any(await work.session.scalars(select(Machine.hostname)))  # all are hers
        await remember(work, "rob@example.org")  # came again by himself
    change(old, "UPDATE licenses SET max_machines = 3 WHERE id = ?", old.ids["mended"])
    machine = {"fingerprint": "m", "fingerprint_hash": sha256(b"m").hexdigest(), "activated_at": at(old.now)}
    old.add("machines", license_id=old.ids["mended"], hostname="anns-box", **machine)
    for name in ("zoe", "bob", "Rob"):
        told = {"metadata_json": {"note": name}, "suspension_reason": f"{name} is ill"}
        old.sold(name, days_ago=9, email=f"{name}@example.org", status="suspended", **told)
    old.sold("nobody's", days_ago=9)
    told = "UPDATE licenses SET status = 'revoked', revocation_reason = 'Ann is ill' WHERE id = ?"
    change(old, told, old.ids["sold"])
    machine = {"fingerprint": "new", "fingerprint_hash": sha256(b"new").hexdigest(), "activated_at": at(old.now)}
    old.add("machines", license_id=old.ids["bound"], hostname="anns-box", deactivated_at=at(old.now), **machine)
    report = await move(front, old)
    assert (report.brought["customers"], report.brought["machines"], report.changed["licenses revoked"]) == (0, 2, 1)
    await seal(front.shop.store, front.counter.now)
    async with front.shop.read() as read:
        here = set(await read.session.scalars(select(Customer.email_normal)))
        assert (here & {f"{name}@example.org" for name in ("ann", "bob", "zoe", "rob")}) == {"rob@example.org"}
        assert "Ann" not in str((await read.get(License, uuid_of(old, "sold"))).revocation_reason)
        assert not any(await read.session.scalars(select(Machine.hostname)))
        notes = "".join(map(str, await read.session.scalars(select(CustomerNote.note))))
        assert (await read.get(License, uuid_of(old, "nobody's"))).customer_id is None
        for name in ("mended", "zoe", "bob", "Rob"):
            license = await read.get(License, uuid_of(old, name))
            owner = await read.get(Customer, (await read.get(Order, license.order_id)).customer_id)
            told = f"{license.note} {license.suspension_reason} {notes}"
            wanted = (False, True) if name == "Rob" else (True, False)
            assert (owner.erased_at is not None, name in told or "Ann" in told) == wanted
        assert await violations(read, front.counter.now) == []


async def test_what_was_deleted_here_comes_again_only_if_it_was_sold_there(front: Front, old: Published) -> None:
    change(old, "UPDATE products SET merchant_profile_id = ? WHERE slug = 'app'", old.ids["second"])
    made = {"product_id": old.ids["app"], "created_at": at(NOON), "updated_at": at(NOON)}
    for name in ("given up", "sold there"):
        old.add("policies", name, name=name, slug=name.replace(" ", "-"), **made)
    await move(front, old)
    async with front.shop.work(TESTER) as work:
        await clear_pin(work, "EUR")
        app = await work.get(Product, uuid_of(old, "app"))
        app.merchant_profile_id = None
    paths = [f"policies/{old.ids[name]}" for name in ("given up", "sold there")]
    paths += [f"products/{old.ids['old']}", f"discount-codes/{old.ids['TIERS']}"]
    for path in (*paths, f"merchant-profiles/{old.ids['second']}"):
        answer = await front.http.delete(f"/v1/admin/{path}", headers=ADMIN)
        assert answer.status_code == 200, answer.text
    old.license("late", policy_id=old.ids["sold there"])
    report = await move(front, old)
    assert {kind: report.brought[kind] for kind in ("tiers", "products", "codes", "licenses", "merchant profiles")} == {
        "tiers": 1,
        "products": 0,
        "codes": 0,
        "licenses": 1,
        "merchant profiles": 0,
    }
    differ = {kind: names for (kind, why), names in report.differs.items() if why == "was deleted here"}
    wanted = {"tiers": "given up", "products": "old", "codes": "TIERS", "merchant profiles": "second"}
    assert differ == {kind: [old.ids[name]] for kind, name in wanted.items()}
    async with front.shop.read() as read:
        assert await pin_of(read, "EUR") is None


async def test_nobody_is_billed_for_what_was_paid_nor_let_off_for_ever(front: Front, old: Published) -> None:
    team = {"policy_id": old.ids["team"], "email": "hal@example.org"}
    now = old.now
    for number, days in enumerate((75, 45)):  # the older one was refunded
        old.sold(f"hal {number}", days_ago=days, status="active" if number else "revoked", **team)
        old.subscription(f"of hal {number}", f"hal {number}", days_ago=days)
    team["email"] = "ida@example.org"
    old.sold("ida", days_ago=75, expires_at=at(now - timedelta(days=45)), **team)  # no renewal moved it there (D-1)
    old.sold("ida again", days_ago=15, **team)
    old.subscription("of ida", "ida", days_ago=75)
    old.cycle("of ida", "invoice of ida again", 3, 15)
    old.sold("tom", days_ago=5, expires_at=at(now + timedelta(days=9)), **team)
    old.subscription(
        "of tom", "tom", days_ago=5, listed_currency="SAT", listed_value=0
    )  # a trial, as it was kept (D-2)
    await move(front, old)
    async with front.shop.read() as read:
        rows = {name: await read.get(Subscription, uuid_of(old, name)) for name in old.ids if name.startswith("of ")}
    assert [rows[f"of hal {number}"].status for number in range(2)] == ["cancelled", "active"]
    assert rows["of ida"].paid_through == now + timedelta(days=15)
    assert (rows["of tom"].listed_currency, rows["of tom"].listed_value) == ("USD", 1200)


SENSELESS = (None, -1, 2**62, 2.5, "", "?", "x" * 5000, b"\xff", "9999-12-31T23:59:59Z", str(UUID(int=5)), "[[[")
OF_ITS_OWN = {  # of each copy of a row, lest it is left behind for another reason; and the row that is copied
    "merchant_profiles": (2, ""),
    "products": (1, "slug = 's' || rowid"),
    "policies": (2, "slug = 's' || rowid"),
    "discount_codes": (1, "code = 'C' || rowid"),
    "invoices": (1, ""),
    "licenses": (5, ""),
    "machines": (1, "fingerprint_hash = 'h' || rowid"),
    "discount_redemptions": (2, "invoice_id = printf('00000000-0000-4002-8000-%012d', rowid)"),
    "subscriptions": (1, "license_id = printf('00000000-0000-4002-8000-%012d', rowid)"),
    "subscription_invoices": (1, "cycle_number = rowid"),
    "webhook_endpoints": (1, ""),
    "scoped_api_keys": (1, "token_hash = 'h' || rowid"),
    "settings": (2, ""),
}

HERE: dict[str, Any] = {
    "products": Product,
    "policies": Policy,
    "discount_codes": DiscountCode,
    "invoices": Order,
    "licenses": License,
    "machines": Machine,
    "discount_redemptions": Redemption,
    "subscriptions": Subscription,
    "webhook_endpoints": Endpoint,
    "scoped_api_keys": ApiKey,
}


def spoil(old: Published) -> dict[str, tuple[str, str]]:
    """Copies of a row of each table, each with one senseless value in one column. Table and column, by id."""
    spoilt: dict[str, tuple[str, str]] = {}
    with closing(sqlite3.connect(old.path)) as file, file:
        for table, columns in (
            ("invoices", "product_id, status, amount_sats, checkout_url, created_at, updated_at, btcpay_invoice_id"),
            ("licenses", "product_id, policy_id, status, issued_at, invoice_id"),
        ):  # one for each use, and for each subscription
            values = columns.replace("btcpay_invoice_id", "i").replace("invoice_id", "NULL")
            file.execute(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300) "
                f"INSERT INTO {table} (id, {columns}) SELECT printf('00000000-0000-4002-8000-%012d', i), {values} "
                f"FROM n, {table} WHERE {table}.rowid = ?",
                ({"invoices": 13, "licenses": 1}[table],),
            )
        for table, (rowid, own) in OF_ITS_OWN.items():
            columns = [str(column[1]) for column in file.execute(f"PRAGMA table_info({table})")]
            file.execute(f"CREATE TABLE copied AS SELECT * FROM {table} ORDER BY rowid")  # without any constraint
            file.execute(f"DROP TABLE {table}")
            file.execute(f"ALTER TABLE copied RENAME TO {table}")
            for column in columns:
                for value in SENSELESS:
                    row_id = str(UUID(int=len(spoilt) + 2**64, version=4))
                    spoilt[row_id] = table, column
                    made = file.execute(
                        f"INSERT INTO {table} SELECT * FROM {table} WHERE rowid = ?", (rowid,)
                    ).lastrowid
                    if own:
                        file.execute(f"UPDATE {table} SET {own} WHERE rowid = ?", (made,))
                    if "id" in columns:
                        file.execute(f"UPDATE {table} SET id = ? WHERE rowid = ?", (row_id, made))
                    if isinstance(value, bytes):
                        file.execute(f"UPDATE {table} SET {column} = CAST(? AS TEXT) WHERE rowid = ?", (value, made))
                    else:
                        file.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (value, made))
    return spoilt


@pytest.mark.once
async def test_a_row_that_makes_no_sense_is_named_and_left_behind(front: Front, old: Published) -> None:
    spoilt = spoil(old)
    report = await move(front, old)
    named = {name for names in report.left.values() for name in names}
    await seal(front.shop.store, front.counter.now)
    async with front.shop.read() as read:
        assert await violations(read, front.counter.now) == []
        for name in old.keys:
            assert await read.get(License, uuid_of(old, name))
        for table, model in HERE.items():
            here = {str(row_id) for row_id in await read.session.scalars(select(model.id))}
            of_table = {row_id for row_id, (in_table, column) in spoilt.items() if in_table == table and column != "id"}
            assert of_table & named, table
            assert of_table - named <= here, table


async def test_what_hangs_on_a_row_that_is_left_behind_stays_with_it_and_comes_once_it_is_mended(
    front: Front, old: Published
) -> None:
    change(old, "UPDATE policies SET grace_period_days = -1 WHERE slug = 'team'")
    old.add("discount_codes", "twin", code="spring", kind="percent", amount=1, created_at=at(NOON), updated_at=at(NOON))
    report = await move(front, old)
    team = [f"dora {number}" for number in range(3)] + ["eve", "fay", "gus"]
    named = {kind: names for (kind, _), names in report.left.items()}
    assert named["tiers"] == [old.ids["team"]]
    assert set(named["licenses"]) == {old.ids[name] for name in team}
    assert set(named["subscriptions"]) == {old.ids[f"of {name}"] for name in team}
    assert named["codes"] == ["SPRING"]
    assert "Left behind: 6 licenses; it names a tier that did not come: " in "\n".join(report.lines())
    change(old, "UPDATE policies SET grace_period_days = 5 WHERE slug = 'team'")
    mended = await move(front, old)
    assert (mended.brought["licenses"], mended.brought["subscriptions"]) == (6, 6)
    assert [kind for kind, _ in mended.left] == ["codes", "webhook endpoints"]
    answer = await front.http.post("/v1/validate", json={"key": old.keys["eve"], "product_slug": "app"})
    assert answer.json()["ok"]


async def test_what_was_written_by_hand_is_left_out_where_it_cannot_be_read(front: Front, old: Published) -> None:
    change(
        old, "UPDATE products SET entitlements_catalog_json = ?", '["x", {"name": "X"}, {"slug": "a"}, {"slug": "a"}]'
    )
    change(old, "UPDATE discount_codes SET applies_to_policy_ids_json = ? WHERE code = 'SPRING'", '["x", 1]')
    change(old, "UPDATE scoped_api_keys SET extra_scopes = ?", '["x", 1, null, {}]')
    change(old, "UPDATE policies SET entitlements_json = ? WHERE slug = 'pro'", '["a", "A B", 1, null, {}]')
    report = await move(front, old)
    assert [note for note in report.notes if "sold without them" in note]
    async with front.shop.read() as read:
        assert set(await read.session.scalars(select(Feature.slug))) == {"a"}
        assert (await read.session.scalars(select(ApiKey))).one().scopes == []
        spring = (await read.session.scalars(select(DiscountCode).where(DiscountCode.code == "SPRING"))).one()
        assert not spring.active  # else it would be for every tier
        assert (await read.get(Policy, uuid_of(old, "pro"))).entitlements == ["a"]  # else its key could not be made


async def test_what_moves_one_way_there_is_brought_by_the_next_import(front: Front, old: Published) -> None:
    change(old, "UPDATE licenses SET status = 'suspended', suspended_at = issued_at WHERE id = ?", old.ids["given"])
    old.add(
        "discount_redemptions", code_id=old.ids["SPRING"], invoice_id=old.ids["still open"], status="pending", **USED
    )
    await move(front, old)
    later = at(front.counter.now + timedelta(days=300))
    for name, status in (("sold", "suspended"), ("given", "active"), ("suspended", "revoked"), ("gus", "revoked")):
        change(old, "UPDATE licenses SET status = ? WHERE id = ?", status, old.ids[name])
    change(old, "UPDATE licenses SET expires_at = ? WHERE id = ?", later, old.ids["over"])
    change(old, "UPDATE machines SET deactivated_at = ? WHERE id = ?", at(old.now), old.ids["machine 0"])
    machine = {"fingerprint": "new", "fingerprint_hash": sha256(b"new").hexdigest(), "activated_at": at(old.now)}
    old.add("machines", "machine new", license_id=old.ids["sold"], **machine)
    old.add("machines", "machine of given", license_id=old.ids["given"], **machine)
    change(old, "UPDATE scoped_api_keys SET revoked_at = ?", at(old.now))
    change(old, "UPDATE invoices SET status = 'settled' WHERE id = ?", old.ids["still open"])
    old.license("bought", invoice_id=old.ids["still open"], policy_id=old.ids["pro"])
    old.sold("dora 3", days_ago=0, policy_id=old.ids["team"], email="dora@example.org")  # as a renewal was kept (D-1)
    old.cycle("of dora 0", "invoice of dora 3", 4, 45)
    change(old, "UPDATE subscriptions SET status = 'cancelled' WHERE id = ?", old.ids["of eve"])
    report = await move(front, old)
    assert report.changed == {
        "licenses suspended": 1,
        "licenses not suspended any more": 1,
        "licenses revoked": 2,
        "licenses that end later": 1,
        "machines released": 1,
        "API keys revoked": 1,
        "orders fulfilled": 1,
        "uses of codes redeemed": 1,
        "subscriptions paid further": 1,
        "subscriptions cancelled": 1,
    }
    assert (report.brought["licenses"], report.brought["machines"]) == (2, 2)
    await seal(front.shop.store, front.counter.now)
    async with front.shop.read() as read:
        assert await violations(read, front.counter.now) == []
        dora = await read.get(Subscription, uuid_of(old, "of dora 0"))
        assert (dora.paid_through, dora.cycle_number) == (front.counter.now + timedelta(days=45), 4)
        assert (await read.get(License, dora.license_id)).expires_at == dora.paid_through
        states = [(await read.get(Subscription, uuid_of(old, f"of {name}"))).status for name in ("eve", "gus")]
        assert states == [SubscriptionStatus.CANCELLED] * 2
        assert (await read.get(License, uuid_of(old, "sold"))).seats_taken == 3
        spring = (await read.session.scalars(select(DiscountCode).where(DiscountCode.code == "SPRING"))).one()
        assert spring.used_count == 2
        told = set(await read.session.scalars(select(EventRow.name).where(EventRow.actor == "import")))
    assert told >= {"license.revoked", "license.suspended", "license.unsuspended", "license.edited", "code.redeemed"}
    assert told >= {"machine.activated", "machine.deactivated", "subscription.cancelled", "api_key.revoked"}
    said = (await front.http.post("/v1/validate", json={"key": old.keys["gus"], "product_slug": "app"})).json()
    assert said["reason"] == "revoked"
    again = await move(front, old)
    assert (again.changed, sum(again.brought.values())) == ({}, 0)


async def test_nothing_that_was_decided_or_sold_here_is_undone_and_what_differs_is_named(
    front: Front, old: Published
) -> None:
    change(old, "UPDATE subscriptions SET listed_currency = '?' WHERE id = ?", old.ids["of eve"])
    await move(front, old)
    ids = {
        name: uuid_of(old, name)
        for name in ("eve", "of eve", "sold", "suspended", "bound", "over", "machine 0", "of gus", "given")
    }
    async with front.shop.work(TESTER) as work:
        await issue.revoke(work, LicenseId(ids["bound"]), "Here")
        await issue.unsuspend(work, ids["suspended"])
        own = OwnValues(expires_at=front.counter.now + timedelta(days=9))
        for name in ("over", "eve"):
            await set_own(work, ids[name], own, "Here")
        await work.session.execute(
            update(Machine).where(Machine.id == ids["machine 0"]).values(last_seen_at=front.counter.now)
        )
        await subscribed.cancel(work, ids["of gus"], reason=None, at_period_end=True)
        device = Device(sha256(b"here").hexdigest())
        assert await bind(work, await work.hold(License, ids["given"]), device)
    before, later = at(old.now - timedelta(hours=1)), at(front.counter.now + timedelta(days=300))
    change(old, "UPDATE licenses SET expires_at = ? WHERE id = ?", later, old.ids["over"])
    change(old, "UPDATE licenses SET expires_at = ? WHERE id = ?", later, old.ids["sold"])
    change(old, "UPDATE machines SET deactivated_at = ? WHERE id = ?", before, old.ids["machine 0"])
    machine = {"fingerprint": "new", "fingerprint_hash": sha256(b"new").hexdigest(), "activated_at": at(old.now)}
    old.add("machines", "machine new", license_id=old.ids["given"], **machine)
    old.cycle("of gus", "invoice of gus", 2, 60)
    change(old, "UPDATE products SET price_value = 1 WHERE slug = 'app'")
    change(old, "UPDATE subscriptions SET listed_currency = 'USD' WHERE id = ?", old.ids["of eve"])  # mended
    report = await move(front, old)
    assert not report.changed
    assert {(why, *names) for (_, why), names in report.differs.items()} == {
        ("was revoked here", old.ids["bound"]),
        ("was suspended or let go on here", old.ids["suspended"]),
        ("was given another end or tier here", old.ids["over"]),
        ("ends earlier there", old.ids["sold"]),
        ("was deactivated before it was seen here", old.ids["machine 0"]),
        ("has a seat, and all seats of its license are taken here", old.ids["machine new"]),
        ("was paid further there, and was billed or changed here", old.ids["of gus"]),
        ("has another price_value", old.ids["app"]),
        ("never ends there", old.ids["eve"]),
        ("arrived cancelled: its license was given another end or tier here", old.ids["of eve"]),
    }
    await seal(front.shop.store, front.counter.now)
    async with front.shop.read() as read:
        assert await violations(read, front.counter.now) == []
