"""Receivers are kept without what would let anybody else speak in our name."""

import base64

from sqlalchemy import select

from keysat.webhooks.endpoints import rotate
from keysat.webhooks.tables import Endpoint, EndpointSecret
from tests.conftest import TESTER
from tests.webhooks.conftest import Teller


async def test_a_secret_lies_sealed_and_is_shown_once(teller: Teller) -> None:  # D-15, D-40
    made = await teller.endpoint("https://hooks.example/keysat")
    async with teller.store.work(teller.now(), TESTER) as work:
        renewed = await rotate(work, teller.vault, made.endpoint.id)
    async with teller.store.read() as read:
        rows = [
            *await read.session.scalars(select(Endpoint)),
            *await read.session.scalars(select(EndpointSecret)),
        ]
        cells = [getattr(row, column.name) for row in rows for column in row.__table__.columns]
    kept = b"\n".join(cell if isinstance(cell, bytes) else str(cell).encode() for cell in cells)
    assert len(rows) == 3
    for secret in (made.secret, renewed.secret):
        text = secret.removeprefix("whsec_")
        assert text.encode() not in kept
        assert base64.b64decode(text) not in kept
