"""Happenings: what a verb says it did. They become rows of the event table in the verb's own transaction.

A happening's first field is the id of what it is about. Its body holds ids, codes, amounts and states; never an e-mail,
a name, a note, an address or a key (`architecture.md` 1.2).
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec


class Happening(msgspec.Struct, frozen=True, tag_field="event"):
    """Base of all events: `class LicenseRevoked(Happening, frozen=True, tag="license.revoked")`."""

    @property
    def name(self) -> str:
        return str(type(self).__struct_config__.tag)

    @property
    def subject(self) -> str:
        return _told(getattr(self, self.__struct_fields__[0]))

    def body(self) -> str:
        """JSON as it is stored and sealed; the event's name stands in its own column."""
        fields = {field: getattr(self, field) for field in self.__struct_fields__}
        return msgspec.json.encode(fields).decode()


def subject_in(body: str) -> str:
    """Of a happening, from its body as it is stored: the first field."""
    return _told(next(iter(msgspec.json.decode(body, type=dict[str, object]).values()), None))


def _told(subject: object) -> str:
    """Empty for what is about nobody in particular, such as a login under a name that nobody has."""
    return "" if subject is None else str(subject)


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts. `kind` is public ("buyer", "anonymous", "cli", "job:look"); credential and address are personal."""

    kind: str
    credential: str | None = None  # which key or session: its id, never its text
    address: str | None = None

    @property
    def is_personal(self) -> bool:
        return self.credential is not None or self.address is not None


def origin_hash(salt: str, credential: str | None, address: str | None) -> str:
    """Commitment to an event's origin: checkable while the origin stands, silent once it is erased."""
    return digest(salt, credential or "", address or "")


def seal_hash(
    previous: str, position: int, event_id: int, at: datetime, name: str, actor: str, body: str, origin: str | None
) -> str:
    """SHA-256 over the length-prefixed fields (`architecture.md` 1.2); `at` as RFC 3339 with microseconds in UTC."""
    moment = at.astimezone(UTC).isoformat(timespec="microseconds")
    return digest(previous, str(position), str(event_id), moment, name, actor, body, origin or "")


def digest(*fields: str) -> str:
    """Hex SHA-256 of the UTF-8 fields, each after its length in 8 big-endian bytes."""
    total = hashlib.sha256()
    for field in fields:
        data = field.encode()
        total.update(len(data).to_bytes(8, "big"))
        total.update(data)
    return total.hexdigest()
