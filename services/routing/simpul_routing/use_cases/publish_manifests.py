"""Publishes delivery manifests to agencies and sends again what an agency missed.

Handlers of messages only store what the loop then does in short transactions of its own. So the rows that belong to
agencies are locked by the loops alone, in the order of the agencies, and no reply waits for them.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final
from uuid import UUID

import structlog

from simpul_city import City
from simpul_routing import publisher, repository
from simpul_routing.domain.case import Case
from simpul_routing.repository import ResendRequest, SentEvent
from simpul_runtime.errors import Unprocessable
from simpul_runtime.held_events import HeldEvent
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction, Transactions
from simpul_schema import Event, Producer
from simpul_schema.messages import AuditHeadSignedV1, ReplyResendRequestedV1
from simpul_schema.messages.delivery import MAX_MANIFEST_ENTRIES, ManifestEntry
from simpul_schema.names import REFERRALS
from simpul_schema.vocabulary import ParkReason

INTERVALS_UNTIL_MISSED: Final = 2
"""Intervals after which an agency counts a manifest as missed, so that one may be late."""
MAX_MISSED_MANIFESTS: Final = 60
"""Manifests sent to an agency that sends nothing back; then they stop, so that its queue does not fill with them."""
REPEATED_IN: Final = 3
"""Intervals during which each signed head of an audit travels, because a manifest may be lost."""
SILENT_AFTER: Final = timedelta(minutes=40)
"""Silence after which the leads of an agency and the coordinator are alerted: a kit without work reports every 30."""
POLL_INTERVAL: Final = timedelta(seconds=1)
"""How often the loop looks for resend requests that another process stored."""

RETRY_REQUEST_AFTER: Final = timedelta(minutes=1)
"""Time until a resend request that failed is tried again."""

log = structlog.get_logger()


class PublishManifests:
    """Numbers the events sent to each agency, publishes manifests of them and answers resend requests."""

    def __init__(self, transactions: Transactions, city: City, keys: Keys, interval: timedelta) -> None:
        self._transactions = transactions
        self._city = city
        self._keys = keys
        self._interval = interval
        self._seen_agencies: set[str] = set()
        self._requested = asyncio.Event()

    async def run(self) -> None:
        """Publishes manifests once per interval and answers resend requests in between, until cancelled."""
        loop = asyncio.get_running_loop()
        publish_at = loop.time() + self._interval.total_seconds()
        while True:
            await self._wait_for_request(min(publish_at - loop.time(), POLL_INTERVAL.total_seconds()))
            try:
                await self.record_seen_agencies()
                await self.answer_resend_requests()
                if loop.time() >= publish_at:
                    publish_at = loop.time() + self._interval.total_seconds()
                    await self.publish_manifests()
            except Exception as error:
                log.warning("manifest_loop_failed", exc_info=error)

    async def _wait_for_request(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(max(seconds, 0.01)):
                await self._requested.wait()
        except TimeoutError:
            return
        self._requested.clear()

    async def publish_manifests(self) -> None:
        """Publishes a manifest to every reachable agency, even if nothing was sent to it, unless another process does.

        If a manifest is lost in a crash, its numbers are missing in the next one and the agency requests them.
        """
        async with self._transactions.begin() as guard:
            if not await repository.try_advisory_lock(guard):
                return
            numbered = repository.MAX_NUMBERED
            while numbered == repository.MAX_NUMBERED:
                numbered = await self._publish_numbered()
            async with self._transactions.begin() as transaction:
                await repository.delete_old_manifests(transaction)
                for silence in await repository.raise_silence_alarms(transaction, transaction.now - SILENT_AFTER):
                    log.error("agency_silent", agency=silence.agency)
                    transaction.enqueue_event(publisher.agency_silent(silence, is_over=False))

    async def _publish_numbered(self) -> int:
        """Numbers a batch of sent events and publishes their manifests; returns how many events there were."""
        async with self._transactions.begin() as transaction:
            sent = await repository.number_sent_events(transaction)
            reachable = await repository.find_reachable_agencies(
                transaction, self._city.agency_codes, MAX_MISSED_MANIFESTS
            )
        await self._publish_to(reachable, sent)
        return sum(map(len, sent.values()))

    async def _publish_to(self, last_numbers: Mapping[str, int], sent: Mapping[str, Sequence[SentEvent]]) -> None:
        """Publishes manifests to agencies together, or to each alone if that fails."""
        try:
            async with self._transactions.begin() as transaction:
                next_by = self._next_by(transaction.now)
                heads = await repository.list_audit_heads(transaction, transaction.now - REPEATED_IN * self._interval)
                for agency, last_number in last_numbers.items():
                    for number, part in enumerate(_split_manifest(sent.get(agency, []))):
                        events = [
                            ManifestEntry(manifest_number=event.number, event_id=event.event_id) for event in part
                        ]
                        transaction.enqueue_event(
                            publisher.delivery_manifest(
                                agency, last_number, events, next_by, None, () if number else heads
                            )
                        )
                await repository.exclude_manifests_from_numbering(transaction)
                await repository.count_missed_manifests(transaction, last_numbers)
        except Exception as error:
            log.warning("manifest_failed", count=len(last_numbers), exc_info=error)
            if len(last_numbers) > 1:
                for agency, last_number in last_numbers.items():
                    await self._publish_to({agency: last_number}, sent)

    async def store_audit_heads(self, transaction: Transaction, events: Sequence[AuditHeadSignedV1]) -> None:
        """Stores the heads of the services' audits, which the next manifests pass on."""
        for event in events:
            await repository.store_audit_heads(transaction, Producer.of(event.source).party, event.data.heads)

    def mark_agencies_reachable(self, transaction: Transaction, events: Sequence[Event]) -> None:
        """Marks the senders of these events as reachable once the transaction is committed."""
        agencies = {Producer.of(event.source).party for event in events}
        transaction.after_commit.append(partial(self._add_seen_agencies, agencies))

    def _add_seen_agencies(self, agencies: set[str]) -> None:
        self._seen_agencies |= agencies

    async def record_seen_agencies(self) -> None:
        """Resets the missed manifests of the agencies noted since the last call."""
        if not self._seen_agencies:
            return
        agencies, self._seen_agencies = self._seen_agencies, set()
        try:
            async with self._transactions.begin() as transaction:
                for silence in await repository.reset_missed_manifests(transaction, agencies):
                    transaction.enqueue_event(publisher.agency_silent(silence, is_over=True))
        except Exception:
            self._seen_agencies |= agencies
            raise

    async def store_resend_requests(self, transaction: Transaction, requests: Sequence[ReplyResendRequestedV1]) -> None:
        """Stores requests for the manifest loop. Raises Unprocessable if one is about another agency."""
        for request in requests:
            if request.data.agency != Producer.of(request.source).party:
                raise Unprocessable(ParkReason.INVALID, "agency")
            wanted = request.data
            repository.add_resend_request(
                transaction,
                ResendRequest(
                    request.id,
                    wanted.agency,
                    wanted.first_manifest_number or 1,
                    wanted.last_manifest_number,
                    wanted.since,
                    wanted.until or transaction.now if wanted.since else None,
                ),
            )
        transaction.after_commit.append(self._requested.set)

    async def answer_resend_requests(self) -> None:
        """Answers every due request: requeues its events and publishes as many manifests as they need."""
        request: ResendRequest | None = None
        while True:
            try:
                async with self._transactions.begin() as transaction:
                    request = await repository.take_resend_request(transaction)
                    if request is None:
                        return
                    await self._answer_request(transaction, request)
            except Exception as error:
                if request is None:
                    raise
                # The requests of other agencies must not wait behind it.
                log.error("resend_request_failed", agency=request.agency, exc_info=error)
                async with self._transactions.begin() as transaction:
                    retry_at = transaction.now + RETRY_REQUEST_AFTER
                    await repository.postpone_resend_request(transaction, request.event_id, retry_at)

    async def _answer_request(self, transaction: Transaction, request: ResendRequest) -> None:
        agency = request.agency
        sent = await repository.find_events_to_resend(transaction, request)
        closed = await self._find_closed_cases(
            transaction, agency, {event.case_id for event in sent}, self._is_closed_or_unreadable
        )
        withdrawn = await repository.empty_withdrawn_releases(transaction, agency, {event.case_id for event in sent})
        withheld = {
            event.event_id
            for event in sent
            if event.event_id in withdrawn or event.is_emptied or (event.case_id in closed and not event.is_withdrawal)
        }
        await repository.requeue_events(transaction, [e.message_id for e in sent if e.event_id not in withheld])
        events = [
            ManifestEntry(manifest_number=event.number, event_id=event.event_id, is_withheld=event.event_id in withheld)
            for event in sent
        ]
        last_number = await repository.find_last_number(transaction, agency)
        next_by = self._next_by(transaction.now)
        transaction.enqueue_event(publisher.delivery_manifest(agency, last_number, events, next_by, request.event_id))
        if len(sent) == MAX_MANIFEST_ENTRIES:
            # The rest follows in transactions of its own, so that no request holds up the others for long.
            repository.add_resend_request(transaction, request.continue_after(sent))
        await repository.exclude_manifests_from_numbering(transaction)
        log.info("resend_request_answered", agency=agency, count=len(sent), withheld=sum(e.is_withheld for e in events))

    async def find_withheld(self, transaction: Transaction, held: Sequence[HeldEvent]) -> set[UUID]:
        """Finds held events that their agency must not receive any more.

        The agency was excluded from the case, or the referral ended before the agency received the offer. Raises for
        a case that cannot be decrypted: held events that are found here are deleted.
        """
        to_agencies = [event for event in held if event.exchange == REFERRALS]
        withheld: set[UUID] = set()
        for agency in sorted({event.agency for event in to_agencies}):
            own = [event for event in to_agencies if event.agency == agency]
            case_ids = {event.case_id for event in own}
            closed = await self._find_closed_cases(transaction, agency, case_ids, self._is_closed_to)
            withheld |= {event.event_id for event in own if event.case_id in closed}
        offers = {
            event.subject for event in to_agencies if event.sequence == 1 and event.subject.startswith("referral/")
        }
        ended = await repository.find_ended_referrals(transaction, [_referral_id(subject) for subject in offers])
        return withheld | {
            event.event_id for event in to_agencies if event.subject in offers and _referral_id(event.subject) in ended
        }

    async def find_closed_cases(self, transaction: Transaction, agency: str, case_ids: Iterable[UUID]) -> set[UUID]:
        """Finds the cases of which this agency must learn nothing more; raises if one cannot be decrypted."""
        return await self._find_closed_cases(transaction, agency, case_ids, self._is_closed_to)

    async def _find_closed_cases(
        self,
        transaction: Transaction,
        agency: str,
        case_ids: Iterable[UUID],
        is_closed: Callable[[str, Case], bool],
    ) -> set[UUID]:
        """Finds the cases that exclude this agency, themselves or through the case that they were merged into."""
        cases = await repository.find_cases(transaction.connection, self._keys, set(case_ids))
        merged_into = {case.merged_into for case in cases.values() if case.merged_into}
        cases |= await repository.find_cases(transaction.connection, self._keys, merged_into)
        closed = {case_id for case_id, case in cases.items() if is_closed(agency, case)}
        return closed | {case_id for case_id, case in cases.items() if case.merged_into in closed}

    def _is_closed_to(self, agency: str, case: Case) -> bool:
        return agency in case.facts.origin.excluded

    def _is_closed_or_unreadable(self, agency: str, case: Case) -> bool:
        """Whether the case excludes the agency; a case that cannot be decrypted counts as closed to everybody."""
        try:
            return self._is_closed_to(agency, case)
        except Exception as error:
            log.error("case_not_readable", case_id=case.case_id, exc_info=error)
            return True

    def _next_by(self, now: datetime) -> datetime:
        return now + INTERVALS_UNTIL_MISSED * self._interval


def _referral_id(subject: str) -> UUID:
    return UUID(subject.partition("/")[2])


def _split_manifest(sent: Sequence[SentEvent]) -> list[Sequence[SentEvent]]:
    """Splits events into as many manifests as they need; an empty one if there are none."""
    return [sent[start : start + MAX_MANIFEST_ENTRIES] for start in range(0, max(len(sent), 1), MAX_MANIFEST_ENTRIES)]
