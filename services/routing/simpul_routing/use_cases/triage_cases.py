"""Actions of the case manager on an open case: referrals, urgency, exclusions, stages and mediation."""

from collections.abc import Collection
from uuid import UUID

import structlog

from simpul_routing.domain.actors import Actor
from simpul_routing.domain.case_lifecycle import CaseAction
from simpul_routing.domain.consents import ConsentTerms
from simpul_routing.domain.exclusions import SuggestionState
from simpul_routing.domain.referral import ReferralService
from simpul_routing.errors import MediationLocked, MediationReserved
from simpul_routing.use_cases.changes import CaseChanges
from simpul_schema.vocabulary import CancelReason, ReferralRole, Right, Service, Urgency

log = structlog.get_logger()


class TriageCases:
    """Actions on an open case; all raise CaseUnknown, CaseChanged, CaseMerged and CaseEnded."""

    def __init__(self, changes: CaseChanges) -> None:
        self._changes = changes

    async def offer_service(
        self,
        case_id: UUID,
        version: int,
        service: Service,
        agency: str,
        role: ReferralRole,
        *,
        by: Actor,
        reason: str,
        settles: UUID | None = None,
    ) -> ReferralService:
        """Offers a service to an agency by hand; returns the new service of the referral to that agency."""
        async with self._changes.change_open_file(case_id, version, by) as file:
            return file.offer_by_hand(service, agency, role, by.code, reason, settles)

    async def cancel_services(
        self,
        case_id: UUID,
        version: int,
        referral_id: UUID,
        why: CancelReason,
        *,
        by: Actor,
        reason: str,
        service_ids: Collection[UUID] = (),
    ) -> None:
        """Cancels services of a referral, all that are open by default, by decision of a person or as an error."""
        async with self._changes.change_open_file(case_id, version, by) as file:
            file.cancel_services(referral_id, service_ids, why, by.code, reason)

    async def change_urgency(self, case_id: UUID, version: int, urgency: Urgency, *, by: Actor, reason: str) -> None:
        """Changes the urgency and replans the case."""
        async with self._changes.change_open_file(case_id, version, by) as file:
            file.change_urgency(urgency, by.code, reason)

    async def exclude_agency(self, case_id: UUID, version: int, agency: str, *, by: Actor, reason: str) -> None:
        """Excludes an agency that is too close to the suspect."""
        async with self._changes.change_open_file(case_id, version, by) as file:
            file.exclude_agency_by_hand(agency, by.code, reason)

    async def decide_suggestion(
        self, case_id: UUID, version: int, agency: str, state: SuggestionState, *, by: Actor, reason: str
    ) -> None:
        """Confirms or rejects an exclusion that an unverified source suggested; it may be repeated."""
        async with self._changes.change_file(case_id, by) as file:
            file.decide_suggestion(agency, state, by, reason, version)

    async def record_consent(
        self, case_id: UUID, version: int, purposes: Collection[Right], terms: ConsentTerms, *, by: Actor, reason: str
    ) -> None:
        """Records a consent to purposes. Raises GuardianRelationMissing, ConsentFromSuspect."""
        async with self._changes.change_open_file(case_id, version, by) as file:
            file.record_consent(purposes, terms, by, reason)

    async def withdraw_consent(
        self, case_id: UUID, version: int, *, by: Actor, reason: str, purposes: Collection[Right] = ()
    ) -> None:
        """Withdraws the consents to purposes, all by default, and notifies the agencies that accepted for them."""
        async with self._changes.change_open_file(case_id, version, by) as file:
            file.withdraw_consent(by.code, reason, purposes)

    async def change_stage(self, case_id: UUID, version: int, action: CaseAction, *, by: Actor, reason: str) -> None:
        """Changes the stage of a case."""
        async with self._changes.change_open_file(case_id, version, by) as file:
            file.change_stage(action, by.code, reason)

    async def send_question(self, case_id: UUID, version: int, text: str, *, by: Actor) -> None:
        """Asks the reporting person, who reads and answers it with the receipt of the report."""
        async with self._changes.change_open_file(case_id, version, by) as file:
            file.send_question(text, by.code)

    async def record_mediation(self, case_id: UUID, version: int, *, by: Actor, reason: str) -> None:
        """Records a mediation.

        Where the agreement forbids it, records the attempt and raises MediationLocked or MediationReserved.
        """
        async with self._changes.change_open_file(case_id, version, by) as file:
            ruling = file.record_mediation(by, reason)
        if not ruling.is_allowed:
            log.warning("mediation_refused", case_id=case_id)
            refusal = MediationLocked if ruling.is_locked else MediationReserved
            raise refusal(ruling.clauses, ruling.agreement)
