"""Notes of agencies to a case: who may add one, and who may read it (R6, R7)."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from simpul_agreement.model import Section
from simpul_routing.domain.actors import is_excluded
from simpul_routing.domain.case_file import CaseFile
from simpul_routing.domain.disclosure import find_disclosure, find_serving
from simpul_schema.vocabulary import ReplyRefusal


@dataclass(frozen=True, slots=True)
class Note:
    """What an agency noted for those who help the child."""

    note_id: UUID
    """The id of the event that brought it."""
    case_id: UUID
    referral_id: UUID
    agency: str
    about: Section
    """The section of the dossier that it adds to."""
    text: str = field(repr=False)
    written_at: datetime


def refuse_note(file: CaseFile, referral_id: UUID, agency: str) -> ReplyRefusal | None:
    """Returns why an agency may not add a note: only one that serves the case, and is not excluded, may."""
    referral, _ = file.find_replied(referral_id) or (None, ())
    if referral is None:
        return ReplyRefusal.UNKNOWN_REFERRAL
    if referral.agency != agency:
        return ReplyRefusal.NOT_ITS_REFERRAL
    if not find_serving(referral) or is_excluded(agency, file.facts.origin.excluded, file.rules.agreement):
        return ReplyRefusal.NOT_NOW
    return None


def may_read_note(note: Note, agency: str, file: CaseFile) -> bool:
    """Whether the people of an agency may read a note: its author, and who may hold the section that it adds to.

    An agency that is suspected to be too close to the suspect reads no note from after the suspicion.
    """
    if note.agency == agency:
        return True
    found = [find_disclosure(one, file.case, file.rules) for one in file.referrals.values() if one.agency == agency]
    if not any(note.about in disclosure.sections for disclosure in found):
        return False
    if any(disclosure.is_suspected for disclosure in found):
        pending = [code for code in file.facts.pending if is_excluded(agency, {code}, file.rules.agreement)]
        return all(note.written_at < file.facts.suggestions[code].suggested_at for code in pending)
    return True
