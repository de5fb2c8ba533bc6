"""Webhooks as a developer meets them: a listener in one terminal, the shop in another."""

from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.running import Program, free_port, running


def test_a_developer_listens_to_his_shop(stocked: Run, nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    url, secret = f"http://127.0.0.1:{port}/", "a-secret-of-the-developers-own"
    refused = stocked("webhook", "add", url)
    assert (refused.code, "KEYSAT_WEBHOOK_NETWORKS" in refused.err) == (1, True)
    monkeypatch.setenv("KEYSAT_WEBHOOK_NETWORKS", "127.0.0.1")
    assert stocked("webhook", "list").out == "Nobody is told anything.\n"
    added = stocked("webhook", "add", url, "--event", "license.*", "--secret", secret)
    assert secret in added.out
    [listed] = stocked("webhook", "list", "--json").json["items"]
    assert (listed["url"], listed["events"], listed["active"]) == (url, ["license.*"], True)
    assert secret not in stocked("webhook", "list", "--json").out

    failed = stocked("webhook", "test", listed["id"], "--json")
    assert (failed.code, failed.json["status"]) == (1, "failed")
    [failing] = stocked("webhook", "list", "--json").json["items"]
    assert (failing["consecutive_failures"], "no connection" in failing["last_failure"]) == (1, True)
    assert (stocked("webhook", "pause", listed["id"]).out, stocked("webhook", "resume", listed["id"]).out) == (
        "Paused.\n",
        "Resumed.\n",
    )
    listener = Program("keysat", "webhook", "listen", "--port", str(port), "--secret", secret, log=nowhere / "heard")
    with running(listener, url):
        assert stocked("webhook", "test", listed["id"], "--json").json["answered"] == 200
        given = stocked("license", "issue", "aurora", "pro", "--json").json
        assert stocked("job", "webhooks").code == 0
        assert f'"license_id": "{given["id"]}"' in listener.output()
        assert stocked("webhook", "replay", listed["id"], "--all").out == "1 will be sent again.\n"
        stocked("webhook", "rotate", listed["id"])
        stocked("job", "webhooks")
        heard = [line.split() for line in listener.output().splitlines() if line.startswith(("ping", "license.issued"))]
    assert [(event, *rest) for event, _, *rest in heard[:2]] == [("ping", "verified"), ("license.issued", "verified")]
    assert heard[2][:2] == heard[1][:2]  # the same id, signed with another secret
    assert heard[2][2:] != ["verified"]
    assert stocked("webhook", "delete", listed["id"]).out == "Deleted.\n"
    assert stocked("webhook", "test", listed["id"]).code == 1
