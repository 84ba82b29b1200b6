"""Suppresses alerts that became unnecessary, because the referral progressed or a party was excluded."""

from collections.abc import Mapping, Sequence

import structlog

from simpul_notify import repository
from simpul_notify.domain import Progress
from simpul_notify.use_cases.metrics import ALERTS_SUPPRESSED
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
    """Suppresses unnecessary alerts and updates pending ones."""

    def __init__(self, levels: Mapping[str, str]) -> None:
        """`levels` maps each escalation level to the agency that it is part of."""
        self._levels = levels

    async def record_progress(
        self, transaction: Transaction, progress: Progress,
        events: Sequence[
            ReferralAcceptedV1 | ReferralStartedV1 | ReferralDeclinedV1 | ReferralReroutedV1 | ReferralCompletedV1
            | ReferralCancelledV1 | ReferralRevokedV1 | ReferralExclusionDecidedV1
        ],
    ) -> None:  # fmt: skip
        """Records the progress of referrals and suppresses alerts that it makes unnecessary."""
        suppressed = await repository.record_progress(
            transaction, [event.data.referral_id for event in events], progress
        )
        _count_suppressed(transaction, "settled", suppressed)

    async def record_exclusions(self, transaction: Transaction, events: Sequence[CaseAgencyExcludedV1]) -> None:
        """Excludes agencies, and the escalation levels that are part of them, from further alerts of a case (R6)."""
        for event in events:
            agency = event.data.agency
            parties = [agency, *(level for level, parent in self._levels.items() if parent == agency)]
            _count_suppressed(
                transaction, "excluded", await repository.exclude_parties(transaction, event.data.case_id, parties)
            )

    async def update_pending_alerts(self, transaction: Transaction, events: Sequence[ReferralAmendedV1]) -> None:
        """Gives pending alerts the amended urgency and deadline of their referrals."""
        changes = [(event.data.referral_id, event.data.urgency, event.data.answer_by) for event in events]
        await repository.update_pending_alerts(transaction, changes)


def _count_suppressed(transaction: Transaction, reason: str, suppressed: int) -> None:
    if suppressed:
        log.info("alerts_suppressed", reason=reason, count=suppressed)
        transaction.after_commit.append(lambda: ALERTS_SUPPRESSED.labels(reason).inc(suppressed))
