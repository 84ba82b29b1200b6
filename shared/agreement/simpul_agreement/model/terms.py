"""The words of an agreement: the kinds, steps and selectors of its clauses, and its texts in both languages."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from simpul_agreement.languages import TranslatedTerm
from simpul_schema.translations import gettext_noop

SATGAS_OF_RESIDENCE: Final = "satgas_of_residence"
KECAMATAN_OF_RESIDENCE: Final = "kecamatan_of_residence"
COMPLAINT_CENTRE: Final = "complaint_centre"
ADDRESSEE: Final = "addressee"
LEVEL_ABOVE: Final = "level_above"
SELECTORS: Final = (SATGAS_OF_RESIDENCE, KECAMATAN_OF_RESIDENCE, COMPLAINT_CENTRE)
"""Selectors that stand for an agency which only the report names."""
ESCALATION_SELECTORS: Final = (ADDRESSEE, LEVEL_ABOVE)


class Status(TranslatedTerm):
    """How reliable a source is."""

    VERIFIED = "verified", gettext_noop("verified")
    NEEDS_A_LAWYER = "needs_a_lawyer", gettext_noop("needs a lawyer")
    PROJECT_DEFAULT = "project_default", gettext_noop("project default, not set by the city")


class Basis(TranslatedTerm):
    """The legal basis on which identity may leave the vault (R7)."""

    GUARDIAN_CONSENT = "guardian_consent", gettext_noop("Consent of the guardian")
    CHILD_CONSENT = "child_consent", gettext_noop("Consent of the child")
    LEGAL_DUTY = "legal_duty", gettext_noop("Legal duty")
    VITAL_INTEREST = "vital_interest", gettext_noop("Vital interest of the child")
    PUBLIC_TASK = "public_task", gettext_noop("Public task")


class Section(TranslatedTerm):
    """A part of the vault that is disclosed as a whole."""

    IDENTITY = "identity", gettext_noop("Identity")
    NARRATIVE = "narrative", gettext_noop("Chronology")
    MEDICAL = "medical", gettext_noop("Medical data")
    LEGAL = "legal", gettext_noop("Legal data")
    SCHOOL = "school", gettext_noop("School data")
    LOGISTICS = "logistics", gettext_noop("Contact/logistics")


class ClockName(TranslatedTerm):
    """The obligation that a deadline belongs to."""

    ANSWER = "answer", gettext_noop("Answer of the agency")
    RECEIPT = "receipt", gettext_noop("Receipt by the agency's machine")
    CONTACT = "contact", gettext_noop("Contact with the child")
    SERVICE = "service", gettext_noop("Beginning of the service")
    HEALTH_WINDOW = "health_window", gettext_noop("Medical treatment")
    POLICE_REPORT = "police_report", gettext_noop("Report to the police")
    TRANSFER = "transfer", gettext_noop("Acknowledgement of a transfer")
    TEMPORARY_PROTECTION = "temporary_protection", gettext_noop("Temporary protection")
    RESTITUTION_PAPERS = "restitution_papers", gettext_noop("Completion of the restitution papers")
    RESTITUTION_PAYMENT = "restitution_payment", gettext_noop("Payment of restitution")
    BREACH_NOTICE = "breach_notice", gettext_noop("Notice of a data breach")
    WITHDRAWAL = "withdrawal", gettext_noop("End of processing after consent was withdrawn")


class Phase(TranslatedTerm):
    """When a service is offered."""

    IMMEDIATE = "immediate", gettext_noop("at once")
    PLANNED = "planned", gettext_noop("after the assessment, by the service plan")


class Step(StrEnum):
    """The percentage of a deadline at which an escalation level is informed."""

    HALF = "50"
    DUE = "100"
    TWICE = "200"


@dataclass(frozen=True, slots=True)
class BilingualText:
    """A text in both languages."""

    id: str
    en: str

    def in_language(self, language: str) -> str:
        """The text in one language, `id` or `en`."""
        return self.en if language == "en" else self.id
