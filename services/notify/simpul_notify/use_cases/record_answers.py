"""Records what responders answer to messages, and stops or hurries the alerts of others in the same transaction."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from itertools import islice
from typing import Final
from uuid import UUID

import structlog

from simpul_notify import repository
from simpul_notify.domain.answers import Answer, ReadReply, read_reply
from simpul_notify.domain.deliveries import Reply
from simpul_notify.domain.numbers import is_same_number
from simpul_notify.domain.responders import Recipient, Roster, digest_address
from simpul_notify.repository import deliveries
from simpul_notify.use_cases.metrics import ANSWERS
from simpul_runtime.transaction import Transaction, Transactions
from simpul_schema.vocabulary import AlertChannel

LINK_MAX_AGE: Final = timedelta(days=7)
"""A link works this long after its message."""
REPLY_MAX_AGE: Final = timedelta(days=1)
"""A reply is about a message of the last day."""
REPEATED_WITHIN: Final = timedelta(minutes=10)
"""The same answer within this time is the same reply, because gateways deliver some of them twice."""

log = structlog.get_logger()


class RecordAnswers:
    """Takes answers by link and by SMS; an answer never accepts, reads or closes a referral."""

    def __init__(
        self, transactions: Transactions, roster: Callable[[], Roster], wake: Callable[[Recipient, bool], None]
    ) -> None:
        """`roster` returns the roster in use; `wake` gets recipients for whom something is due."""
        self._transactions = transactions
        self._roster = roster
        self._wake = wake

    async def answer_by_link(self, token: str, answer: Answer) -> bool:
        """Records the answer of a person with a link; returns False for an unknown or expired one."""
        async with self._transactions.begin() as transaction:
            notification_id = await deliveries.find_linked_notification(transaction, token, LINK_MAX_AGE)
            if notification_id is None:
                return False
            await self._record(transaction, notification_id, answer, "link")
        return True

    async def answer_by_sms(self, reply: Reply) -> bool:
        """Records a reply to what was sent to the number that it comes from; returns whether it was one.

        It is about the referral that it names. Without a name, TERIMA is about a test that is not answered yet, because
        nothing says that it is about the alert: that one escalates until its referral is named, its link is opened or
        another reply comes later. Nobody gets an answer to a reply, so that an unknown number learns nothing.
        """
        read = read_reply(reply.text)
        numbers = self._find_number(reply.sender)
        if read is None or not numbers:
            log.info("reply_ignored", reason="unreadable" if numbers else "unknown_number")
            return False
        async with self._transactions.begin() as transaction:
            answerable = await deliveries.find_answerable(transaction, numbers, REPLY_MAX_AGE, REPEATED_WITHIN)
            chosen = _choose(answerable, read)
            if not chosen:
                log.info("reply_ignored", reason="no_such_message")
                return False
            for message in chosen:
                await self._record(transaction, message.notification_id, read.answer, "sms")
        return True

    def _find_number(self, number: str) -> dict[Recipient, str]:
        """Finds who has a number, with its digest."""
        return {
            recipient: digest_address(address)
            for responder in self._roster().responders.values()
            for recipient, address in responder.addresses.items()
            if recipient.channel is AlertChannel.SMS and is_same_number(number, address)
        }

    async def _record(self, transaction: Transaction, notification_id: UUID, answer: Answer, way: str) -> None:
        if not await deliveries.record_answer(transaction, notification_id, answer, way):
            return
        if answer.stops_others:
            stopped = await repository.end_acknowledged_escalations(transaction, notification_id)
            log.info("alerts_suppressed", reason="acknowledged", count=stopped)
        else:
            await repository.call_others(transaction, notification_id)
            for recipient in await deliveries.hurry_others(transaction, notification_id):
                transaction.after_commit.append(partial(self._wake, recipient, True))
        transaction.after_commit.append(ANSWERS.labels(answer.value, way).inc)


def _choose(answerable: Sequence[deliveries.Answerable], read: ReadReply) -> list[deliveries.Answerable]:
    """Returns the messages that a reply answers, of those to its number with the newest first; none if it cannot be."""
    code = read.code
    if code is not None:
        named = (one for one in answerable if any(code.first <= each <= code.last for each in one.referrals))
        return list(islice(named, 1))
    tests = [one for one in answerable if one.is_test]
    alerts = [one for one in answerable if not one.is_test]
    open_tests = [one for one in tests if one.is_open]
    if read.answer.stops_others:
        open_alerts = [one for one in alerts if one.is_open]
        return [*open_tests, *open_alerts, *alerts, *answerable][:1]
    # Calling others for an alert harms nobody, also when the test was meant.
    return open_tests[:1] + alerts[:1] or list(answerable[:1])
