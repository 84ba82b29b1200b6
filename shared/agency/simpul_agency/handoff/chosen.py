"""The hand-offs that were chosen, at work: every event goes to each of them, what they say goes to the city."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Optional, Protocol

import structlog

from simpul_agency.agency import Agency, ReferralUnknown
from simpul_agency.handoff.pages import Pages
from simpul_agency.handoff.program import Program
from simpul_agency.handoff.said import NotUnderstood, Said, Say, Word
from simpul_agency.handoff.settings import HandOffSettings
from simpul_agency.handoff.spool import Spool
from simpul_agency.handoff.table import Table
from simpul_agency.handoff.webhook import Webhook
from simpul_agency.received import Received, Reply
from simpul_schema.catalog import ANY_AGENCY, CATALOG
from simpul_schema.messages import ReferralHeartbeatV1, ReferralOfferedV1, message_class

LOOK = 1.0
"""Seconds between looks for replies that other software left."""

log = structlog.get_logger()


class HandOff(Protocol):
    """One way to other software."""

    async def open(self) -> None:
        """Get ready."""

    async def close(self) -> None:
        """Let go."""

    async def take(self, received: Received[Any]) -> Optional[Said]:
        """Hand over an event, once or again; what is answered at once. An error has it handed over again later."""

    async def listen(self, say: Say) -> None:
        """Say what other software has said meanwhile."""


class NothingChosen(Exception):
    """No hand-off is chosen; the message names the settings."""


def chosen(agency: Agency, settings: HandOffSettings) -> list[HandOff]:
    """The hand-offs that the settings name, except the pages."""
    found: list[HandOff] = []
    if settings.webhook_url:
        found.append(Webhook(settings.webhook_url, settings.webhook_secret.get_secret_value(), agency.sign))
    if settings.spool_folder:
        found.append(Spool(settings.spool_folder))
    if settings.table_url:
        found.append(Table(settings.table_url))
    if settings.program:
        found.append(Program(settings.program))
    return found


class HandOffs:
    """Registers itself for everything an agency is told."""

    def __init__(self, agency: Agency, settings: HandOffSettings) -> None:
        self._agency = agency
        self._hand_offs = chosen(agency, settings)
        self._accepts = settings.automatic == Word.ACCEPTED.value
        if not (self._hand_offs or settings.pages_port or self._accepts):
            msg = (
                "choose a hand-off: SIMPUL_AGENCY_WEBHOOK_URL, _SPOOL_FOLDER, _TABLE_URL, _PROGRAM or _PAGES_PORT, "
                "in the environment or in simpul-agency.env"
            )
            raise NothingChosen(msg)
        for row in CATALOG:
            message = message_class(row.wire_name)
            if message is not None and ANY_AGENCY in row.consumers and message is not ReferralHeartbeatV1:
                agency.on(message)(self._take)
        agency.beside(self._at_work)
        if settings.pages_port:
            agency.beside(Pages(agency, settings.pages_port).serve)

    async def _take(self, received: Received[Any], reply: Reply) -> None:
        for hand_off in self._hand_offs:
            said = await hand_off.take(received)
            if said is None:
                continue
            if said.referral_id in (None, received.data.referral_id):
                said.say(reply)
            else:
                await self._say(said, f"answer/{received.event.id}")
        if self._accepts and isinstance(received.event, ReferralOfferedV1):
            reply.accept()

    @asynccontextmanager
    async def _at_work(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as open_ones:
            for hand_off in self._hand_offs:
                await hand_off.open()
                open_ones.push_async_callback(hand_off.close)
            listening = asyncio.create_task(self._keep_listening())
            try:
                yield
            finally:
                listening.cancel()

    async def _keep_listening(self) -> None:
        while True:
            for hand_off in self._hand_offs:
                try:
                    await hand_off.listen(self._say)
                except Exception as error:
                    log.error("hand_off_failed", agency=self._agency.code, error=type(error).__name__)
            await asyncio.sleep(LOOK)

    async def _say(self, said: Said, name: str) -> None:
        if said.referral_id is None:
            msg = "referral_id is missing"
            raise NotUnderstood(msg)
        try:
            async with self._agency.reply(said.referral_id, once=name) as reply:
                said.say(reply)
        except ReferralUnknown as error:
            raise NotUnderstood(str(error)) from error
