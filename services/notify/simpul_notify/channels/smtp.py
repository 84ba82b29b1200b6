"""Sends e-mail by SMTP submission: STARTTLS with a verified certificate, then AUTH; never unencrypted."""

import asyncio
import html
import re
import ssl
from contextlib import suppress
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from pathlib import Path
from typing import Final

import aiosmtplib
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from simpul_notify.channels.provider import OutgoingMessage
from simpul_notify.domain.alerts import Outcome
from simpul_notify.domain.deliveries import ACCEPTED, Attempt, Capabilities, Problem
from simpul_notify.domain.notifications import AlertText
from simpul_runtime.database import utc_now
from simpul_schema.vocabulary import AlertChannel

_LINK: Final = re.compile(r"https?://[^\s<>]+")


class SmtpSettings(BaseSettings):
    """Settings of a mail server; a second one reads them with a prefix of its own."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    host: str = Field(description="host name of the mail server")
    port: int = Field(default=587, description="submission port of the mail server")
    user: str = Field(description="account on the mail server")
    password: SecretStr = Field(description="password of the account")
    ca_file: Path | None = Field(default=None, description="CA file for the mail server; defaults to the system's CAs")
    sender: str = Field(
        default="simpul@localhost",
        validation_alias="SIMPUL_MAIL_FROM",
        description="sender address; must not mention violence",
    )
    timeout: float = Field(
        default=10.0,
        gt=0,
        validation_alias="SIMPUL_PROVIDER_TIMEOUT",
        description="seconds until an attempt times out",
    )


def create(name: str, prefix: str) -> "SmtpMail":
    """Starts a mail server from the environment."""
    given = SmtpSettings(_env_prefix=prefix)
    password = given.password.get_secret_value()
    return SmtpMail(given.host, given.port, given.user, password, given.sender, given.ca_file, given.timeout, name=name)


class SmtpMail:
    """A persistent connection that sends one mail at a time."""

    def __init__(
        self,
        host: str,
        port: int,
        user: str,
        password: str,
        sender: str,
        ca_file: Path | None,
        timeout: float,
        *,
        name: str = "smtp",
    ) -> None:
        self.name = name
        self.capabilities = Capabilities(AlertChannel.MAIL)
        self._host, self._port, self._user, self._password = host, port, user, password
        self._sender = sender
        self._tls = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
        self._timeout = timeout
        self._client: aiosmtplib.SMTP | None = None
        self._lock = asyncio.Lock()

    async def send(self, message: OutgoingMessage) -> Attempt:
        """Sends one mail: a 5xx reply to this mail is a permanent rejection, every other failure is temporary."""
        async with self._lock:
            try:
                async with asyncio.timeout(self._timeout):
                    client = await self._connect()
                    await client.send_message(self._compose_mail(message.address, message.text))
            except (aiosmtplib.SMTPRecipientsRefused, aiosmtplib.SMTPDataError) as error:
                return _attempt_of(error)
            except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
                # After an incomplete dialogue the connection's state is undefined, so it is not reused.
                self._disconnect()
                return Attempt(Outcome.REJECTED_TEMPORARILY, _problem_of(error))
            else:
                return ACCEPTED

    async def close(self) -> None:
        """Ends the session and closes the connection."""
        if self._client is not None and self._client.is_connected:
            # QUIT is a courtesy; a server that does not answer must not delay the shutdown.
            with suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
                async with asyncio.timeout(2):
                    await self._client.quit()
        self._disconnect()

    async def _connect(self) -> aiosmtplib.SMTP:
        if self._client is None or not self._client.is_connected:
            client = aiosmtplib.SMTP(
                hostname=self._host,
                port=self._port,
                start_tls=True,
                tls_context=self._tls,
                username=self._user,
                password=self._password,
                timeout=self._timeout,
            )
            await client.connect()
            self._client = client
        return self._client

    def _disconnect(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _compose_mail(self, address: str, text: AlertText) -> EmailMessage:
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = self._sender, address, text.subject
        mail["Date"] = format_datetime(utc_now())
        # The default domain would reveal this machine's host name.
        mail["Message-ID"] = make_msgid(domain=self._sender.rpartition("@")[2])
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(text.body)
        mail.add_alternative(_as_html(text.body), subtype="html")
        return mail


def _as_html(body: str) -> str:
    """Returns the same text for readers that show HTML, with links to press; it loads nothing."""
    paragraphs = (html.escape(paragraph).replace("\n", "<br>\n") for paragraph in body.strip().split("\n\n"))
    linked = (_LINK.sub(lambda found: f'<a href="{found[0]}">{found[0]}</a>', each) for each in paragraphs)
    return '<!doctype html>\n<meta charset="utf-8">\n' + "\n".join(f"<p>{each}</p>" for each in linked) + "\n"


def _attempt_of(error: aiosmtplib.SMTPRecipientsRefused | aiosmtplib.SMTPDataError) -> Attempt:
    refusals = error.recipients if isinstance(error, aiosmtplib.SMTPRecipientsRefused) else [error]
    if all(500 <= refusal.code < 600 for refusal in refusals):
        return Attempt(Outcome.REJECTED_PERMANENTLY, Problem.REFUSED)
    return Attempt(Outcome.REJECTED_TEMPORARILY, Problem.BUSY)


def _problem_of(error: Exception) -> Problem:
    causes = [error, error.__cause__]
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return Problem.UNTRUSTED_CERTIFICATE
    match error:
        case aiosmtplib.SMTPAuthenticationError():
            return Problem.WRONG_CREDENTIALS
        case TimeoutError():
            return Problem.NO_ANSWER
        case aiosmtplib.SMTPServerDisconnected():
            return Problem.CONNECTION_LOST
        case aiosmtplib.SMTPConnectError() | OSError():
            return Problem.UNREACHABLE
        case _:
            return Problem.BUSY
