"""Runs the configured connectors: each gets every event, and their replies go to the city."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any, Final

import structlog

from simpul_agency.agency import Agency, ReferralUnknown
from simpul_agency.connectors.connector import Connector
from simpul_agency.connectors.program import ProgramConnector
from simpul_agency.connectors.reply_command import InvalidReply, ReplyCommand
from simpul_agency.connectors.settings import ConnectorSettings
from simpul_agency.connectors.spool import SpoolConnector
from simpul_agency.connectors.table import TableConnector
from simpul_agency.connectors.web_inbox import WebInbox
from simpul_agency.connectors.webhook import WebhookConnector
from simpul_agency.received_event import ReceivedEvent
from simpul_agency.reply import Reply
from simpul_schema.catalog import ANY_AGENCY, CATALOG
from simpul_schema.messages import AgencyManifestV1, message_class

POLL_INTERVAL: Final = 1.0
"""Seconds between two polls for replies."""

log = structlog.get_logger()


class NoConnectorConfigured(Exception):
    """No connector is configured; the message names the settings."""


def create_connectors(agency: Agency, settings: ConnectorSettings) -> list[Connector]:
    """Creates the configured connectors except the web inbox, which reads the store itself."""
    connectors: list[Connector] = []
    if settings.webhook_url:
        connectors.append(
            WebhookConnector(settings.webhook_url, settings.webhook_secret.get_secret_value(), agency.sign)
        )
    if settings.spool_folder:
        connectors.append(SpoolConnector(settings.spool_folder))
    if settings.table_url:
        connectors.append(TableConnector(settings.table_url))
    if settings.program:
        connectors.append(ProgramConnector(settings.program))
    return connectors


class ConnectorRunner:
    """Registers a handler for every event that an agency can receive."""

    def __init__(self, agency: Agency, settings: ConnectorSettings) -> None:
        self._agency = agency
        self._connectors = create_connectors(agency, settings)
        self._shares_dossier = settings.share_dossier
        self._accepts_services = settings.auto_accept
        if not (self._connectors or settings.web_inbox_port or self._accepts_services):
            msg = (
                "no connector is configured: set SIMPUL_AGENCY_WEBHOOK_URL, _SPOOL_FOLDER, _TABLE_URL, _PROGRAM or "
                "_WEB_INBOX_PORT, in the environment or in simpul-agency.env"
            )
            raise NoConnectorConfigured(msg)
        for row in CATALOG:
            message = message_class(row.wire_name)
            if message is not None and ANY_AGENCY in row.consumers and message is not AgencyManifestV1:
                agency.on(message)(self._deliver)
        agency.add_lifespan(self._run)
        if settings.web_inbox_port:
            agency.add_lifespan(WebInbox(agency, settings.web_inbox_port).serve)

    async def _deliver(self, received: ReceivedEvent[Any], reply: Reply) -> None:
        # Whatever the connectors write is in clear, so they get who the child is only where the agency chose so.
        shared = received if self._shares_dossier else replace(received, dossier={})
        for connector in self._connectors:
            for number, command in enumerate(await connector.deliver(shared)):
                if command.referral_id in (None, received.data.referral_id):
                    command.apply_to(reply)
                else:
                    await self._submit(command, f"answer/{received.event.id}/{number}")
        if self._accepts_services and received.new_services:
            reply.accept()

    @asynccontextmanager
    async def _run(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for connector in self._connectors:
                await connector.open()
                stack.push_async_callback(connector.close)
            polling = asyncio.create_task(self._poll_replies())
            try:
                yield
            finally:
                polling.cancel()

    async def _poll_replies(self) -> None:
        while True:
            for connector in self._connectors:
                try:
                    await connector.poll_replies(self._submit)
                except Exception as error:
                    log.error("connector_failed", agency=self._agency.code, error=type(error).__name__)
            await asyncio.sleep(POLL_INTERVAL)

    async def _submit(self, command: ReplyCommand, idempotency_key: str) -> None:
        if command.referral_id is None:
            msg = "referral_id is missing"
            raise InvalidReply(msg)
        try:
            async with self._agency.reply(command.referral_id, idempotency_key=idempotency_key) as reply:
                command.apply_to(reply)
        except ReferralUnknown as error:
            raise InvalidReply(str(error)) from error
