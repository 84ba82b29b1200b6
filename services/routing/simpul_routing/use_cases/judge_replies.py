"""Judges the replies of agencies; a reply that is not allowed is refused with a reason, never dropped."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from simpul_routing import publisher, repository
from simpul_routing.domain.lifecycle import ReplyKind
from simpul_routing.domain.replies import WHOLE_CASE, Refusal, Reply
from simpul_routing.repository import CaseFiles
from simpul_runtime.transaction import Transaction
from simpul_schema import Event, Producer
from simpul_schema.messages import ReplyWithdrawalAcknowledgedV1
from simpul_schema.messages.reply import CompletionData, DeclineData, ReferralReplyData, ReplyData
from simpul_schema.vocabulary import ReplyRefusal


class JudgeReplies:
    """Judges replies of one kind that arrived together."""

    def __init__(self, files: CaseFiles) -> None:
        self._files = files

    async def judge_replies(self, transaction: Transaction, kind: ReplyKind, events: Sequence[Event]) -> None:
        """Records each reply about services of a referral, or refuses it."""
        replies = {event.id: _read_reply(event, kind) for event in events}
        ids = {reply.referral_id for reply in replies.values()}
        files = await self._files.load_of_referrals_for_update(transaction, ids, whole=kind in WHOLE_CASE)
        unknown = [reply for reply in replies.values() if reply.referral_id not in files]
        refused = [Refusal(reply, ReplyRefusal.UNKNOWN_REFERRAL) for reply in unknown]
        for file in {file.case_id: file for file in files.values()}.values():
            refused += file.record_replies([r for r in replies.values() if files.get(r.referral_id) is file])
        events_by_id = {event.id: event for event in events}
        for refusal in refused:
            _refuse_reply(transaction, events_by_id[refusal.reply.reply_id], refusal.reason, refusal.service_ids)
        await self._files.save(transaction, files.values())

    async def acknowledge_withdrawals(
        self, transaction: Transaction, events: Sequence[ReplyWithdrawalAcknowledgedV1]
    ) -> None:
        """Stops the clocks of acknowledged withdrawals; refuses acknowledgements without a withdrawal."""
        ids = {event.data.referral_id for event in events}
        files = await self._files.load_of_referrals_for_update(transaction, ids, whole=False)
        for event in events:
            file, agency = files.get(event.data.referral_id), Producer.of(event.source).party
            refusal = (
                file.acknowledge_withdrawal(event.id, event.data.referral_id, agency, event.causationid)
                if file
                else ReplyRefusal.UNKNOWN_REFERRAL
            )
            if refusal:
                _refuse_reply(transaction, event, refusal)
        await self._files.save(transaction, files.values())


def _read_reply(event: Event, kind: ReplyKind) -> Reply:
    data: ReferralReplyData = event.data  # type: ignore[attr-defined]  # every reply about a referral has data
    service_ids = data.service_ids if isinstance(data, ReplyData) else ()
    reply = Reply(event.id, data.referral_id, Producer.of(event.source).party, kind, service_ids)
    match data:
        case DeclineData(reason=reason):
            return replace(reply, reason=reason)
        case CompletionData(outcome=outcome):
            return replace(reply, outcome=outcome)
        case _:
            return reply


def _refuse_reply(
    transaction: Transaction, event: Event, reason: ReplyRefusal, service_ids: Sequence[UUID] = ()
) -> None:
    agency = Producer.of(event.source).party
    referral_id = event.data.referral_id  # type: ignore[attr-defined]  # every reply about a referral has data
    repository.add_refused_reply(transaction, event.id, referral_id, agency, reason, service_ids)
    transaction.enqueue_event(publisher.reply_refused(event, agency, referral_id, reason, service_ids))
