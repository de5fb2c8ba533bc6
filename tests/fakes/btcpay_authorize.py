"""The fake's page for API keys: what `GET /api-keys/authorize` shows, and what its button sends where.

The specification says that a browser is redirected with JSON; the server sends a form that submits itself
(`payment-rails.md` 1.10).
"""

from collections.abc import Iterable, Sequence
from html import escape
from urllib.parse import parse_qsl, urlsplit

from tests.fakes.btcpay_server import Server
from tests.fakes.served import Call, Reply

PATH = "/api-keys/authorize"
KNOWN = frozenset({
    "permissions", "applicationName", "applicationIdentifier", "strict", "selectiveStores", "redirect",
})  # fmt: skip
HTML = (("content-type", "text/html; charset=utf-8"),)

Fields = list[tuple[str, str]]


def page(server: Server, call: Call) -> Reply:
    """Asks its user which store to let the application into; the button sends that back here, then the key goes on."""
    unknown = {name for name, _ in call.query} - KNOWN
    if unknown or not call.values("redirect"):
        server.violations.append(f"GET {PATH}: unknown {sorted(unknown)}, or no redirect")
    if call.method == "POST":
        ticked = [value for name, value in parse_qsl(call.body.decode()) if name == "store"]
        redirect, fields = approved(server, call.query, ticked)
        inputs = "".join(f'<input type=hidden name="{escape(name)}" value="{escape(value)}">' for name, value in fields)
        return _html(
            f'<form method=post action="{escape(redirect)}">{inputs}<button>Continue</button></form>'
            "<script>document.forms[0].submit()</script>"
        )
    asked = "".join(f"<li>{escape(name)}</li>" for name in call.values("permissions"))
    stores = "".join(
        f'<label><input type=checkbox name=store value="{escape(store.id)}"> {escape(store.name)}</label>'
        for store in server.stores.values()
    )
    who = escape((call.values("applicationName") or ["An application"])[0])
    return _html(
        f"<h1>Authorize {who}</h1><ul>{asked}</ul><form method=post>{stores}<button>Authorize app</button></form>"
    )


def checkout(call: Call) -> Reply:
    """Where a buyer would pay: here the test does. A browser asks for its icon too."""
    if not call.path.startswith("/i/"):
        return Reply(204, b"", HTML)
    return _html(f"<h1>Pay {escape(call.path.rpartition('/')[2])}</h1>")


def approved(
    server: Server, query: Iterable[tuple[str, str]], stores: Sequence[str], *, grants: Sequence[str] | None = None
) -> tuple[str, Fields]:
    """Where the browser posts to, and what. `grants` instead of what was asked for: a person may tick other boxes."""
    asked = list(query)
    names = [value for name, value in asked if name == "permissions"] if grants is None else grants
    granted = [f"{name}:{store}" for name in names for store in stores] if stores else list(names)
    key = server.make_key(*granted, store=None)
    fields = [("apiKey", key), ("userId", "user"), *(("permissions[]", one) for one in granted)]
    redirect = next(value for name, value in asked if name == "redirect")
    return redirect, [*fields, ("__RequestVerificationToken", "stray")]


def query_of(authorize_url: str) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(authorize_url).query)


def _html(body: str) -> Reply:
    return Reply(200, f"<!doctype html><title>BTCPay</title>{body}".encode(), HTML)
