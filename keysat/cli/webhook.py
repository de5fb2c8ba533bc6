"""Webhooks: who is told, replay, test, and a receiver for developers."""

from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import rich_click as click
from click import argument, option

from keysat.cli.options import MOMENT, as_json, data_dir
from keysat.cli.output import show_list, show_one


@click.group()
def webhook() -> None:
    """Who is told what happens in this shop."""


@webhook.command("list")
@data_dir
@as_json
def list_endpoints(data_dir: Path | None, as_json: bool) -> None:
    """All endpoints, the oldest first, and how each is: `failing_since` is empty for one that takes what it is told."""
    from msgspec.structs import asdict

    from keysat.cli.opened import inside
    from keysat.upkeep.shop import Shop
    from keysat.webhooks import endpoints
    from keysat.webhooks.health import health_of

    async def act(shop: Shop) -> list[dict[str, object]]:
        async with shop.read() as read:
            page = await endpoints.endpoints(read)
            keys = await endpoints.keys_of(read, [row.id for row in page.items])
            health = await health_of(read, page.items)
        return [
            {
                "id": row.id,
                "url": row.url,
                "active": row.active,
                **asdict(health[row.id]),
                "events": row.event_types,
                "description": row.description,
                "public_key": keys[row.id][0].public_key,
            }
            for row in page.items
        ]

    show_list(inside(data_dir, act, seals=False), as_json=as_json, nothing="Nobody is told anything.")


@webhook.command()
@data_dir
@argument("url")
@option("--event", "events", multiple=True, help="A name, or a group such as license.*; may be repeated. All without.")
@option("--description")
@option("--secret", help="One that the receiver has already.")
def add(data_dir: Path | None, url: str, events: tuple[str, ...], description: str | None, secret: str | None) -> None:
    """Tell URL what happens from now on. Prints the secret, once."""
    from keysat.cli.opened import CLI, inside
    from keysat.upkeep.shop import Shop
    from keysat.webhooks import endpoints
    from keysat.webhooks.endpoints import NewEndpoint, Shown
    from keysat.webhooks.names import ALL

    new = NewEndpoint(url=url, event_types=list(events) or [ALL], description=description, secret=secret)

    async def act(shop: Shop) -> Shown:
        await shop.exchange.check(url)
        async with shop.work(CLI) as work:
            return await endpoints.create(work, shop.vault, new)

    shown = inside(data_dir, act)
    click.echo(f"Endpoint {shown.endpoint.id}\nSecret   {shown.secret}\nThe secret is not shown again.")


@webhook.command()
@data_dir
@argument("endpoint_id", type=click.UUID)
def delete(data_dir: Path | None, endpoint_id: UUID) -> None:
    """Tell it nothing any more. What waits for it is given up."""
    from keysat.cli.opened import CLI, inside
    from keysat.upkeep.shop import Shop
    from keysat.webhooks import endpoints

    async def act(shop: Shop) -> None:
        async with shop.work(CLI) as work:
            await endpoints.delete(work, endpoint_id)

    inside(data_dir, act)
    click.echo("Deleted.")


@webhook.command()
@data_dir
@argument("endpoint_id", type=click.UUID)
def pause(data_dir: Path | None, endpoint_id: UUID) -> None:
    """Tell it nothing for now. What happens meanwhile waits for it, for 90 days at most."""
    _set_active(data_dir, endpoint_id, active=False)
    click.echo("Paused.")


@webhook.command()
@data_dir
@argument("endpoint_id", type=click.UUID)
def resume(data_dir: Path | None, endpoint_id: UUID) -> None:
    """Tell it again, what waited first."""
    _set_active(data_dir, endpoint_id, active=True)
    click.echo("Resumed.")


def _set_active(data_dir: Path | None, endpoint_id: UUID, *, active: bool) -> None:
    from keysat.cli.opened import CLI, inside
    from keysat.upkeep.shop import Shop
    from keysat.webhooks import endpoints
    from keysat.webhooks.endpoints import EndpointEdit

    async def act(shop: Shop) -> None:
        async with shop.work(CLI) as work:
            await endpoints.edit(work, endpoint_id, EndpointEdit(active=active))

    inside(data_dir, act)


