"""Letters arrive at a real SMTP server as they were written, and refusals say whether to try again."""

import asyncio
import dataclasses
import ssl
from datetime import UTC, datetime
from email import message_from_bytes
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import default
from importlib.resources import as_file, files
from typing import Any

import pytest
from aiosmtpd.smtp import AuthResult, LoginPassword
from hypothesis import given
from hypothesis import strategies as st

from keysat.infra.mail import Letter, Mailer, MailLimits, MailRefused, compose
from keysat.infra.setting_values import Secret, Smtp
from tests.fakes.post_office import post_office

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SENDER = Address("Our Shop", addr_spec="keys@shop.example")
LETTER = Letter(to="satoshi@gmx.example", subject="Your key", text="Thank you.\n", message_id="<1@shop.example>")


async def refusal(mailer: Mailer, letter: Letter = LETTER) -> MailRefused:
    with pytest.raises(MailRefused) as caught:
        await mailer.send(letter, NOW)
    assert "satoshi" not in str(caught.value)
    assert "hunter2" not in str(caught.value)
    return caught.value


async def test_a_plain_letter_arrives():
    async with post_office() as office:
        await Mailer(office.smtp(), SENDER).send(LETTER, NOW)
    [letter] = office.letters
    assert letter.get_content() == "Thank you.\r\n"
    assert letter.get_content_type() == "text/plain"
    assert letter["From"] == "Our Shop <keys@shop.example>"
    assert letter["To"] == "satoshi@gmx.example"
    assert letter["Subject"] == "Your key"
    assert letter["Message-ID"] == "<1@shop.example>"
    assert letter["Auto-Submitted"] == "auto-generated"
    assert letter["Date"].datetime == NOW
    assert office.envelopes[0].mail_from == "keys@shop.example"
    assert office.envelopes[0].rcpt_tos == ["satoshi@gmx.example"]


async def test_html_comes_with_the_text_for_those_who_want_it():
    text, html = "Grüße, 1 < 2 …\n" + "long " * 400, "<p>Grüße</p>" + "<br>." * 400
    async with post_office() as office:
        await Mailer(office.smtp(), SENDER).send(dataclasses.replace(LETTER, text=text, html=html), NOW)
    [letter] = office.letters
    assert letter.get_content_type() == "multipart/alternative"
    plain, rich = letter.iter_parts()
    assert (plain.get_content_type(), rich.get_content_type()) == ("text/plain", "text/html")
    assert isinstance(plain, EmailMessage)
    assert isinstance(rich, EmailMessage)
    assert plain.get_content().split() == text.split()
    assert rich.get_content().strip() == html
    content = office.envelopes[0].original_content
    assert content is not None
    assert content.isascii()
    assert max(map(len, content.split(b"\r\n"))) <= 78


async def test_a_subject_in_any_script_arrives():
    subject = "Ваш ключ 🔑 für „Straße“ " * 6
    async with post_office() as office:
        await Mailer(office.smtp(), SENDER).send(dataclasses.replace(LETTER, subject=subject), NOW)
    assert office.letters[0]["Subject"].split() == subject.split()


