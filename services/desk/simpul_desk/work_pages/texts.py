"""The texts of the work pages that depend on a code."""

from collections.abc import Callable, Mapping
from datetime import date
from enum import StrEnum
from typing import Final

from simpul_agency.connectors.texts import DOSSIER, FACTS
from simpul_desk.hosting.steps import ServiceStep
from simpul_desk.wording import name_day
from simpul_schema import SectionContent
from simpul_schema.messages.dossier import DossierFile, DossierNarrative
from simpul_schema.messages.referral import ReferralFacts
from simpul_schema.translations import gettext_noop, load_translations
from simpul_schema.vocabulary import Answer, DossierSection, Relation, Sex, Term

STEPS: Final[Mapping[ServiceStep, tuple[str, str]]] = {
    ServiceStep.WAITING: (gettext_noop("waits for your answer"), "yellow"),
    ServiceStep.ACCEPTED: (gettext_noop("accepted, not started"), ""),
    ServiceStep.SCHEDULED: (gettext_noop("appointment made"), ""),
    ServiceStep.UNATTENDED: (gettext_noop("the child did not come"), "yellow"),
    ServiceStep.STARTED: (gettext_noop("being served"), "green"),
    ServiceStep.COMPLETED: (gettext_noop("completed"), "grey"),
    ServiceStep.DECLINED: (gettext_noop("passed on to another agency"), "grey"),
    ServiceStep.CANCELLED: (gettext_noop("cancelled"), "grey"),
    ServiceStep.REVOKED: (gettext_noop("no longer needed"), "grey"),
}
"""Text and colour of a step."""

CASE_STATES: Final[Mapping[str, str]] = {
    "offered": gettext_noop("sent"),
    "delivered": gettext_noop("delivered"),
    "seen": gettext_noop("seen"),
    "accepted": gettext_noop("accepted"),
    "scheduled": gettext_noop("appointment made"),
    "unattended": gettext_noop("the child did not come"),
    "in_progress": gettext_noop("being served"),
    "completed": gettext_noop("completed"),
    "declined": gettext_noop("declined"),
    "rerouted": gettext_noop("passed on to another agency"),
    "cancelled": gettext_noop("cancelled"),
    "revoked": gettext_noop("no longer needed"),
    "entered_in_error": gettext_noop("entered in error"),
}
"""Text of the state of a service at routing."""


class Problem(StrEnum):
    """Why a form was not sent on."""

    NOTHING_CHOSEN = "nothing_chosen"
    REASON_MISSING = "reason_missing"
    OUTCOME_MISSING = "outcome_missing"
    TIME_MISSING = "time_missing"
    NOTE_MISSING = "note_missing"
    SHARED_NOTE_INCOMPLETE = "shared_note_incomplete"
    DOCUMENT_REFUSED = "document_refused"
    NOT_POSSIBLE = "not_possible"
    CHANGED = "changed"


PROBLEMS: Final[Mapping[Problem, str]] = {
    Problem.NOTHING_CHOSEN: gettext_noop("Choose at least one service."),
    Problem.REASON_MISSING: gettext_noop("Choose why your agency cannot help."),
    Problem.OUTCOME_MISSING: gettext_noop("Choose how the service ended."),
    Problem.TIME_MISSING: gettext_noop("Enter the day and the time of the appointment, within the next two years."),
    Problem.NOTE_MISSING: gettext_noop("Write the note first."),
    Problem.SHARED_NOTE_INCOMPLETE: gettext_noop(
        "Write the note, at most 2,000 characters, and choose what it is about."
    ),
    Problem.DOCUMENT_REFUSED: gettext_noop("Choose a PDF, JPEG or PNG file of at most 5 MB."),
    Problem.NOT_POSSIBLE: gettext_noop("This is not possible for the services that you chose. Check where they stand."),
    Problem.CHANGED: gettext_noop(
        "This case changed while you were reading. Your choices are still here; check them and send again."
    ),
}
"""What the person reads about it."""

QUESTION_NOT_SENT: Final = gettext_noop(
    "The city cannot be reached now. The question is still here; send it again in a moment."
)

_UNKNOWN: Final = (Answer.UNKNOWN, Relation.UNKNOWN, Sex.UNKNOWN, "", (), None)

_SHOWN_OTHERWISE: Final = frozenset({"mediation_locked"})
_OPTIONAL: Final = frozenset({"implied_violence"})
"""Facts that nobody has to ask for."""


def describe_facts(facts: ReferralFacts, language: str) -> tuple[list[tuple[str, str]], list[str]]:
    """Returns label and text of each known fact, and the labels of those that are not known."""
    texts = load_translations("simpul_agency")[language]
    known, unknown = [], []
    for name, label in FACTS.items():
        value = getattr(facts, name)
        if name in _SHOWN_OTHERWISE or (name in _OPTIONAL and not value):
            continue
        if value in _UNKNOWN:
            unknown.append(texts.gettext(label))
        else:
            known.append((texts.gettext(label), _describe_field(name, value, language, texts.gettext)))
    return known, unknown


def describe_event_time(happened_at: str, language: str) -> str:
    """Writes the day or the hour of an event as people say it, such as `Kamis, 26 November 2026, sekitar pukul 21.00`.

    Nothing for a day that does not exist.
    """
    day, _, hour = happened_at.partition("T")
    try:
        named = name_day(date.fromisoformat(day), language)
    except ValueError:
        return ""
    about = load_translations("simpul_desk")[language].gettext(gettext_noop("{day}, about {hour}.00"))
    return about.format(day=named, hour=hour) if hour else named


def describe_dossier(
    dossier: Mapping[DossierSection, SectionContent], language: str
) -> list[tuple[str, list[tuple[str, str]]]]:
    """Returns the name of each section, with label and text of what it says."""
    texts = load_translations("simpul_agency")[language]
    return [
        (
            section.label(language),
            [
                (texts.gettext(DOSSIER[name]), _describe_field(name, value, language, texts.gettext))
                for name, value in content
                # Files are links, see `list_files`; the case page has the notes, also those that are older.
                if value not in _UNKNOWN and name not in ("files", "notes")
            ],
        )
        for section, content in dossier.items()
    ]


def list_files(dossier: Mapping[DossierSection, SectionContent]) -> tuple[DossierFile, ...]:
    """Returns the photos and documents that the reporting person added."""
    narrative = dossier.get(DossierSection.NARRATIVE)
    return narrative.files if isinstance(narrative, DossierNarrative) else ()


def _describe_field(name: str, value: object, language: str, gettext: Callable[[str], str]) -> str:
    text = describe_event_time(str(value), language) if name == "happened_at" else ""
    return text or _describe(value, language, gettext)


def _describe(value: object, language: str, gettext: Callable[[str], str]) -> str:
    if isinstance(value, bool):
        return gettext("yes") if value else gettext("no")
    if isinstance(value, tuple):
        return ", ".join(_describe(one, language, gettext) for one in value)
    return value.label(language) if isinstance(value, Term) else str(value)
