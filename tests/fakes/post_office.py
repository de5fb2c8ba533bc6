"""A real SMTP server in the test's own loop: keeps what it accepts, and answers as it is told."""

import asyncio
import dataclasses
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from keysat.infra.setting_values import Smtp


class PostOffice:
    """Keeps what it accepts, and answers as it is told."""

    def __init__(self) -> None:
        self.letters: list[EmailMessage] = []
        self.envelopes: list[Envelope] = []
        self.rcpt_answer = "250 OK"
        self.data_answer = "250 OK"
        self.refuses: set[str] = set()  # addresses that it does not know
        self.port = 0

    async def handle_RCPT(self, _s: SMTP, _n: Session, envelope: Envelope, address: str, _options: list[str]) -> str:
        if address in self.refuses:
            return "550 5.1.1 unknown"
        if self.rcpt_answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.rcpt_answer

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        if self.data_answer.startswith("250"):
            message = message_from_bytes(envelope.content, policy=default)
            assert isinstance(message, EmailMessage)
            self.letters.append(message)
            self.envelopes.append(envelope)
        return self.data_answer

    def smtp(self, **more: Any) -> Smtp:
        return dataclasses.replace(Smtp(host="127.0.0.1", port=self.port), **more)


@asynccontextmanager
async def post_office(**options: Any) -> AsyncGenerator[PostOffice, None]:
    """In the test's own loop, so that nothing is left running when the test ends."""
    office = PostOffice()
    tls = options.pop("tls", None)
    sessions: list[SMTP] = []

    def session() -> SMTP:
        sessions.append(SMTP(office, hostname="mail.example", enable_SMTPUTF8=True, **options))
        return sessions[-1]

    server = await asyncio.get_running_loop().create_server(session, "127.0.0.1", 0, ssl=tls)
    office.port = server.sockets[0].getsockname()[1]
    try:
        yield office
    finally:
        server.close()
        for each in sessions:
            if each.transport is not None:
                each.transport.close()
        await server.wait_closed()
        await asyncio.sleep(0)
