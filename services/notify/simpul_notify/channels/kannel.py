"""SMS by Kannel's HTTP interface, by POST: neither password nor text ever stands in an address."""

import aiohttp

from simpul_notify.domain import Outcome, Text


class KannelSms:
    """One kept session to one smsbox."""

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

    async def send(self, address: str, text: Text) -> Outcome:
        """202 is a yes, another 4xx a lasting no, everything else may change."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout)
        headers = {**self._headers, "X-Kannel-To": address}
        try:
            async with self._session.post(self._url, data=text.body.encode(), headers=headers) as answer:
                await answer.read()
                return _outcome(answer.status)
        except aiohttp.ClientConnectorError:
            return Outcome.REJECTED_FOR_NOW
        except (aiohttp.ClientError, TimeoutError):
            return Outcome.UNKNOWN

    async def close(self) -> None:
        """Let go of the session; a later text opens another, because a closed one refuses everything for ever."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def _outcome(status: int) -> Outcome:
    if 200 <= status < 300:
        return Outcome.ACCEPTED
    # 403 is a wrong password on our side and 429 a busy gateway: both pass, so the alert must not be given up.
    if 400 <= status < 500 and status not in (401, 403, 408, 429):
        return Outcome.REJECTED_PERMANENTLY
    return Outcome.REJECTED_FOR_NOW
