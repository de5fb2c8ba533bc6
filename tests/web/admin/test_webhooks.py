"""The operator's page of webhooks, with forms alone: no script is needed."""

import re

import pytest

from keysat.infra.seals import seal
from keysat.kit.ids import random_uuid
from keysat.licenses.happenings import LicenseSuspended, LicenseUnsuspended
from keysat.operators.scopes import Role
from keysat.upkeep.shop import Shop
from keysat.web.auth import SESSION_COOKIE
from keysat.webhooks.deliver import work_off
from keysat.webhooks.sign import verify
from tests.conftest import TESTER
from tests.web.admin.signing_in import signed_in, token_for
from tests.web.conftest import Watch
from tests.webhooks.receiver import receiving

pytestmark = pytest.mark.once


async def test_an_operator_adds_tests_rotates_replays_and_deletes(sandbox: Shop, watch: Watch) -> None:
    async with receiving() as receiver, signed_in(sandbox) as browser:
        assert "Nobody is told anything yet" in (await browser.get("/admin/webhooks")).text
        form = {"url": receiver.url, "event_types": "license.*, order.paid", "description": "<b>Books</b>"}
        added = await browser.post("/admin/webhooks", data=form)
        assert (added.status_code, added.headers["cache-control"]) == (200, "no-store")
        [secret] = re.findall(r"whsec_[\w+/=]+", added.text)
        [here] = set(re.findall(r"/admin/webhooks/[0-9a-f-]{36}", added.text))
        shown = await browser.get(here)
        assert secret not in shown.text
        assert "&lt;b&gt;Books" in shown.text
        assert "whpk_" in shown.text

        tested = await browser.post(f"{here}/test", follow_redirects=True)
        assert "The test arrived." in tested.text
        assert verify(secret, receiver.taken[-1].headers, receiver.taken[-1].body, watch.now()) is None

        receiver.status = 500
        async with sandbox.work(TESTER) as work:
            suspended = LicenseSuspended(random_uuid(work.chance))
            work.record(suspended)
            work.record(LicenseUnsuspended(suspended.license_id))
        await seal(sandbox.store, sandbox.now())
        await work_off(sandbox.exchange)
        waiting = (await browser.get(here, params={"status": "pending"})).text
        assert ("tried 1 time, again" in waiting, " · waits its turn" in waiting) == (True, True)
        for _ in range(10):
            await work_off(sandbox.exchange)
            watch.pass_by(hours=30)
        browser.cookies.clear()  # the session has ended meanwhile
        browser.cookies.set(SESSION_COOKIE, await token_for(sandbox), domain=browser.base_url.host)
        listed = await browser.get("/admin/webhooks")
        assert "11 failures in a row: answered 500. 1 delivery waits. 1 dead letter." in listed.text
        dead = await browser.get(here, params={"status": "failed"})
        assert "answered 500" in dead.text
        assert "Replay 1 dead letter" in dead.text
        [delivery] = set(re.findall(r"/admin/webhooks/deliveries/[0-9a-f-]{36}", dead.text))
        assert (await browser.get(delivery)).text.count("answered 500") == 10

        receiver.status = 200
        rotated = await browser.post(f"{here}/rotate", data={"overlap_hours": "1"})
        [new] = re.findall(r"whsec_[\w+/=]+", rotated.text)
        replayed = await browser.post(f"{here}/replay", follow_redirects=True)
        assert "on their way again" in replayed.text
        await work_off(sandbox.exchange)
        assert verify(new, receiver.taken[-1].headers, receiver.taken[-1].body, watch.now()) is None
        assert "Retire the older secret" in (await browser.get(here)).text
        assert "Retire the older secret" not in (await browser.post(f"{here}/retire", follow_redirects=True)).text
        assert "on its way again" in (await browser.post(f"{delivery}/retry", follow_redirects=True)).text

        await browser.post(here, data={**form, "event_types": "*"})
        paused = await browser.post(f"{here}/active", data={"active": "off"}, follow_redirects=True)
        assert ("Paused." in paused.text, "Resume" in paused.text) == (True, True)
        retried = (await browser.post(f"{delivery}/retry", follow_redirects=True)).text
        assert ("It goes once its receiver is resumed." in retried, "its turn" in retried) == (True, False)
        assert (
            "It is told again"
            in (await browser.post(f"{here}/active", data={"active": "on"}, follow_redirects=True)).text
        )
        gone = await browser.post(f"{here}/delete", follow_redirects=True)
        assert "Deleted." in gone.text
        assert (await browser.get(here)).status_code == 404
        of_gone = (await browser.get(delivery)).text
        assert ("(deleted)" in of_gone, "its turn" in of_gone) == (True, False)


async def test_what_is_wrong_is_said_beside_the_form_and_who_may_not_sees_none(shop: Shop) -> None:
    async with signed_in(shop) as browser:
        refused = await browser.post("/admin/webhooks", data={"url": "https://10.0.0.1/x", "event_types": "*"})
        assert refused.status_code == 400
        assert 'value="https://10.0.0.1/x"' in refused.text
        long = {"url": "https://8.8.8.8/x", "description": 1001 * "x"}
        assert (await browser.post("/admin/webhooks", data=long)).status_code == 400
        assert ("which is not public" in refused.text, "autofocus" in refused.text) == (True, True)
        form = {"url": "https://8.8.8.8/x", "event_types": "order.*, license.*", "description": "<b>Books"}
        added = await browser.post("/admin/webhooks", data=form)
        [here] = set(re.findall(r"/admin/webhooks/[0-9a-f-]{36}", added.text))
        seen, etag, _ = re.findall(r'name="etag" value="(.+?)"', (await browser.get(here)).text)
        turned = {**form, "event_types": "license.*, order.*"}
        assert (await browser.post(here, data={**turned, "etag": etag})).status_code == 303
        late = await browser.post(here, data={**form, "url": "https://10.0.0.1/x", "etag": etag})
        assert (late.status_code, "There now" in late.text) == (400, False)
        assert (await browser.post(here, data={**form, "event_types": "*", "etag": etag})).status_code == 303
        again = await browser.post(here, data={**form, "event_types": "*", "etag": etag})  # a double click
        assert again.status_code == 303
        late = (await browser.post(here, data={**form, "description": "Chat", "etag": etag})).text
        edit = late.partition("<summary>Edit")[2].partition("</form>")[0]
        for words in ("Somebody else", "<strong>*<", "<strong>&lt;b&gt;Books<", 'value="Chat"', "autofocus"):
            assert words in edit
        assert (late.count('role="alert"'), 'invalid="true"' in late) == (1, False)
        for act in ("active", "delete"):
            stale = await browser.post(f"{here}/{act}", data={"active": "off", "etag": seen})
            assert (stale.status_code, "so nothing was done" in stale.text) == (412, True)
        seen = re.findall(r'name="etag" value="(.+?)"', stale.text)[0]
        for _ in range(2):
            paused = await browser.post(f"{here}/active", data={"active": "off", "etag": seen}, follow_redirects=True)
            assert "Paused." in paused.text
        assert (await browser.post(f"{here}/delete", data={"etag": seen})).status_code == 412
    async with signed_in(shop, Role.SUPPORT) as browser:
        assert "Tell somebody" not in (await browser.get("/admin/webhooks")).text
        made = await browser.post("/admin/webhooks", data={"url": "https://8.8.8.8/x", "event_types": "*"})
        assert made.status_code == 403
