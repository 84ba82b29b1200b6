"""Consents to the processing of a child's data: by purpose, in which words, and who may give them (R7)."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final
from uuid import UUID, uuid5

from simpul_agreement.facts import Situation
from simpul_agreement.model import Basis
from simpul_schema.vocabulary import AgeBand, Answer, Relation, Right

_PARENTS: Final = frozenset({Relation.PARENT, Relation.STEP_PARENT})
_OLD_ENOUGH: Final = frozenset({AgeBand.FROM_12_TO_14.value, AgeBand.FROM_15_TO_17.value})
"""Children whose assent is needed with the consent of the guardian; project default, to be settled by a lawyer."""


class ConsentGiver(StrEnum):
    """Who consents."""

    CHILD = "child"
    """The consent of a child of 15 to 17 years, the assent of a younger one."""
    GUARDIAN = "guardian"


class ConsentWay(StrEnum):
    """How somebody consented."""

    WRITTEN = "written"
    SPOKEN = "spoken"
    """In person, before whoever recorded it."""
    PHONE = "phone"


@dataclass(frozen=True, slots=True)
class ConsentTerms:
    """What somebody consented to, and how."""

    given_by: ConsentGiver
    relation: Relation
    """What the guardian is to the child; `other` for the child."""
    way: ConsentWay
    text: str
    """Version of the text that was read out or signed."""
    language: str
    text_digest: str
    """SHA-256 of the text, because a file could be changed under its name."""
    given_at: datetime


@dataclass(frozen=True, slots=True)
class Consent:
    """A recorded consent to one purpose; a withdrawn one stays as the record."""

    purpose: Right
    """The right of the child for which its data are processed."""
    terms: ConsentTerms
    recorded_by: str
    recorded_for: str
    """The agency for which the person acted."""
    recorded_at: datetime
    withdrawn_at: datetime | None = None
    withdrawn_by: str = ""

    @property
    def is_active(self) -> bool:
        """Whether it has not been withdrawn."""
        return self.withdrawn_at is None


def may_consent(given_by: ConsentGiver, relation: Relation, situation: Situation) -> bool:
    """Whether somebody may consent: no guardian who is the suspect, no parent where a parent is, nobody related so."""
    if given_by is ConsentGiver.CHILD:
        return True
    suspects = situation["perpetrator_relation"]
    if Answer.YES.value in situation["guardian_is_suspect"] or relation.value in suspects:
        return False
    return relation not in _PARENTS or suspects.isdisjoint(one.value for one in _PARENTS)


@dataclass(frozen=True, slots=True)
class ConsentGivers:
    """Whom to ask for a consent, by the facts of a case."""

    needs_assent: bool
    """Whether the child is old enough that the consent of a guardian counts only with the child's own agreement."""
    refused_guardians: frozenset[Relation]
    """Guardians whose consent is not asked, because they may be the suspect."""


def find_givers(situation: Situation) -> ConsentGivers:
    """Finds whom to ask for a consent."""
    guardians = frozenset(Relation) - {Relation.UNKNOWN}
    return ConsentGivers(
        needs_assent=_needs_assent(situation),
        refused_guardians=frozenset(one for one in guardians if not may_consent(ConsentGiver.GUARDIAN, one, situation)),
    )


def _needs_assent(situation: Situation) -> bool:
    return bool(situation["age_band"] & _OLD_ENOUGH)


def is_consented(consents: Iterable[Consent], purpose: Right, basis: Basis, situation: Situation) -> bool:
    """Whether the recorded consents permit a purpose on a basis that is a consent.

    A guardian's consent counts only while the facts let that guardian consent, and from 12 years on only together with
    the assent of the child.
    """
    givers = {
        one.terms.given_by
        for one in consents
        if one.purpose is purpose and one.is_active and may_consent(one.terms.given_by, one.terms.relation, situation)
    }
    if basis is Basis.CHILD_CONSENT:
        return ConsentGiver.CHILD in givers
    return ConsentGiver.GUARDIAN in givers and (ConsentGiver.CHILD in givers or not _needs_assent(situation))


def withdraw_consents(
    consents: Iterable[Consent], purposes: Collection[Right], by: str, now: datetime
) -> tuple[Consent, ...]:
    """Returns the consents with those for these purposes withdrawn; with all withdrawn where no purpose is named."""
    return tuple(
        replace(one, withdrawn_at=now, withdrawn_by=by)
        if one.is_active and (not purposes or one.purpose in purposes)
        else one
        for one in consents
    )


def withdrawal_id(referral_id: UUID, withdrawn_at: datetime) -> UUID:
    """Returns the id of the event about a withdrawal for the agency of a referral.

    The acknowledgement names it, so that it stops the clocks of this withdrawal and of earlier ones, never of later
    ones.
    """
    return uuid5(referral_id, withdrawn_at.astimezone(UTC).isoformat())


def combine_consents(one: Collection[Consent], other: Collection[Consent]) -> tuple[Consent, ...]:
    """Combines the consents of two cases of one child: what somebody withdrew in one of them ends in the other."""
    return tuple(_end_where_withdrawn(consent, other) for consent in one) + tuple(
        _end_where_withdrawn(consent, one) for consent in other
    )


def _end_where_withdrawn(consent: Consent, elsewhere: Iterable[Consent]) -> Consent:
    """Returns the consent, withdrawn if its giver withdrew one to the same purpose in the other case later."""
    if not consent.is_active:
        return consent
    for found in elsewhere:
        is_same = found.purpose is consent.purpose and found.terms.given_by is consent.terms.given_by
        if is_same and found.withdrawn_at and found.withdrawn_at >= consent.terms.given_at:
            return replace(consent, withdrawn_at=found.withdrawn_at, withdrawn_by=found.withdrawn_by)
    return consent
