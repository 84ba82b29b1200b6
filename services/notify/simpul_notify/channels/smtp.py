"""Sends e-mail by SMTP submission: STARTTLS with a verified certificate, then AUTH; never unencrypted."""

import asyncio
import ssl
from contextlib import suppress
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from pathlib import Path

import aiosmtplib

from simpul_notify.domain import AlertText, Outcome
from simpul_runtime.database import utc_now


class SmtpMail:
    """A persistent connection that sends one mail at a time."""

    def __init__(
        self, host: str, port: int, user: str, password: str, sender: str, ca_file: Path | None, timeout: float
    ) -> None:
        self._host, self._port, self._user, self._password = host, port, user, password
        self._sender = sender
        self._tls = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
        self._timeout = timeout
        self._client: aiosmtplib.SMTP | None = None
        self._lock = asyncio.Lock()

    async def send(self, address: str, text: AlertText) -> Outcome:
        """Sends one mail: a 5xx reply to this mail is a permanent rejection, every other failure is temporary."""
        async with self._lock:
            try:
                async with asyncio.timeout(self._timeout):
                    client = await self._connect()
                    await client.send_message(self._compose_mail(address, text))
            except (aiosmtplib.SMTPRecipientsRefused, aiosmtplib.SMTPDataError) as error:
                return _outcome_of(error)
            except (aiosmtplib.SMTPException, OSError, TimeoutError):
                # After an incomplete dialogue the connection's state is undefined, so it is not reused.
                self._disconnect()
                return Outcome.REJECTED_TEMPORARILY
            else:
                return Outcome.ACCEPTED

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
                hostname=self._host, port=self._port, start_tls=True, tls_context=self._tls,
                username=self._user, password=self._password, timeout=self._timeout,
            )  # fmt: skip
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
        return mail


def _outcome_of(error: aiosmtplib.SMTPRecipientsRefused | aiosmtplib.SMTPDataError) -> Outcome:
    refusals = error.recipients if isinstance(error, aiosmtplib.SMTPRecipientsRefused) else [error]
    is_permanent = all(500 <= refusal.code < 600 for refusal in refusals)
    return Outcome.REJECTED_PERMANENTLY if is_permanent else Outcome.REJECTED_TEMPORARILY
