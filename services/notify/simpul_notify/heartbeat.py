"""Informs an address outside the system that alerts work; whoever watches there notices when it stops."""

import aiohttp
import structlog

TIMEOUT = aiohttp.ClientTimeout(total=10)

log = structlog.get_logger()


class Heartbeat:
    """Sends an empty POST; without an address it does nothing."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def send(self) -> None:
        """Sends one heartbeat; a failure is logged, because the watcher notices it anyway."""
        if not self._url:
            return
        try:
            async with aiohttp.ClientSession(timeout=TIMEOUT) as session, session.post(self._url) as answer:
                answer.raise_for_status()
        except (aiohttp.ClientError, TimeoutError) as error:
            # The text of the error has the address, which may hold a token.
            log.warning("heartbeat_failed", error=type(error).__name__)
