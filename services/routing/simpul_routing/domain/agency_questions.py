"""Questions of an agency that helps a child to the agency that referred it: to whom they go, and who reads them."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from simpul_routing.domain.actors import is_excluded
from simpul_routing.domain.case_file import CaseFile
from simpul_routing.domain.disclosure import find_serving
from simpul_schema.vocabulary import Service


@dataclass(frozen=True, slots=True)
class AgencyQuestion:
    """What an agency wants to know of the agency that referred the child, and the answer."""

    question_id: UUID
    case_id: UUID
    referral_id: UUID
    agency: str
    addressee: str
    """The agency that answers it."""
    text: str = field(repr=False)
    sent_at: datetime
    answer: str = field(default="", repr=False)
    """Empty until somebody answers."""
    answered_at: datetime | None = None
    withdrawn_at: datetime | None = None
    """When it was withdrawn from an addressee that may be too close to the suspect."""

    @property
    def is_open(self) -> bool:
        """Whether somebody is still to answer it."""
        return self.answered_at is None and self.withdrawn_at is None


def find_serving_referral(file: CaseFile, agency: str) -> UUID | None:
    """Finds the referral by which an agency helps the child; None while it has not accepted, or is excluded (R6)."""
    if is_excluded(agency, file.facts.origin.excluded, file.rules.agreement):
        return None
    own = (one for one in file.referrals.values() if one.agency == agency and find_serving(one))
    return next((one.referral_id for one in own), None)


def may_answer(file: CaseFile, agency: str) -> bool:
    """Whether people of an agency may read and answer questions: not if it is, or may be, too close to the suspect."""
    kept_away = file.facts.origin.excluded | file.facts.pending
    return not is_excluded(agency, kept_away, file.rules.agreement)


def find_addressee(file: CaseFile, agency: str) -> str:
    """Finds who answers the questions of an agency; empty where nobody is left.

    It is the complaint centre that reported the child; of a child that the public reported it is the agency that
    manages the case, or the hub.
    """
    agreement = file.rules.agreement
    managing = [
        one.agency
        for one in file.referrals.values()
        if any(service.service is Service.CASE_MANAGEMENT for service in find_serving(one))
    ]
    candidates = (file.facts.origin.centre, *managing, agreement.hub)
    return next((code for code in candidates if code and code != agency and may_answer(file, code)), "")


def are_kept_away(file: CaseFile) -> bool:
    """Whether a case has new facts, or took over referrals, and agencies are, or may be, too close to the suspect.

    Facts that do not suspect more agencies than before suspect them for the referrals of a merged duplicate, too.
    """
    if file.is_new or file.case.read_facts is file.loaded_case.read_facts:
        return False
    return bool(file.facts.origin.excluded | file.facts.pending)


def withhold_answer(question: AgencyQuestion, file: CaseFile) -> AgencyQuestion:
    """Returns a question as its agency may read it.

    An agency that is suspected to be too close to the suspect reads no answer from after the suspicion, does not learn
    that its question was withdrawn from another one, and is not warned: the question looks open.
    """
    pending = [code for code in file.facts.pending if is_excluded(question.agency, {code}, file.rules.agreement)]
    ended_at = question.answered_at or question.withdrawn_at
    if ended_at is None or not pending:
        return question
    since = min(file.facts.suggestions[code].suggested_at for code in pending)
    return question if ended_at < since else replace(question, answer="", answered_at=None, withdrawn_at=None)