async def test_a_lone_dot_does_not_end_the_letter():
    async with post_office() as office:
        await Mailer(office.smtp(), SENDER).send(dataclasses.replace(LETTER, text="a\n.\nb\n..c\n"), NOW)
    assert office.letters[0].get_content() == "a\r\n.\r\nb\r\n..c\r\n"


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
async def test_credentials_open_the_door_and_wrong_ones_are_for_the_operator_to_mend():
    def check(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        known = isinstance(data, LoginPassword) and (data.login, data.password) == (b"me@shop", b"p/:@%")
        return AuthResult(success=known, handled=False)

    async with post_office(authenticator=check, auth_required=True, auth_require_tls=False) as office:
        await Mailer(office.smtp(username="me@shop", password=Secret("p/:@%")), SENDER).send(LETTER, NOW)
        wrong = await refusal(Mailer(office.smtp(username="me@shop", password=Secret("hunter2")), SENDER))
        without = await refusal(Mailer(office.smtp(), SENDER))
    assert len(office.letters) == 1
    assert not wrong.permanent
    assert "535" in str(wrong)
    assert not without.permanent


@pytest.mark.parametrize(
    ("answer", "permanent"),
    [
        ("550 5.1.1 <satoshi@gmx.example> unknown", True),
        ("552 too large", True),
        ("451 4.7.1 greylisted, satoshi@gmx.example", False),
        ("421 shutting down", False),
        ("550 spam: <http://shop.test/recover/hunter2> and https://shop.test/x?invoice_id=hunter2", True),
    ],
)
@pytest.mark.parametrize("step", ["rcpt_answer", "data_answer"])
async def test_refusals_say_whether_to_try_again(step: str, answer: str, permanent: bool):
    async with post_office() as office:
        setattr(office, step, answer)
        error = await refusal(Mailer(office.smtp(), SENDER))
    assert error.permanent is permanent
    assert answer[:3] in str(error)
    assert office.letters == []


async def test_a_server_that_is_away_is_worth_another_try():
    async with post_office() as office:
        pass
    error = await refusal(Mailer(office.smtp(), SENDER))
    assert not error.permanent


@pytest.mark.parametrize("limits", [MailLimits(step_seconds=0.1), MailLimits(letter_seconds=0.1)])
async def test_a_silent_server_does_not_hold_us(limits: MailLimits):
    accepted: list[asyncio.StreamWriter] = []

    async def say_nothing(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(writer)

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    smtp = Smtp(host="127.0.0.1", port=server.sockets[0].getsockname()[1])
    error = await refusal(Mailer(smtp, SENDER, limits))
    assert not error.permanent
    server.close()
    for writer in accepted:
        writer.close()
        await writer.wait_closed()
    await server.wait_closed()


async def test_a_needed_starttls_that_is_not_offered_sends_nothing():
    async with post_office() as office:
        smtp = office.smtp(starttls=True, username="me", password=Secret("hunter2"))
        error = await refusal(Mailer(smtp, SENDER))
    assert not error.permanent
    assert office.letters == []


async def test_a_certificate_nobody_vouches_for_is_refused():
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificates = files("aiosmtpd.tests.certs")
    with as_file(certificates / "server.crt") as certificate, as_file(certificates / "server.key") as key:
        tls.load_cert_chain(certificate, key)
    async with post_office(tls=tls) as office:
        error = await refusal(Mailer(office.smtp(tls=True), SENDER))
    assert not error.permanent
    assert "CERTIFICATE_VERIFY_FAILED" in str(error)


async def test_without_a_server_nothing_is_sent():
    mailer = Mailer(None, None)
    assert not mailer.configured
    assert not (await refusal(mailer)).permanent
    assert Mailer(Smtp(host="mail", port=25), SENDER).configured


@pytest.mark.parametrize(
    "to",
    ["", "satoshi", "satoshi@", "a@b.example, c@d.example", "a@b.example\r\nBcc: c@d.example", "Satoshi <a@b.example>"],
)
async def test_what_is_not_one_address_is_refused_for_good(to: str):
    async with post_office() as office:
        error = await refusal(Mailer(office.smtp(), SENDER), dataclasses.replace(LETTER, to=to))
    assert error.permanent
    assert office.letters == []


@given(st.text(), st.text(), st.text())
def test_no_text_can_add_a_header(subject: str, text: str, html: str):
    letter = dataclasses.replace(LETTER, subject=subject + "\r\nBcc: c@d.example", text=text, html=html)
    composed = message_from_bytes(compose(letter, SENDER, NOW).as_bytes(), policy=default)
    names = {"From", "To", "Message-ID", "Subject", "Date", "Auto-Submitted", "MIME-Version", "Content-Type"}
    assert set(composed.keys()) == names


def test_a_letter_does_not_show_its_reader_or_content():
    assert repr(LETTER) == "Letter(message_id='<1@shop.example>')"
