"""The dossier of a case: what each section contains, and what is released to an agency or withdrawn from it."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, TypeAlias
from uuid import UUID

from simpul_intake.domain import Report
from simpul_schema import SectionContent
from simpul_schema.messages.dossier import (
    DOSSIER_SECTIONS,
    DossierFile,
    DossierIdentity,
    DossierLegal,
    DossierLogistics,
    DossierMedical,
    DossierNarrative,
    DossierNote,
    DossierSchool,
)
from simpul_schema.vocabulary import Answer, DisclosureBasis, DossierSection

_WRITTEN: Final = frozenset({DossierSection.NARRATIVE, DossierSection.LEGAL})
"""Sections with texts in which a reporter may accuse somebody."""
Notes: TypeAlias = Mapping[DossierSection, tuple[DossierNote, ...]]
"""The notes of agencies by the section that they are about, the oldest first."""
TIME_TO_DELETE: Final = timedelta(hours=72)
"""How long an agency has to confirm that it deleted what was withdrawn: 3 x 24 hours (UU 27/2022)."""


@dataclass(frozen=True, slots=True)
class Disclosure:
    """What routing lets the agency of one referral hold."""

    referral_id: UUID
    case_id: UUID
    agency: str
    bases: Mapping[DossierSection, DisclosureBasis] = field(default_factory=dict)
    """Section -> the basis on which the agency may hold it (R7)."""
    is_suspected: bool = False
    """Whether a person has yet to decide if the agency is too close to the suspect."""
    cleared_namings: int = 0
    """How often reports had named the agency when a person decided that it is not too close; 0 if nobody did."""

    @property
    def allowed(self) -> frozenset[DossierSection]:
        """What the agency may hold."""
        return frozenset(self.bases)

    def is_frozen(self, reports: Sequence[Report], parts: Sequence[str] = ()) -> bool:
        """Whether the agency gets nothing new, because that may be what somebody reports about it.

        The reports count themselves, because they change before routing has decided about them. `parts` are the agency
        and those that it is part of: whoever accuses one of them accuses its units.
        """
        named = frozenset({self.agency, *parts})
        namings = sum(code in named for report in reports for code in report.suggested_exclusions)
        is_excluded = any(not named.isdisjoint(report.excluded_agencies) for report in reports)
        return self.is_suspected or is_excluded or namings > self.cleared_namings


@dataclass(frozen=True, slots=True)
class HeldSection:
    """A section that an agency holds, or held."""

    section: DossierSection
    revision: int
    digest: bytes = field(repr=False)
    """Keyed digest of the content, to notice what has changed."""
    is_withdrawn: bool = False


@dataclass(frozen=True, slots=True)
class ReleasePlan:
    """What has to be sent to an agency, so that it holds what it may hold and nothing else."""

    released: Mapping[DossierSection, int]
    """Section -> its next revision."""
    withdrawn: tuple[DossierSection, ...]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to send."""
        return not (self.released or self.withdrawn)


def build_dossier(report: Report, files: tuple[DossierFile, ...] = ()) -> dict[DossierSection, SectionContent]:
    """Builds every section about which something is known; `files` are those of the reporting people."""
    identity, narrative, answers = report.identity, report.narrative, report.answers
    # A call to this number would reach the suspect.
    is_phone_safe = Answer.YES not in (answers["suspect_has_phone"], answers["guardian_is_suspect"])
    sections: dict[DossierSection, SectionContent] = {
        DossierSection.IDENTITY: DossierIdentity.model_validate(
            {name: identity.get(name, "") for name in ("child_name", "birth_date", "nik", "guardian_name")}
            | {"sex": report.sex, "guardian_relation": report.guardian_relation}
        ),
        DossierSection.NARRATIVE: DossierNarrative(chronology=narrative.get("chronology", ""), files=files),
        DossierSection.MEDICAL: DossierMedical.model_validate(
            {name: answers[name] for name in ("injured", "pregnant", "disability_need", "suicidal_sign")}
            | {"happened_at": report.happened_at}
        ),
        DossierSection.LEGAL: DossierLegal(
            perpetrator_description=narrative.get("perpetrator_description", ""),
            perpetrator_relation=report.perpetrator_relation,
        ),
        DossierSection.SCHOOL: DossierSchool(school=identity.get("school", ""), in_school=answers["in_school"]),
        DossierSection.LOGISTICS: DossierLogistics(
            safe_contact=identity.get("safe_contact", ""),
            safe_hours=identity.get("safe_hours", ""),
            guardian_phone=identity.get("guardian_phone", "") if is_phone_safe else "",
            address=identity.get("address", ""),
            is_suspect_at_home=answers["perpetrator_lives_with_child"],
        ),
    }
    return {name: content for name, content in sections.items() if content != type(content)()}


def add_notes(
    dossier: Mapping[DossierSection, SectionContent], notes: Notes, held: Sequence[HeldSection], *, is_frozen: bool
) -> dict[DossierSection, SectionContent]:
    """Adds what agencies noted about each section.

    A frozen agency keeps the notes of what it holds, and gets none with a section that it receives now: a note may be
    about what somebody reports of it.
    """
    holding = {one.section for one in held if not one.is_withdrawn}
    shown = {name: own for name, own in notes.items() if not is_frozen or name in holding}
    empty = {name: DOSSIER_SECTIONS[name]() for name in shown}
    return {
        name: content.model_copy(update={"notes": shown.get(name, ())})
        for name, content in {**empty, **dossier}.items()
    }


def plan_release(
    allowed: AbstractSet[DossierSection],
    digests: Mapping[DossierSection, bytes],
    held: Sequence[HeldSection],
    *,
    is_frozen: bool = False,
) -> ReleasePlan:
    """Plans what to send; `digests` are those of the sections about which something is known.

    A frozen agency gets no change of what it holds, and no text that somebody wrote; other sections that it needs to
    protect the child it gets once.

    A section that the agency holds already is sent again only if it has changed, and is withdrawn if nothing of it is
    left: a number that turns out to be the suspect's must not be called any more.
    """
    known = {one.section: one for one in held}
    holding = {name for name, one in known.items() if not one.is_withdrawn}
    released: dict[DossierSection, int] = {}
    for name in DossierSection:
        if name not in allowed or name not in digests:
            continue
        if is_frozen and (name in holding or name in _WRITTEN):
            continue
        before = known.get(name)
        if name not in holding or (before and before.digest != digests[name]):
            released[name] = before.revision + 1 if before else 1
    withdrawn = holding - (allowed & digests.keys())
    return ReleasePlan(released, tuple(name for name in DossierSection if name in withdrawn))


def plan_withdrawal(disclosure: Disclosure, held: Sequence[HeldSection]) -> tuple[DossierSection, ...]:
    """Plans what to withdraw by the decision alone, whatever the dossier contains."""
    holding = {one.section for one in held if not one.is_withdrawn}
    return tuple(name for name in DossierSection if name in holding - disclosure.allowed)


@dataclass(frozen=True, slots=True)
class OverdueDeletion:
    """Agencies that have not confirmed in time that they deleted what was withdrawn."""

    agency: str
    count: int
    oldest: datetime
