"""Each agency is told regularly what it was sent, and is sent again what it misses."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog

from simpul_city import City
from simpul_routing import publisher, repository
from simpul_routing.repository import Sent, StoredCase
from simpul_routing.stored_facts import place_of, read
from simpul_runtime.held import HeldEvent
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction, Transactions
from simpul_schema import Event, Producer
from simpul_schema.messages import ReplyWindowRequestedV1
from simpul_schema.messages.account import MOST_IN_ACCOUNT, AccountedEvent
from simpul_schema.names import REFERRALS

LATE: Final = 2
"""Intervals after which a heartbeat is missed: one may be late without anybody being alarmed."""

UNHEARD: Final = 60
"""Heartbeats to an agency that says nothing: then nobody is there, and its queue shall not fill with them."""

log = structlog.get_logger()


class KeepAccounts:
    """Numbers what agencies are sent; one process at a time does so."""

    def __init__(self, transactions: Transactions, city: City, keys: Keys, interval: timedelta) -> None:
        self._transactions = transactions
        self._city = city
        self._keys = keys
        self._interval = interval

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            await asyncio.sleep(self._interval.total_seconds())
            numbered = repository.NUMBERED_AT_ONCE
            while numbered == repository.NUMBERED_AT_ONCE:
                try:
                    async with self._transactions.begin() as transaction:
                        numbered = await self.beat(transaction)
                except Exception as error:
                    log.warning("heartbeat_failed", exc_info=error)
                    break

    async def beat(self, transaction: Transaction) -> int:
        """Tell every agency that is there what was sent to it since the last time, be it nothing; returns how much.

        Who was not told of an event finds its number missing in the next account, and asks.
        """
        if not await repository.keeps_accounts_alone(transaction):
            return 0
        sent = await repository.number_what_was_sent(transaction)
        present = await repository.agencies_to_beat(transaction, self._city.agency_codes, UNHEARD)
        next_by = self._next_by(transaction.now)
        for agency, last in sorted(present.items()):
            for part in _parts(sent.get(agency, [])):
                events = [AccountedEvent(number=one.number, event_id=one.event_id) for one in part]
                transaction.announce(publisher.heartbeat(agency, last, events, next_by, None))
        await repository.leave_uncounted(transaction)
        await repository.forget_heartbeats(transaction)
        return sum(map(len, sent.values()))

    async def heard_from(self, transaction: Transaction, events: Sequence[Event]) -> None:
        """Agencies said something: they are there, and get heartbeats."""
        await repository.heard_from(transaction, {Producer.of(event.source).party for event in events})

    async def send_again(self, transaction: Transaction, request: ReplyWindowRequestedV1) -> None:
        """Answer a request: the window's events once more, and their account."""
        agency = request.data.agency
        sent = await repository.sent_in(transaction, request.data)
        closed = await self._closed_to(transaction, agency, {one.case_id for one in sent})
        await repository.send_again(transaction, [one.message_id for one in sent if one.case_id not in closed])
        events = [
            AccountedEvent(number=one.number, event_id=one.event_id, is_withheld=one.case_id in closed) for one in sent
        ]
        last = (await repository.last_numbers(transaction)).get(agency, 0)
        transaction.announce(publisher.heartbeat(agency, last, events, self._next_by(transaction.now), request.id))
        await repository.leave_uncounted(transaction)
        log.info("window_sent_again", agency=agency, count=len(sent), withheld=sum(e.is_withheld for e in events))

    async def find_withheld(self, transaction: Transaction, held: Sequence[HeldEvent]) -> set[UUID]:
        """Held events that an agency must not get any more, now that it could read them.

        It was excluded from the case, or the referral ended before the agency was ever told of it.
        """
        to_agencies = [event for event in held if event.exchange == REFERRALS]
        withheld: set[UUID] = set()
        for agency in sorted({event.agency for event in to_agencies}):
            own = [event for event in to_agencies if event.agency == agency]
            closed = await self._closed_to(transaction, agency, {event.case_id for event in own})
            withheld |= {event.event_id for event in own if event.case_id in closed}
        offers = {
            event.subject for event in to_agencies if event.sequence == 1 and event.subject.startswith("referral/")
        }
        ended = await repository.find_ended_referrals(transaction, [_referral_id(subject) for subject in offers])
        return withheld | {
            event.event_id for event in to_agencies if event.subject in offers and _referral_id(event.subject) in ended
        }

    async def _closed_to(self, transaction: Transaction, agency: str, case_ids: set[UUID]) -> set[UUID]:
        """The cases from which this agency was excluded since, or from the case in which they go on."""
        cases = await repository.cases_of(transaction.connection, case_ids)
        following = {case.merged_into for case in cases.values() if case.merged_into}
        cases |= await repository.cases_of(transaction.connection, following)
        closed = {case_id for case_id, case in cases.items() if self._is_closed_to(agency, case)}
        return closed | {case_id for case_id, case in cases.items() if case.merged_into in closed}

    def _is_closed_to(self, agency: str, case: StoredCase) -> bool:
        """A case that cannot be read is withheld, so that it keeps the others from nobody."""
        try:
            return agency in self._excluded_from(case)
        except Exception as error:
            log.error("case_not_readable", case_id=case.case_id, exc_info=error)
            return True

    def _excluded_from(self, case: StoredCase) -> frozenset[str]:
        return read(self._keys.unlock(case.situation, place=place_of(case.case_id))).origin.excluded

    def _next_by(self, now: datetime) -> datetime:
        return now + LATE * self._interval


def _referral_id(subject: str) -> UUID:
    return UUID(subject.partition("/")[2])


def _parts(sent: Sequence[Sent]) -> list[Sequence[Sent]]:
    """As many accounts as it takes; an empty one where there is nothing."""
    return [sent[start : start + MOST_IN_ACCOUNT] for start in range(0, max(len(sent), 1), MOST_IN_ACCOUNT)]
