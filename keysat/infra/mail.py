"""Letters over SMTP, when the operator has named a server. Whether and when to try again is the sender's business."""

import asyncio
import re
from dataclasses import dataclass, field
from datetime import datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

import aiosmtplib

from keysat.infra.log import redact
from keysat.infra.setting_values import Smtp

REPLY_CHARACTERS_MAX = 200
_LINK = re.compile(r"\w+://[^\s<>\"']+")

# RFC 4954, 6: the server wants other credentials; the same letter goes through once they are mended.
_CREDENTIALS = frozenset({530, 534, 535, 538})


@dataclass(frozen=True, slots=True, kw_only=True)
class MailLimits:
    step_seconds: float = 15
    """For the connection and for each reply."""
    letter_seconds: float = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    to: str = field(repr=False)
    """One bare address."""
    subject: str = field(repr=False)
    text: str = field(repr=False)
    html: str | None = field(default=None, repr=False)
    message_id: str
    """With angle brackets (RFC 5322, 3.6.4). The same for each try, so that a receiver can drop the second."""


class MailRefused(Exception):
    """Not sent, as far as is known. `permanent`: this letter to this address will never be taken.

    What is the operator's to mend (server, credentials, certificate) is not permanent. The text holds no address, and
    no link: spam filters quote those that they dislike, and ours open a license.
    """

    def __init__(self, message: str, *, permanent: bool) -> None:
        super().__init__(message)
        self.permanent = permanent


class Mailer:
    """A connection for each letter: there are few, and a server may forget an idle client."""

    def __init__(self, smtp: Smtp | None, sender: Address | None, limits: MailLimits | None = None) -> None:
        self._smtp = smtp
        self._sender = sender
        self._limits = limits or MailLimits()

    @property
    def configured(self) -> bool:
        return self._smtp is not None and self._sender is not None

    async def send(self, letter: Letter, now: datetime) -> None:
        """Raises MailRefused."""
        if self._smtp is None or self._sender is None:
            raise MailRefused("mail is not set up: KEYSAT_SMTP_URL and KEYSAT_MAIL_FROM", permanent=False)
        message = compose(letter, self._sender, now)
        try:
            async with asyncio.timeout(self._limits.letter_seconds):
                await self._deliver(message, self._smtp, self._sender)
        # Replies name addresses, and a cause would be printed with them: hence `from None`.
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise _refused(error.recipients[0]) from None
        except aiosmtplib.SMTPResponseException as error:
            raise _refused(error) from None
        except (aiosmtplib.SMTPException, OSError, TimeoutError, ValueError) as error:
            reason = redact(f"{type(error).__name__}: {error}")[:REPLY_CHARACTERS_MAX]
            raise MailRefused(f"the mail server was not reached or broke off ({reason})", permanent=False) from None

    async def _deliver(self, message: EmailMessage, smtp: Smtp, sender: Address) -> None:
        await aiosmtplib.send(
            message,
            hostname=smtp.host,
            port=smtp.port,
            username=smtp.username,
            password=smtp.password.reveal() if smtp.password else None,
            use_tls=smtp.tls,
            start_tls=smtp.starttls if not smtp.tls else False,
            local_hostname=sender.domain if sender.domain.isascii() else "localhost",  # else a DNS look-up of our own
            timeout=self._limits.step_seconds,
        )


def compose(letter: Letter, sender: Address, now: datetime) -> EmailMessage:
    """RFC 5322 and 2046: plain text, and HTML as the alternative. Raises MailRefused when the address is none."""
    message = EmailMessage(policy=SMTP)
    try:
        message["From"] = sender
        message["To"] = Address(addr_spec=letter.to)  # one address: a comma would make it two
        message["Message-ID"] = letter.message_id
    except (ValueError, IndexError, MessageError):
        raise MailRefused("the address or the message id is malformed", permanent=True) from None
    message["Subject"] = " ".join(letter.subject.split())  # a line break would begin another header
    message["Date"] = format_datetime(now)
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office reply, please
    message.set_content(letter.text, cte="quoted-printable")
    if letter.html is not None:
        message.add_alternative(letter.html, subtype="html", cte="quoted-printable")
    return message


def _refused(error: aiosmtplib.SMTPResponseException) -> MailRefused:
    of_the_server = isinstance(
        error,
        aiosmtplib.SMTPAuthenticationError | aiosmtplib.SMTPConnectResponseError | aiosmtplib.SMTPHeloError,
    )
    permanent = error.code >= 500 and error.code not in _CREDENTIALS and not of_the_server
    reply = redact(_LINK.sub("[link]", " ".join(error.message.split())))[:REPLY_CHARACTERS_MAX]
    return MailRefused(f"the mail server answered {error.code} {reply}", permanent=permanent)
