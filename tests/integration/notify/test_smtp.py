"""Mail through real SMTP servers, working and faulty ones."""

import asyncio
import gc
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default as modern
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from simpul_notify.channels import OutgoingMessage, SmtpMail
from simpul_notify.domain.alerts import Outcome
from simpul_notify.domain.notifications import AlertText

USER, PASSWORD = "simpul", "only-for-this-test"
SENDER = "simpul@kota.example"
TO = "piket@instansi.example"
TEXT = AlertText("R-7K3Q2M menunggu jawaban", "R-7K3Q2M menunggu jawaban Anda.\n\nKegentingan: TINGGI\n")


@dataclass
class Server:
    """A mail server that gives the configured replies first and accepts everything afterwards."""

    rcpt_answers: list[str] = field(default_factory=list)
    data_answers: list[str] = field(default_factory=list)
    quiet_for: list[float] = field(default_factory=list)
    port: int = 0
    connections: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    were_encrypted: list[bool] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _: SMTP, __: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = self.rcpt_answers.pop(0) if self.rcpt_answers else "250 fine"
        if answer.startswith("2"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, _: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - as above
        if self.quiet_for:
            await asyncio.sleep(self.quiet_for.pop(0))
        answer = self.data_answers.pop(0) if self.data_answers else "250 taken"
        if answer.startswith("2"):
            self.mails.append(message_from_bytes(envelope.original_content or b"", policy=modern))
            self.recipients += envelope.rcpt_tos
            self.were_encrypted.append(session.ssl is not None)
        return answer

    def authenticate(self, _: Any, __: Any, ___: Any, ____: Any, given: Any) -> AuthResult:
        assert isinstance(given, LoginPassword)
        right = (given.login, given.password) == (USER.encode(), PASSWORD.encode())
        # An unhandled failure is what makes aiosmtpd answer 535.
        return AuthResult(success=right, handled=False)


@dataclass(frozen=True)
class Authority:
    """Creates the authority of the server's certificate."""

    ca_file: Path
    context: ssl.SSLContext


def an_authority(folder: Path) -> Authority:
    authority = trustme.CA()
    folder.mkdir(exist_ok=True)
    authority.cert_pem.write_to_path(folder / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return Authority(folder / "ca.pem", context)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return an_authority(tmp_path / "right")


@asynccontextmanager
async def serving(server: Server, tls: ssl.SSLContext | None, *, without: Sequence[str] = ()) -> AsyncIterator[Server]:
    """Serves on a free port; without TLS it accepts unencrypted mail; `without` names ways to log in that it lacks."""
    sessions: list[SMTP] = []

    def session() -> SMTP:
        server.connections += 1
        if tls:
            sessions.append(
                SMTP(
                    server,
                    hostname="localhost",
                    tls_context=tls,
                    require_starttls=True,
                    auth_required=True,
                    authenticator=server.authenticate,
                    auth_exclude_mechanism=without,
                )
            )
        else:
            sessions.append(SMTP(server, hostname="localhost"))
        return sessions[-1]

    listening = await asyncio.get_running_loop().create_server(session, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        async with listening:
            yield server
    finally:
        for each in sessions:
            if each.transport:
                each.transport.close()
        await asyncio.sleep(0.05)


def plain_text(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


async def send(mail: SmtpMail, address: str) -> Outcome:
    return (await mail.send(OutgoingMessage(uuid4(), address, TEXT))).outcome


@asynccontextmanager
async def mail_to(
    server: Server, ca_file: Path, password: str = PASSWORD, seconds: float = 5
) -> AsyncIterator[SmtpMail]:
    mail = SmtpMail("127.0.0.1", server.port, USER, password, SENDER, ca_file, seconds)
    try:
        yield mail
    finally:
        await mail.close()


async def test_a_mail_arrives_encrypted_and_whole(authority: Authority) -> None:
    async with serving(Server(), authority.context) as server, mail_to(server, authority.ca_file) as mail:
        outcome = await send(mail, TO)

    assert outcome == Outcome.ACCEPTED
    assert server.recipients == [TO]
    assert server.were_encrypted == [True]
    (arrived,) = server.mails
    assert (arrived["From"], arrived["To"], arrived["Subject"]) == (SENDER, TO, TEXT.subject)
    assert plain_text(arrived).splitlines() == TEXT.body.splitlines()
    html_part = arrived.get_body(("html",))
    assert html_part is not None
    assert "<p>Kegentingan: TINGGI</p>" in html_part.get_content()
    assert str(arrived["Message-ID"]).endswith("@kota.example>")


async def test_mails_share_one_connection_and_each_arrives_once(authority: Authority) -> None:
    addresses = [f"piket-{n}@instansi.example" for n in range(10)]

    async with serving(Server(), authority.context) as server, mail_to(server, authority.ca_file) as mail:
        outcomes = await asyncio.gather(*(send(mail, address) for address in addresses))

    assert outcomes == [Outcome.ACCEPTED] * 10
    assert sorted(server.recipients) == addresses
    assert server.connections == 1


async def test_a_certificate_of_another_authority_gets_no_mail(authority: Authority, tmp_path: Path) -> None:
    another = an_authority(tmp_path / "another")

    async with serving(Server(), authority.context) as server, mail_to(server, another.ca_file) as mail:
        outcome = await send(mail, TO)

    assert outcome == Outcome.REJECTED_TEMPORARILY
    assert server.mails == []


async def test_nothing_is_sent_unencrypted(authority: Authority) -> None:
    async with serving(Server(), None) as server, mail_to(server, authority.ca_file) as mail:
        outcome = await send(mail, TO)

    assert outcome == Outcome.REJECTED_TEMPORARILY
    assert server.connections == 1
    assert server.mails == []


async def test_a_wrong_password_is_a_temporary_rejection(authority: Authority) -> None:
    async with serving(Server(), authority.context) as server, mail_to(server, authority.ca_file, "wrong") as mail:
        outcome = await send(mail, TO)

    assert outcome == Outcome.REJECTED_TEMPORARILY
    assert server.mails == []


@pytest.mark.parametrize(
    "refusal",
    [Server(rcpt_answers=["550 no such mailbox"]), Server(data_answers=["550 no"])],
    ids=["recipient", "content"],
)
async def test_a_permanent_rejection_does_not_affect_the_next_mail(authority: Authority, refusal: Server) -> None:
    async with serving(refusal, authority.context) as server, mail_to(server, authority.ca_file) as mail:
        outcomes = [await send(mail, TO), await send(mail, TO)]

    assert outcomes == [Outcome.REJECTED_PERMANENTLY, Outcome.ACCEPTED]
    assert len(server.mails) == 1


@pytest.mark.parametrize(
    "refusal", [Server(rcpt_answers=["451 later"]), Server(data_answers=["451 later"])], ids=["recipient", "content"]
)
async def test_a_temporary_rejection_is_temporary(authority: Authority, refusal: Server) -> None:
    async with serving(refusal, authority.context) as server, mail_to(server, authority.ca_file) as mail:
        outcomes = [await send(mail, TO), await send(mail, TO)]

    assert outcomes == [Outcome.REJECTED_TEMPORARILY, Outcome.ACCEPTED]
    assert len(server.mails) == 1


async def test_a_slow_server_times_out_and_the_next_mail_is_sent(authority: Authority) -> None:
    slow = Server(quiet_for=[2.5], data_answers=["250 taken"])
    started = time.monotonic()

    async with serving(slow, authority.context) as server, mail_to(server, authority.ca_file, seconds=1) as mail:
        first = await send(mail, TO)
        took = time.monotonic() - started
        second = await send(mail, "another@instansi.example")

    assert (first, second) == (Outcome.REJECTED_TEMPORARILY, Outcome.ACCEPTED)
    assert took > 0.8
    assert "another@instansi.example" in server.recipients


async def test_a_server_that_restarted_gets_the_next_mail(authority: Authority) -> None:
    async with serving(Server(), authority.context) as server, mail_to(server, authority.ca_file) as mail:
        await send(mail, TO)
        assert mail._client is not None
        mail._client.close()

        outcome = await send(mail, TO)

    assert outcome == Outcome.ACCEPTED
    assert server.connections == 2


async def test_a_server_that_never_greets_leaves_no_connection_open(authority: Authority) -> None:
    gone = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.read()
        gone.set()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as silent:
        server = Server(port=silent.sockets[0].getsockname()[1])
        async with mail_to(server, authority.ca_file, seconds=0.5) as mail:
            outcome = await send(mail, TO)
            gc.collect()
            async with asyncio.timeout(90):
                await gone.wait()

    assert outcome == Outcome.REJECTED_TEMPORARILY


async def test_closing_succeeds_for_an_unresponsive_server(authority: Authority) -> None:
    class Quiet(Server):
        async def handle_QUIT(self, _: SMTP, __: Session, ___: Envelope) -> str:  # noqa: N802 - as above
            await asyncio.sleep(4)
            return "221 bye"

    async with serving(Quiet(), authority.context) as server:
        mail = SmtpMail("127.0.0.1", server.port, USER, PASSWORD, SENDER, authority.ca_file, 1)
        await send(mail, TO)

        await mail.close()
