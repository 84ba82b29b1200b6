"""Named refusals."""

from collections.abc import Sequence
from uuid import UUID

from simpul_schema.vocabulary import Right, Service


class AgencyExcluded(Exception):
    """The agency may receive nothing of this case; pick another."""


class AgencyUnable(Exception):
    """The agency is not one of the city's, or the service is not in its mandate; pick another."""


class CaseMerged(Exception):
    """The case goes on in another one; `into` says in which."""

    def __init__(self, into: UUID) -> None:
        super().__init__(str(into))
        self.into = into


class MediationLocked(Exception):
    """Nobody may mediate in this case (UU 12/2022 art. 23)."""


class NotFromHere(Exception):
    """Where the case stands, this is not the next stage."""


class OtherServiceOwed(Exception):
    """The triage is about the lead of another service: ask for that, or let the case manager complete it."""

    def __init__(self, service: Service) -> None:
        super().__init__(service.value)
        self.service = service


class ReferralUnknown(Exception):
    """The case has no such referral that is open; read it again."""


class StillServed(Exception):
    """The child already has this service open (R8); `referral_id` says where. Give a reason to ask all the same."""

    def __init__(self, referral_id: UUID) -> None:
        super().__init__(str(referral_id))
        self.referral_id = referral_id


class CaseUnknown(Exception):
    """Routing has no case of that id; check it, or wait until its report was decided."""


class CaseChanged(Exception):
    """Somebody changed the case in the meantime; read it again and decide anew."""


class CaseHasEnded(Exception):
    """The case was terminated; reopen it first."""


class CaseIsOpen(Exception):
    """The case was not terminated, so there is nothing to reopen."""


class RightsLacking(Exception):
    """The case cannot be closed as completed; `rights` are those that are not settled yet."""

    def __init__(self, rights: Sequence[Right]) -> None:
        super().__init__(", ".join(right.value for right in rights))
        self.rights = tuple(rights)


class SuggestionUnknown(Exception):
    """Nobody has suggested to exclude this agency from the case; read it again, or exclude it by hand."""


class SuggestionDecided(Exception):
    """It was decided otherwise; to keep an agency out after all, exclude it by hand."""


class DecidesAboutItself(Exception):
    """Nobody decides whether the own agency is excluded; let the next of the agreement decide."""


class ExclusionUndecided(Exception):
    """A person must first decide about a suggested exclusion."""


class ReasonMissing(Exception):
    """Whoever takes something from a child - a right, a service, urgency, a case - must say why."""
