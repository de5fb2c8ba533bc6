"""The pages of merchant profiles: written, edited, made the default, and which account takes what is paid how."""

import re
from uuid import UUID

import pytest

from keysat.operators.scopes import Role
from keysat.payments.profiles import preferences
from keysat.payments.provider import Rail
from tests.web.admin.signing_in import signed_in
from tests.web.selling import Front

pytestmark = pytest.mark.once
HERE = "/admin/profiles"
ETAG = r'name="etag" value="(.+)"'


async def test_an_owner_writes_edits_prefers_makes_default_and_deletes(front: Front) -> None:
    async with signed_in(front.shop) as owner:
        listed = (await owner.get(HERE)).text
        assert ("Ada &amp; Sons" in listed, "Paid through" in listed) == (True, True)
        [first] = set(re.findall(r"/admin/profiles/[0-9a-f-]{36}", listed))
        refused = await owner.post(HERE, data={"name": "Labs", "support_email": "nobody"})
        assert (refused.status_code, 'value="nobody"' in refused.text, "autofocus" in refused.text) == (400, True, True)
        made = await owner.post(HERE, data={"name": "<Labs>", "support_email": "labs@example.org"})
        other = made.headers["location"].partition("?")[0]
        shown = (await owner.get(other)).text
        assert ("&lt;Labs&gt;" in shown, "No account takes its money yet" in shown) == (True, True)
        unnamed = await owner.post(f"{other}/default", follow_redirects=True)
        assert (unnamed.status_code, "Name it first" in unnamed.text) == (400, True)

        saved = await owner.post(first, data={"name": "Ada's", "legal_name": "Ada Ltd"}, follow_redirects=True)
        assert ("Saved." in saved.text, 'value="Ada Ltd"' in saved.text) == (True, True)
        cleared = await owner.post(first, data={"name": "Ada's"}, follow_redirects=True)
        assert 'value="Ada Ltd"' not in cleared.text
        [texts] = re.findall(ETAG, (await owner.get(first)).text)
        assert (await owner.post(first, data={"name": "<Theirs>", "etag": texts})).status_code == 303
        late = await owner.post(first, data={"name": "Mine", "legal_name": "Ada Ltd", "etag": texts})
        assert (late.status_code, late.text.count("There now: <strong>")) == (412, 2)
        for words in ('value="Mine"', "<strong>&lt;Theirs&gt;<", 'value="Ada Ltd"', "<strong>nothing<"):
            assert words in late.text
        [texts] = re.findall(ETAG, late.text)
        wrong = await owner.post(first, data={"name": "Mine", "support_email": "x", "etag": texts})
        assert (wrong.status_code, f'value="{texts}"' in wrong.text) == (400, True)
        mine = await owner.post(first, data={"name": "Ada's", "etag": texts}, follow_redirects=True)
        assert ("Saved." in mine.text, "There now" in mine.text) == (True, False)
        [till] = front.shop.tills.all()
        rails = await owner.post(f"{first}/rails", data={"lightning": str(till.id)}, follow_redirects=True)
        assert f'value="{till.id}" selected' in rails.text
        async with front.shop.read() as read:
            assert await preferences(read, UUID(first.rpartition("/")[2])) == {Rail.LIGHTNING: till.id}
        [_, rail] = re.findall(ETAG, rails.text)
        assert "New orders go there" in (await owner.post(f"{first}/rails", follow_redirects=True)).text
        late = await owner.post(f"{first}/rails", data={"lightning": str(till.id), "etag": rail})
        assert (late.status_code, "Somebody else has saved" in late.text) == (412, True)
        wrong = await owner.post(f"{first}/rails", data={"card": str(till.id)}, follow_redirects=True)
        assert (wrong.status_code, "cannot be paid by card" in wrong.text) == (400, True)

        stale = (await owner.get(other)).text
        assert "could not be bought" in stale
        [*_, seen] = re.findall(ETAG, stale.replace(">", ">\n"))
        assert "from now on" in (await owner.post(f"{other}/default", follow_redirects=True)).text
        assert "The default profile cannot be paid" in (await owner.get("/admin")).text
        kept = await owner.post(f"{first}/delete", follow_redirects=True)
        assert (kept.status_code, "1 payment connection" in kept.text) == (409, True)
        late = await owner.post(f"{other}/delete", data={"etag": seen})  # of who had it open before that
        assert (late.status_code, "so nothing was done" in late.text) == (412, True)
        assert (await owner.post(f"{other}/default", data={"etag": seen})).status_code == 303  # it is so already
        [*_, seen] = re.findall(ETAG, (await owner.get(first)).text.replace(">", ">\n"))
        for _ in range(2):
            assert (await owner.post(f"{first}/default", data={"etag": seen})).status_code == 303
        assert (await owner.post(f"{first}/delete", data={"etag": seen})).status_code == 412
        assert "cannot be paid" not in (await owner.get("/admin")).text
        assert "Deleted." in (await owner.post(f"{other}/delete", follow_redirects=True)).text
        assert (await owner.get(other)).status_code == 404
    async with signed_in(front.shop, Role.SUPPORT) as reader:
        assert "<form method" not in (await reader.get(first)).text.partition("<main")[2]
        assert (await reader.post(first, data={"name": "x"})).status_code == 403
