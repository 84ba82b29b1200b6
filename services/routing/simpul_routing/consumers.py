"""Handlers of incoming messages: each opens the sealed sections and calls a use case."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog
from prometheus_client import Counter

from simpul_routing.domain.lifecycle import ReplyKind
from simpul_routing.use_cases import JudgeReplies, PublishManifests, ReferCases, ReplanCases, Reply, WithdrawConsent
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
    "simpul_parked_by_agencies", "Messages that agencies parked", ["reason"], registry=REGISTRY
)

log = structlog.get_logger()

_REPLY_KINDS: Mapping[type[Event], ReplyKind] = {
    ReplyReferralDeliveredV1: ReplyKind.DELIVERED,
    ReplyReferralSeenV1: ReplyKind.SEEN,
    ReplyReferralAcceptedV1: ReplyKind.ACCEPTED,
    ReplyReferralDeclinedV1: ReplyKind.DECLINED,
    ReplyReferralScheduledV1: ReplyKind.SCHEDULED,
    ReplyReferralUnattendedV1: ReplyKind.UNATTENDED,
    ReplyReferralStartedV1: ReplyKind.STARTED,
    ReplyReferralCompletedV1: ReplyKind.COMPLETED,
}


def handlers(
    keys: Keys,
    refer_cases: ReferCases,
    replan_cases: ReplanCases,
    judge_replies: JudgeReplies,
    publish_manifests: PublishManifests,
    withdraw_consent: WithdrawConsent,
) -> Mapping[type[Event], Handler]:
    """Returns the handler of each message type."""

    async def refer_reported(transaction: Transaction, events: Sequence[CaseReportedV1]) -> None:
        opened = [(event, keys.open(event, "triage", TriageFacts)) for event in events]
        await refer_cases.refer_cases(transaction, opened)

    async def replan_amended(transaction: Transaction, events: Sequence[CaseAmendedV1]) -> None:
        for event in events:
            await replan_cases.amend_case(transaction, event, keys.open(event, "triage", TriageFacts))
            # The next event may be about the same case.
            await transaction.flush()

    from_agencies: dict[type[Event], Handler] = {
        ReplyWindowRequestedV1: publish_manifests.store_resend_requests,
        ReplyMessageParkedV1: _log_parked_messages,
        ReplyWithdrawalAcknowledgedV1: withdraw_consent.acknowledge_withdrawals,
        **{message: _reply_handler(judge_replies, kind) for message, kind in _REPLY_KINDS.items()},
    }
    return {
        CaseReportedV1: refer_reported,
        CaseAmendedV1: replan_amended,
        **{message: _note_agencies(publish_manifests, handler) for message, handler in from_agencies.items()},
    }


def _note_agencies(publish_manifests: PublishManifests, handler: Handler) -> Handler:
    """Wraps a handler so that the senders of its events count as reachable."""

    async def handle(transaction: Transaction, events: Sequence[Any]) -> None:
        await handler(transaction, events)
        publish_manifests.note_agencies(transaction, events)

    return handle


def _reply_handler(judge_replies: JudgeReplies, kind: ReplyKind) -> Handler:
    async def handle(transaction: Transaction, events: Sequence[Any]) -> None:
        for event in events:
            if event.subject_id != event.data.referral_id:
                # Order is kept per subject, so the referral must be the subject of the reply.
                raise Unprocessable(ParkReason.INVALID, "subject")
        await judge_replies.judge_replies(transaction, kind, [Reply(event, event.data) for event in events])

    return handle


async def _log_parked_messages(_: Transaction, events: Sequence[ReplyMessageParkedV1]) -> None:
    """Logs messages that an agency could not use, because an operator has to find out why."""
    for event in events:
        PARKED_BY_AGENCIES.labels(event.data.reason.value).inc()
        log.error(
            "agency_parked_message",
            agency=Producer.of(event.source).party,
            reason=event.data.reason.value,
            event_id=event.data.event_id,
        )
