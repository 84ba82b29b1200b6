"""Messages in: open, hand to the use case."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog
from prometheus_client import Counter

from simpul_routing.domain.lifecycle import Said
from simpul_routing.use_cases import JudgeReplies, KeepAccounts, ReferCases, ReplanCases, Reply, WithdrawConsent
from simpul_runtime.errors import Unprocessable
from simpul_runtime.inbox import Handler
from simpul_runtime.metrics import REGISTRY
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction
from simpul_schema import Event, Producer
from simpul_schema.messages import (
    CaseAmendedV1,
    CaseReportedV1,
    ReplyMessageParkedV1,
    ReplyReferralAcceptedV1,
    ReplyReferralCompletedV1,
    ReplyReferralDeclinedV1,
    ReplyReferralDeliveredV1,
    ReplyReferralScheduledV1,
    ReplyReferralSeenV1,
    ReplyReferralStartedV1,
    ReplyReferralUnattendedV1,
    ReplyWindowRequestedV1,
    ReplyWithdrawalAcknowledgedV1,
)
from simpul_schema.messages.case import TriageFacts
from simpul_schema.vocabulary import ParkReason

PARKED_BY_AGENCIES: Final = Counter(
    "simpul_parked_by_agencies", "Messages that agencies could not use", ["reason"], registry=REGISTRY
)

log = structlog.get_logger()

_SAID: Mapping[type[Event], Said] = {
    ReplyReferralDeliveredV1: Said.DELIVERED,
    ReplyReferralSeenV1: Said.SEEN,
    ReplyReferralAcceptedV1: Said.ACCEPTED,
    ReplyReferralDeclinedV1: Said.DECLINED,
    ReplyReferralScheduledV1: Said.SCHEDULED,
    ReplyReferralUnattendedV1: Said.UNATTENDED,
    ReplyReferralStartedV1: Said.STARTED,
    ReplyReferralCompletedV1: Said.COMPLETED,
}


def handlers(
    keys: Keys,
    refer_cases: ReferCases,
    replan_cases: ReplanCases,
    judge_replies: JudgeReplies,
    keep_accounts: KeepAccounts,
    withdraw_consent: WithdrawConsent,
) -> Mapping[type[Event], Handler]:
    """What routing does with each message."""

    async def case_reported(transaction: Transaction, events: Sequence[CaseReportedV1]) -> None:
        opened = [(event, keys.open(event, "triage", TriageFacts)) for event in events]
        await refer_cases.refer(transaction, opened)

    async def case_amended(transaction: Transaction, events: Sequence[CaseAmendedV1]) -> None:
        for event in events:
            await replan_cases.amend(transaction, event, keys.open(event, "triage", TriageFacts))
            # The next may be about the same case.
            await transaction.flush()

    replies = {message: _replied(judge_replies, said) for message, said in _SAID.items()}
    window_requested = _window_requested(keep_accounts)
    said_by_agencies: dict[type[Event], Handler] = {
        ReplyWindowRequestedV1: window_requested,
        ReplyMessageParkedV1: _message_parked,
        ReplyWithdrawalAcknowledgedV1: withdraw_consent.acknowledge,
        **replies,
    }
    heard: dict[type[Event], Handler] = {
        message: _heard(keep_accounts, handler) for message, handler in said_by_agencies.items()
    }
    return {CaseReportedV1: case_reported, CaseAmendedV1: case_amended, **heard}


def _heard(keep_accounts: KeepAccounts, handler: Handler) -> Handler:
    """Whatever an agency says, it is there."""

    async def handle(transaction: Transaction, events: Sequence[Any]) -> None:
        await handler(transaction, events)
        # Last, because its row is one that many wait for.
        await keep_accounts.heard_from(transaction, events)

    return handle


def _replied(judge_replies: JudgeReplies, said: Said) -> Handler:
    async def judge(transaction: Transaction, events: Sequence[Any]) -> None:
        for event in events:
            if event.subject_id != event.data.referral_id:
                # Order is kept by subject, so a reply must speak of the referral whose stream it is in.
                raise Unprocessable(ParkReason.INVALID, "subject")
        await judge_replies.judge(transaction, said, [Reply(event, event.data) for event in events])

    return judge


async def _message_parked(_: Transaction, events: Sequence[ReplyMessageParkedV1]) -> None:
    """Somebody must look: the agency has something that it cannot use, and nobody else knows."""
    for event in events:
        PARKED_BY_AGENCIES.labels(event.data.reason.value).inc()
        log.error(
            "agency_parked_message",
            agency=Producer.of(event.source).party,
            reason=event.data.reason.value,
            event_id=event.data.event_id,
        )


def _window_requested(keep_accounts: KeepAccounts) -> Handler:
    async def send_again(transaction: Transaction, events: Sequence[ReplyWindowRequestedV1]) -> None:
        for event in events:
            if event.data.agency != Producer.of(event.source).party:
                raise Unprocessable(ParkReason.INVALID, "agency")
            await keep_accounts.send_again(transaction, event)

    return send_again
