"""Handlers of incoming messages: each opens the sealed sections and calls a use case."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog
from prometheus_client import Counter

from simpul_routing import publisher
from simpul_routing.domain.lifecycle import ReplyKind
from simpul_routing.use_cases import (
    AgencyQuestions,
    AmendCases,
    CaseNotes,
    ForwardDossiers,
    JudgeReplies,
    PublishManifests,
    ReferCases,
    StateCapacities,
    escalate_unreached,
    record_overlaps,
)
from simpul_runtime.errors import Unprocessable
from simpul_runtime.inbox import Handler
from simpul_runtime.metrics import REGISTRY
from simpul_runtime.signing import Keys
from simpul_runtime.topology import Binding
from simpul_runtime.transaction import Transaction
from simpul_schema import Event, Producer
from simpul_schema.messages import (
    AlertExhaustedV1,
    AuditHeadSignedV1,
    CaseAmendedV1,
    CaseErasedV1,
    CaseReportedV1,
    DossierReleasedV1,
    DossierWithdrawnV1,
    OverlapSuspectedV1,
    ReplyCapacityStatedV1,
    ReplyMessageParkedV1,
    ReplyNoteAddedV1,
    ReplyReferralAcceptedV1,
    ReplyReferralCompletedV1,
    ReplyReferralDeclinedV1,
    ReplyReferralDeliveredV1,
    ReplyReferralScheduledV1,
    ReplyReferralSeenV1,
    ReplyReferralStartedV1,
    ReplyReferralUnattendedV1,
    ReplyResendRequestedV1,
    ReplyWithdrawalAcknowledgedV1,
)
from simpul_schema.messages.case import TriageFacts
from simpul_schema.messages.reply import CaseNote
from simpul_schema.names import EVENTS, REPLIES
from simpul_schema.vocabulary import ParkReason

PARKED_BY_AGENCIES: Final = Counter(
    "simpul_parked_by_agencies", "Messages that agencies parked", ["reason"], registry=REGISTRY
)

BINDINGS: Final[tuple[Binding, ...]] = (
    (EVENTS, "case.reported.v1"),
    (EVENTS, "case.amended.v1"),
    (EVENTS, "case.erased.v1"),
    (EVENTS, "overlap.suspected.v1"),
    (EVENTS, "dossier.released.v1"),
    (EVENTS, "dossier.withdrawn.v1"),
    (EVENTS, "alert.exhausted.v1"),
    (EVENTS, "audit.head_signed.v1"),
    (REPLIES, "reply.#"),
)
"""What routing's queue is bound to: reports, erasures, suspected overlaps, dossiers, alerts that reached nobody, heads
of audits, and every reply of an agency."""

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
    amend_cases: AmendCases,
    judge_replies: JudgeReplies,
    publish_manifests: PublishManifests,
    forward_dossiers: ForwardDossiers,
    case_notes: CaseNotes,
    agency_questions: AgencyQuestions,
    state_capacities: StateCapacities,
) -> Mapping[type[Event], Handler]:
    """Returns the handler of each message type."""

    async def refer_reported(transaction: Transaction, events: Sequence[CaseReportedV1]) -> None:
        opened = [(event, keys.open_section(event, "triage", TriageFacts)) for event in events]
        await refer_cases.refer_cases(transaction, opened)

    async def amend_reported(transaction: Transaction, events: Sequence[CaseAmendedV1]) -> None:
        opened = [(event, keys.open_section(event, "triage", TriageFacts)) for event in events]
        await amend_cases.amend_cases(transaction, opened)

    async def record_notes(transaction: Transaction, events: Sequence[ReplyNoteAddedV1]) -> None:
        opened = [(event, keys.open_section(event, "note", CaseNote)) for event in events]
        await case_notes.record_notes(transaction, opened)

    async def erase_written(transaction: Transaction, events: Sequence[CaseErasedV1]) -> None:
        await case_notes.erase_notes(transaction, events)
        await agency_questions.erase_questions(transaction, events)

    from_agencies: dict[type[Event], Handler] = {
        ReplyResendRequestedV1: publish_manifests.store_resend_requests,
        ReplyMessageParkedV1: _report_parked_messages,
        ReplyWithdrawalAcknowledgedV1: judge_replies.acknowledge_withdrawals,
        ReplyNoteAddedV1: record_notes,
        ReplyCapacityStatedV1: state_capacities.store_replies,
        **{message: _reply_handler(judge_replies, kind) for message, kind in _REPLY_KINDS.items()},
    }
    return {
        CaseReportedV1: refer_reported,
        CaseAmendedV1: amend_reported,
        CaseErasedV1: erase_written,
        OverlapSuspectedV1: record_overlaps,
        DossierReleasedV1: forward_dossiers.forward_releases,
        DossierWithdrawnV1: forward_dossiers.forward_withdrawals,
        AlertExhaustedV1: escalate_unreached,
        AuditHeadSignedV1: publish_manifests.store_audit_heads,
        **{message: _mark_reachable(publish_manifests, handler) for message, handler in from_agencies.items()},
    }


def _mark_reachable(publish_manifests: PublishManifests, handler: Handler) -> Handler:
    """Wraps a handler so that the senders of its events count as reachable."""

    async def handle(transaction: Transaction, events: Sequence[Any]) -> None:
        await handler(transaction, events)
        publish_manifests.mark_agencies_reachable(transaction, events)

    return handle


def _reply_handler(judge_replies: JudgeReplies, kind: ReplyKind) -> Handler:
    async def handle(transaction: Transaction, events: Sequence[Any]) -> None:
        for event in events:
            if event.subject_id != event.data.referral_id:
                # Order is kept per subject, so the referral must be the subject of the reply.
                raise Unprocessable(ParkReason.INVALID, "subject")
        await judge_replies.judge_replies(transaction, kind, events)

    return handle


async def _report_parked_messages(transaction: Transaction, events: Sequence[ReplyMessageParkedV1]) -> None:
    """Logs messages that an agency could not use, and has its leads and the coordinator alerted."""
    for agency in sorted({Producer.of(event.source).party for event in events}):
        transaction.enqueue_event(publisher.message_parked(agency, transaction.now))
    for event in events:
        PARKED_BY_AGENCIES.labels(event.data.reason.value).inc()
        log.error(
            "agency_parked_message",
            agency=Producer.of(event.source).party,
            reason=event.data.reason.value,
            event_id=event.data.event_id,
        )
