"""Sends SMS through Kannel's HTTP interface, with POST so that URLs contain neither password nor text."""

import aiohttp

from simpul_notify.domain import AlertText, Outcome


class KannelSms:
    """A persistent HTTP session with one smsbox."""

    def __init__(self, url: str, user: str, password: str, sender: str, timeout: float) -> None:
        self._url = url
        self._headers = {
            "X-Kannel-Username": user,
            "X-Kannel-Password": password,
            "X-Kannel-From": sender,
            "X-Kannel-Coding": "0",
            "X-Kannel-Charset": "UTF-8",
            "Content-Type": "text/plain; charset=UTF-8",
        }
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._session: aiohttp.ClientSession | None = None

    async def send(self, address: str, text: AlertText) -> Outcome:
        """Sends one SMS: 2xx is accepted, most of 4xx is a permanent rejection, everything else is temporary."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout)
        headers = {**self._headers, "X-Kannel-To": address}
        try:
            async with self._session.post(self._url, data=text.body.encode(), headers=headers) as answer:
                await answer.read()
                return _outcome_of(answer.status)
        except aiohttp.ClientConnectorError:
            return Outcome.REJECTED_TEMPORARILY
        except (aiohttp.ClientError, TimeoutError):
            return Outcome.UNKNOWN

    async def close(self) -> None:
        """Closes the session; the next SMS opens a new one."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def _outcome_of(status: int) -> Outcome:
    if 200 <= status < 300:
        return Outcome.ACCEPTED
    # These depend on our configuration or the gateway's load, not on the alert, so the alert is sent again.
    if 400 <= status < 500 and status not in (401, 403, 408, 429):
        return Outcome.REJECTED_PERMANENTLY
    return Outcome.REJECTED_TEMPORARILY
