"""Answers that are held back until it is known whether, and how, they shall go out."""

import msgspec
from litestar.types import ASGIApp, HTTPResponseStartEvent, Message, Receive, Scope, Send


class Answer(msgspec.Struct, frozen=True):
    """As it went out, but for the headers that every answer gets."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


async def answer_of(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> Answer:
    """What `app` says, held back. Messages that are no part of an answer go on to `send`."""
    started: list[HTTPResponseStartEvent] = []
    body = bytearray()

    async def keep(message: Message) -> None:
        if message["type"] == "http.response.start":
            started.append(message)
        elif message["type"] == "http.response.body":
            body.extend(message.get("body", b""))
        else:
            await send(message)

    await app(scope, receive, keep)
    [start] = started
    return Answer(start["status"], list(start["headers"]), bytes(body))


async def say(answer: Answer, send: Send) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": False})
