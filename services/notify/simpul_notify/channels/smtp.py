"""E-mail by SMTP submission: STARTTLS with a verified certificate, then AUTH; never in clear."""

import asyncio
import ssl
from contextlib import suppress
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from pathlib import Path

import aiosmtplib

from simpul_notify.domain import Outcome, Text
from simpul_runtime.database import utc_now


class SmtpMail:
    """One kept connection; mails go through it one after the other."""

    def __init__(
        self, host: str, port: int, user: str, password: str, sender: str, ca_file: Path | None, timeout: float
    ) -> None:
        self._host, self._port, self._user, self._password = host, port, user, password
        self._sender = sender
        self._tls = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
        self._timeout = timeout
        self._client: aiosmtplib.SMTP | None = None
        self._turn = asyncio.Lock()

    async def send(self, address: str, text: Text) -> Outcome:
        """A 5xx about this mail is a lasting no; trouble with the server or the login may pass."""
        async with self._turn:
            try:
                async with asyncio.timeout(self._timeout):
                    client = await self._connected()
                    await client.send_message(self._mail(address, text))
            except (aiosmtplib.SMTPRecipientsRefused, aiosmtplib.SMTPDataError) as error:
                return _outcome(error)
            except (aiosmtplib.SMTPException, OSError, TimeoutError):
                # A server that went quiet after DATA may have taken the mail; the connection is not to be trusted.
                self._drop()
                return Outcome.REJECTED_FOR_NOW
            else:
                return Outcome.ACCEPTED

    async def close(self) -> None:
        """Say goodbye."""
        if self._client is not None and self._client.is_connected:
            # A server that no longer answers need not be told.
            with suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
                async with asyncio.timeout(2):
                    await self._client.quit()
        self._drop()

    async def _connected(self) -> aiosmtplib.SMTP:
        if self._client is None or not self._client.is_connected:
            client = aiosmtplib.SMTP(
                hostname=self._host, port=self._port, start_tls=True, tls_context=self._tls,
                username=self._user, password=self._password, timeout=self._timeout,
            )  # fmt: skip
            await client.connect()
            self._client = client
        return self._client

    def _drop(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _mail(self, address: str, text: Text) -> EmailMessage:
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = self._sender, address, text.subject
        mail["Date"] = format_datetime(utc_now())
        # A domain of its own, because the default would tell the name of this machine.
        mail["Message-ID"] = make_msgid(domain=self._sender.rpartition("@")[2])
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(text.body)
        return mail


def _outcome(error: aiosmtplib.SMTPRecipientsRefused | aiosmtplib.SMTPDataError) -> Outcome:
    refusals = error.recipients if isinstance(error, aiosmtplib.SMTPRecipientsRefused) else [error]
    lasting = all(500 <= refusal.code < 600 for refusal in refusals)
    return Outcome.REJECTED_PERMANENTLY if lasting else Outcome.REJECTED_FOR_NOW
