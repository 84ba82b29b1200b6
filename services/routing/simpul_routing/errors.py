"""Errors of the use cases; each says what the caller can do."""

from collections.abc import Sequence
from uuid import UUID

from simpul_schema.vocabulary import Right, Service


class AgencyExcluded(Exception):
    """The agency is excluded from this case; choose another."""


class AgencyNotEligible(Exception):
    """The city has no such agency, or its mandate lacks the service; choose another."""


class CaseMerged(Exception):
    """The case was merged; use the case `into` instead."""

    def __init__(self, into: UUID) -> None:
        super().__init__(str(into))
        self.into = into


class MediationLocked(Exception):
    """The law forbids mediation in this case (UU 12/2022 art. 23)."""


class StageNotAllowed(Exception):
    """The case cannot change to this stage from its present state."""


class OtherServiceOutstanding(Exception):
    """The manual triage is about another service: offer that one, or have the case manager complete the triage."""

    def __init__(self, service: Service) -> None:
        super().__init__(service.value)
        self.service = service


class ReferralUnknown(Exception):
    """The case has no open referral of that id; read the case again."""


class AlreadyServed(Exception):
    """The child already has an open referral for this service (R8), `referral_id`; give a reason to offer another."""

    def __init__(self, referral_id: UUID) -> None:
        super().__init__(str(referral_id))
        self.referral_id = referral_id


class CaseUnknown(Exception):
    """Routing has no case of that id; check the id, or wait until the report has been decided."""


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


class OwnExclusion(Exception):
    """An agency cannot decide about its own exclusion; the next agency of the agreement decides."""


class ExclusionUndecided(Exception):
    """A suggested exclusion is undecided; decide it first."""


class ReasonMissing(Exception):
    """A reason is required to withdraw a right, a service or a case, or to lower the urgency."""
