"""Errors of the use cases; each says what the caller can do."""

from collections.abc import Sequence
from uuid import UUID

from simpul_agreement.model import Agreement, Clause
from simpul_schema.vocabulary import ActorRole, Right, Service


class AgencyExcluded(Exception):
    """The agency is excluded from this case; choose another."""


class AgencyNotEligible(Exception):
    """The city has no agency of that code, or its mandate lacks the service; choose one of `eligible`."""

    def __init__(self, agency: str, service: Service | None = None, eligible: Sequence[str] = ()) -> None:
        super().__init__(service.value if service else "")
        self.agency = agency
        self.service = service
        self.eligible = tuple(eligible)


class CaseMerged(Exception):
    """The case was merged; use the case `into` instead."""

    def __init__(self, into: UUID) -> None:
        super().__init__(str(into))
        self.into = into


class DayTooFar(Exception):
    """An agency is full for a year at most; state it again then."""


class MediationRefused(Exception):
    """The agreement lets nobody, or not this person, open a mediation in this case; `clauses` say why."""

    def __init__(self, clauses: Sequence[Clause], agreement: Agreement) -> None:
        super().__init__(", ".join(clause.id for clause in clauses))
        self.clauses = tuple(clauses)
        self.agreement = agreement


class MediationLocked(MediationRefused):
    """The agreement forbids mediation in this case."""


class MediationReserved(MediationRefused):
    """The agreement names other roles that may open a mediation."""


class StageNotAllowed(Exception):
    """The case cannot change to this stage from its present state."""


class OtherServiceOutstanding(Exception):
    """The manual triage is about another service: offer that one, or have the case manager complete the triage."""

    def __init__(self, service: Service) -> None:
        super().__init__(service.value)
        self.service = service


class ReferralUnknown(Exception):
    """The case has no open referral or service of that id; read the case again."""


class SettledServiceAmbiguous(Exception):
    """Several services of the referral may be settled; name one by its `service_id`."""


class AlreadyServed(Exception):
    """The child already has an open referral for this service (R8), `referral_id`; give a reason to offer another."""

    def __init__(self, referral_id: UUID) -> None:
        super().__init__(str(referral_id))
        self.referral_id = referral_id


class CaseUnknown(Exception):
    """Routing has no case of that id; check the id, or wait until the report has been decided."""


class CodeInvalid(Exception):
    """The text is neither an id nor a code; write it as in K-7K3Q-2M9F or R-7K3Q2M."""


class CodeAmbiguous(Exception):
    """Two cases or referrals have this code; give the whole id."""


class CaseChanged(Exception):
    """The case changed after it was read; read it again and repeat the action."""


class CaseEnded(Exception):
    """The case has ended; reopen it first."""


class CaseNotEnded(Exception):
    """The case has not ended, so it cannot be reopened."""


class RightsUnsettled(Exception):
    """The case cannot be closed as completed until the `rights` are settled."""

    def __init__(self, rights: Sequence[Right]) -> None:
        super().__init__(", ".join(right.value for right in rights))
        self.rights = tuple(rights)


class SuggestionUnknown(Exception):
    """No exclusion of this agency was suggested in this case; read the case again, or exclude the agency by hand."""


class SuggestionAlreadyDecided(Exception):
    """The suggestion was already decided the other way; to exclude the agency after all, do it by hand."""


class ConsentFromSuspect(Exception):
    """Whoever consents may be the suspect, or related to the child as the suspect is; the agreement's basis counts."""


class GuardianRelationMissing(Exception):
    """A guardian consents, and nobody recorded what the guardian is to the child; it may be the suspect."""


class ConsentTextUnknown(Exception):
    """The city has no consent text of this version in this language."""


class ExclusionUndecided(Exception):
    """A suggested exclusion is undecided, in this case or in the one to merge; decide it first."""


class DecisionOutstanding(Exception):
    """Another agency has yet to decide something; the person may not know what, because it is about their agency."""


class PlanUnknown(Exception):
    """The case has no service plan that awaits a decision; read the case again."""


class ServiceNotPlanned(Exception):
    """The service plan does not propose the service; read the case again."""

    def __init__(self, service: Service) -> None:
        super().__init__(service.value)
        self.service = service


class ReasonMissing(Exception):
    """A reason is required to withdraw a right, a service or a case, or to lower the urgency."""


class RoleNotPermitted(Exception):
    """People in this role may not do this; ask somebody in one of `roles`."""

    def __init__(self, roles: Sequence[ActorRole]) -> None:
        super().__init__(", ".join(role.value for role in roles))
        self.roles = tuple(roles)


class CursorInvalid(Exception):
    """The cursor of a page is not valid; start without one."""


class MonthsReversed(Exception):
    """The first month of a period is after its last."""


class MonthNotOver(Exception):
    """The period contains the present month, or a later one."""


class QuestionOpen(Exception):
    """The agency has a question about this case that is not answered yet; wait for the answer."""


class QuestionUnknown(Exception):
    """No such question waits for the agency of the person."""


class QuestionAnswered(Exception):
    """A colleague has answered the question already."""


class NobodyToAnswer(Exception):
    """No agency is left that could answer: the one that referred the child is the one that wants to know."""


class OverlapUnknown(Exception):
    """The case has no open overlap of that id; read the case again."""


class TransferUnknown(Exception):
    """The case has no open transfer of that id; read the case again."""


class TransferNotAcknowledged(Exception):
    """The child is in danger and the other party has not acknowledged the transfer; the case stays with the city."""
