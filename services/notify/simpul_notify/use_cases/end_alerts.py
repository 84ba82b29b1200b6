"""What was answered, ended or excluded meanwhile needs no alert any more."""

from collections.abc import Mapping, Sequence

import structlog

from simpul_notify import repository
from simpul_notify.domain import Progress
from simpul_notify.use_cases.measures import ALERTS_SUPPRESSED
from simpul_runtime.transaction import Transaction
from simpul_schema.messages import (
    CaseAgencyExcludedV1,
    ReferralAcceptedV1,
    ReferralAmendedV1,
    ReferralCancelledV1,
    ReferralCompletedV1,
    ReferralDeclinedV1,
    ReferralExclusionDecidedV1,
    ReferralReroutedV1,
    ReferralRevokedV1,
    ReferralStartedV1,
)

log = structlog.get_logger()


class EndAlerts:
    """Suppresses alerts; `levels` names the agency that each escalation level is part of."""

    def __init__(self, levels: Mapping[str, str]) -> None:
        self._levels = levels

    async def note_progress(
        self, transaction: Transaction, progress: Progress,
        events: Sequence[
            ReferralAcceptedV1 | ReferralStartedV1 | ReferralDeclinedV1 | ReferralReroutedV1 | ReferralCompletedV1
            | ReferralCancelledV1 | ReferralRevokedV1 | ReferralExclusionDecidedV1
        ],
    ) -> None:  # fmt: skip
        """Record how far referrals have come; their alerts end with what they were about."""
        suppressed = await repository.advance(transaction, [event.data.referral_id for event in events], progress)
        _count(transaction, "settled", suppressed)

    async def note_exclusions(self, transaction: Transaction, events: Sequence[CaseAgencyExcludedV1]) -> None:
        """An excluded agency, and every level that is part of it, is alerted of nothing more in the case (R6)."""
        for event in events:
            agency = event.data.agency
            parties = [agency, *(level for level, whole in self._levels.items() if whole == agency)]
            _count(transaction, "excluded", await repository.exclude(transaction, event.data.case_id, parties))

    async def note_amendments(self, transaction: Transaction, events: Sequence[ReferralAmendedV1]) -> None:
        """Alerts that still wait tell the urgency and deadline of now."""
        changes = [(event.data.referral_id, event.data.urgency, event.data.answer_by) for event in events]
        await repository.amend(transaction, changes)


def _count(transaction: Transaction, reason: str, suppressed: int) -> None:
    if suppressed:
        log.info("alerts_suppressed", reason=reason, count=suppressed)
        transaction.after_commit.append(lambda: ALERTS_SUPPRESSED.labels(reason).inc(suppressed))
