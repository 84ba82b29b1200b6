"""What stands on a referral letter and on the recap of a case; both name agencies and services, and never a child."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from simpul_desk.papers.typesetting import Paper, Section
from simpul_desk.wording import Wording
from simpul_schema.translations import gettext_noop, load_translations

_BLANK: Final = "." * 60
_REQUEST: Final = gettext_noop(
    "By the agreement {version} between the agencies of {city}, the services below are requested for a child. Keep "
    "this letter confidential."
)
_NO_NAME: Final = gettext_noop("The child's identity is in the agency's dossier. Write it in by hand only if needed.")


@dataclass(frozen=True, slots=True)
class LetterDeadline:
    """A deadline that runs for a service, in the reader's language."""

    obligation: str
    due_at: datetime | None
    """None where the issuer does not know from when it runs."""
    clause: str = ""
    """What the agreement says about it, where it has no time."""


@dataclass(frozen=True, slots=True)
class LetterService:
    """A service of a referral, in the reader's language."""

    name: str
    urgency: str
    deadlines: Sequence[LetterDeadline] = ()
    """Those that run, the earliest first."""

    @property
    def due_at(self) -> datetime | None:
        """Its next deadline."""
        return min((one.due_at for one in self.deadlines if one.due_at), default=None)


@dataclass(frozen=True, slots=True)
class Letter:
    """What a referral letter needs to be written."""

    number: str
    """Code of the referral."""
    case: str
    """Reference of the case."""
    issuer: str
    """Name of the agency that refers."""
    recipient: str
    version: str
    """Of the agreement."""
    requested_at: datetime
    services: Sequence[LetterService]
    sources: Sequence[str] = ()
    """Where the deadlines come from."""


def write_letter(letter: Letter, city: str, wording: Wording, *, is_copy: bool) -> Paper:
    """Writes a referral letter; a copy for the recipient's files has no place for a signature."""
    _ = load_translations("simpul_desk")[wording.language].gettext
    rows = tuple(
        (one.name, one.urgency, wording.exact_moment(one.due_at) if one.due_at else "-") for one in letter.services
    )
    day = f"{city.removeprefix('Kota ')}, {wording.day(wording.now)}"
    sections = [
        Section(
            _("Case"),
            lines=((_("Number of the case"), letter.case), (_("Asked on"), wording.exact_moment(letter.requested_at))),
        ),
        Section(_("Services"), header=(_("Service"), _("Urgency"), _("Next deadline")), rows=rows),
        Section(_("Child"), text=_(_NO_NAME), lines=((_("Name"), _BLANK), (_("Date of birth"), _BLANK))),
    ]
    due = tuple(
        (one.name, each.obligation, wording.exact_moment(each.due_at) if each.due_at else each.clause)
        for one in letter.services
        for each in one.deadlines
    )
    if due:
        sections.insert(2, Section(_("Deadlines"), header=(_("Service"), _("Deadline"), _("Until")), rows=due))
    if letter.sources:
        sections.append(Section(_("Sources of the deadlines"), text="; ".join(letter.sources)))
    return Paper(
        _("Copy of the referral letter") if is_copy else _("Referral letter"),
        letter.number,
        letter.issuer,
        city,
        opening=(
            _("To {agency}").format(agency=letter.recipient),
            _(_REQUEST).format(version=letter.version, city=city),
        ),
        sections=sections,
        signature=() if is_copy else (day, letter.issuer, _("Name, office and stamp")),
    )


@dataclass(frozen=True, slots=True)
class Recap:
    """What the recap of a case needs to be written, in the reader's language."""

    number: str
    """Reference of the case."""
    issuer: str
    state: str
    since: datetime
    rights: Sequence[tuple[str, str]]
    """Each right and where it stands."""
    services: Sequence[tuple[str, str, str]]
    """Agency with the code of its referral, service, and where it stands."""
    history: Sequence[tuple[datetime, str]]


def write_recap(recap: Recap, city: str, wording: Wording) -> Paper:
    """Writes the recap of a case."""
    _ = load_translations("simpul_desk")[wording.language].gettext
    day = f"{city.removeprefix('Kota ')}, {wording.day(wording.now)}"
    return Paper(
        _("Recap of a case"),
        recap.number,
        recap.issuer,
        city,
        opening=(_("State of the case on {day}. Keep this paper confidential.").format(day=wording.day(wording.now)),),
        sections=(
            Section(
                _("State"),
                lines=((_("State"), recap.state), (_("Decided on"), wording.exact_moment(recap.since))),
            ),
            Section(_("The child's rights"), header=(_("Right"), _("State")), rows=tuple(recap.rights)),
            Section(_("Agencies"), header=(_("Agency"), _("Service"), _("State")), rows=tuple(recap.services)),
            Section(
                _("What happened"),
                header=(_("Time"), _("Event")),
                rows=tuple((wording.exact_moment(at), text) for at, text in recap.history),
            ),
        ),
        signature=(day, recap.issuer, _("Name, office and stamp")),
    )


@dataclass(frozen=True, slots=True)
class Figures:
    """What the recap of a period needs to be written, in the reader's language."""

    period: str
    """First and last month, such as `2026-08 - 2026-10`."""
    issuer: str
    tables: Sequence[tuple[str, Sequence[tuple[str, str]]]]
    """Name of a table, and its lines of label and figure."""
    suppressed_below: int
    """Smaller counts are not shown."""


def write_figures(figures: Figures, city: str, wording: Wording) -> Paper:
    """Writes the recap of a period."""
    _ = load_translations("simpul_desk")[wording.language].gettext
    day = f"{city.removeprefix('Kota ')}, {wording.day(wording.now)}"
    hidden = _("Figures below %(count)d are not shown, so that nobody recognises a child.")
    return Paper(
        _("Recap of past months"),
        figures.period,
        figures.issuer,
        city,
        opening=(hidden % {"count": figures.suppressed_below},),
        sections=tuple(
            Section(name, header=(_("Item"), _("Figure")), rows=tuple(lines))
            if lines
            else Section(name, text=_("Nothing was counted in this period."))
            for name, lines in figures.tables
        ),
        signature=(day, figures.issuer, _("Name, office and stamp")),
    )
