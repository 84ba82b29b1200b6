"""Fetches delivery reports and replies from providers that keep them, such as a modem's daemon."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import structlog

from simpul_notify.channels import PolledProvider, Provider
from simpul_notify.use_cases.record_answers import RecordAnswers
from simpul_notify.use_cases.record_reports import RecordReports

POLL_INTERVAL: Final = timedelta(seconds=5)
"""Time between two fetches from a provider."""

log = structlog.get_logger()


class PollProviders:
    """Fetches from each provider in turn; one that fails is tried again at the next interval."""

    def __init__(
        self, providers: Sequence[Provider], record_reports: RecordReports, record_answers: RecordAnswers
    ) -> None:
        self._providers = [provider for provider in providers if isinstance(provider, PolledProvider)]
        self._record_reports = record_reports
        self._record_answers = record_answers

    async def run(self) -> None:
        """Fetches until cancelled."""
        while True:
            for provider in self._providers:
                try:
                    await self._fetch(provider)
                except Exception as error:
                    log.warning("provider_not_polled", exc_info=error)
            await asyncio.sleep(POLL_INTERVAL.total_seconds())

    async def _fetch(self, provider: PolledProvider) -> None:
        incoming = await provider.fetch_incoming()
        await self._record_reports.record_polled(incoming.reports)
        for reply in incoming.replies:
            await self._record_answers.answer_by_sms(reply)
        await provider.confirm(incoming)