@webhook.command()
@data_dir
@argument("endpoint_id", type=click.UUID)
@option("--overlap-hours", type=click.IntRange(0, 720), default=24, show_default=True)
def rotate(data_dir: Path | None, endpoint_id: UUID, overlap_hours: int) -> None:
    """A new secret, printed once. The older one signs too, for the hours of the overlap."""
    from keysat.cli.opened import CLI, inside
    from keysat.upkeep.shop import Shop
    from keysat.webhooks import endpoints

    async def act(shop: Shop) -> str:
        async with shop.work(CLI) as work:
            return (await endpoints.rotate(work, shop.vault, endpoint_id, overlap_hours * 3600)).secret

    click.echo(f"Secret   {inside(data_dir, act)}\nThe secret is not shown again.")


@webhook.command()
@data_dir
@argument("endpoint_id", type=click.UUID)
@option("--since", type=MOMENT, help="In UTC, by when they were written.")
@option("--until", type=MOMENT, help="In UTC.")
@option("--all", "whatever", is_flag=True, help="Not the dead letters alone: whatever became of them.")
def replay(
    data_dir: Path | None, endpoint_id: UUID, since: datetime | None, until: datetime | None, whatever: bool
) -> None:
    """Send its dead letters again. `keysat serve` does the sending."""
    from keysat.cli.opened import CLI, inside
    from keysat.upkeep.shop import Shop
    from keysat.webhooks import deliveries
    from keysat.webhooks.tables import DeliveryStatus

    status = None if whatever else DeliveryStatus.FAILED

    async def act(shop: Shop) -> deliveries.Replayed:
        async with shop.work(CLI) as work:
            return await deliveries.replay(work, endpoint_id, status=status, since=since, until=until)

    done = inside(data_dir, act)
    more = " There are more: repeat the command once these are through." if done.has_more else ""
    click.echo(f"{done.deliveries} will be sent again.{more}")


@webhook.command("test")
@data_dir
@as_json
@argument("endpoint_id", type=click.UUID)
def test_endpoint(data_dir: Path | None, as_json: bool, endpoint_id: UUID) -> None:
    """Send a ping now, once. Exit code 1 when it was not taken."""
    from keysat.cli.opened import CLI, inside
    from keysat.infra.errand import Errand
    from keysat.upkeep.shop import Shop
    from keysat.webhooks import deliveries
    from keysat.webhooks.tables import Delivery, DeliveryStatus

    async def act(shop: Shop) -> Delivery:
        return await deliveries.test(Errand(shop.store, shop.now(), CLI), shop.exchange, endpoint_id)

    row = inside(data_dir, act)
    told = {"delivery": row.id, "status": row.status, "answered": row.answer_status, "error": row.error}
    show_one(told, as_json=as_json)
    if row.status is not DeliveryStatus.DELIVERED:
        raise SystemExit(1)


@webhook.command()
@option("--port", type=click.IntRange(1, 65535), default=9000, show_default=True)
@option("--secret", help="Verifies the signatures.")
@option("--status", type=click.IntRange(200, 599), default=200, show_default=True, help="Answers with this.")
def listen(port: int, secret: str | None, status: int) -> None:
    """Print what a shop sends to http://127.0.0.1:PORT/: for developers. Until Ctrl-C.

    A sandbox shop may send to this machine; a live one when KEYSAT_WEBHOOK_NETWORKS says 127.0.0.1.
    """
    import msgspec
    import uvicorn

    from keysat.kit.clock import SystemClock
    from keysat.webhooks.sign import verify

    clock = SystemClock()

    def show(headers: dict[str, str], body: bytes) -> None:
        wrong = verify(secret, headers, body, clock.now()) if secret else "not verified: give --secret"
        event = headers.get("x-keysat-event", "no event of Keysat's")
        click.echo(f"{event}  {headers.get('webhook-id', '')}  {wrong or 'verified'}")
        try:
            click.echo(msgspec.json.format(body).decode())
        except (msgspec.DecodeError, UnicodeDecodeError):
            click.echo(f"{len(body)} bytes that are no JSON")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        show({name.decode(): value.decode("latin-1") for name, value in scope["headers"]}, body)
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    click.echo(f"Listening on http://127.0.0.1:{port}/ and answering {status}.")
    uvicorn.run(app, host="127.0.0.1", port=port, log_config=None, access_log=False, lifespan="off", ws="none")
