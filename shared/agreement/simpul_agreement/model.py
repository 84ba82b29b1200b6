"""The agreement between the parties as plain data: clauses over finite facts, each with its source."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Final
from zoneinfo import ZoneInfo

from simpul_agreement.facts import AgencyKind, TimeBand
from simpul_schema.vocabulary import Right, Service, Term, Urgency

SATGAS_OF_RESIDENCE: Final = "satgas_of_residence"
KECAMATAN_OF_RESIDENCE: Final = "kecamatan_of_residence"
COMPLAINT_CENTRE: Final = "complaint_centre"
ADDRESSEE: Final = "addressee"
LEVEL_ABOVE: Final = "level_above"
SELECTORS: Final = (SATGAS_OF_RESIDENCE, KECAMATAN_OF_RESIDENCE, COMPLAINT_CENTRE)
"""Selectors that stand for an agency which only the report names."""
ESCALATION_SELECTORS: Final = (ADDRESSEE, LEVEL_ABOVE)


class Status(Term):
    """How reliable a source is."""

    VERIFIED = "verified", "sudah diperiksa", "verified"
    NEEDS_A_LAWYER = "needs_a_lawyer", "perlu diperiksa ahli hukum", "needs a lawyer"
    PROJECT_DEFAULT = "project_default", "default proyek, belum ditetapkan kota", "project default, not set by the city"


class Basis(Term):
    """The legal basis on which identity may leave the vault (R7)."""

    GUARDIAN_CONSENT = "guardian_consent", "Persetujuan orang tua atau wali", "Consent of the guardian"
    CHILD_CONSENT = "child_consent", "Persetujuan anak", "Consent of the child"
    LEGAL_DUTY = "legal_duty", "Kewajiban hukum", "Legal duty"
    VITAL_INTEREST = "vital_interest", "Kepentingan vital anak", "Vital interest of the child"
    PUBLIC_TASK = "public_task", "Tugas pelayanan publik", "Public task"


class Section(Term):
    """A part of the vault that is disclosed as a whole."""

    IDENTITY = "identity", "Identitas", "Identity"
    NARRATIVE = "narrative", "Kronologi", "Chronology"
    MEDICAL = "medical", "Medis", "Medical"
    LEGAL = "legal", "Hukum", "Legal"
    SCHOOL = "school", "Sekolah", "School"
    LOGISTICS = "logistics", "Kontak/logistik", "Contact/logistics"


class ClockName(Term):
    """The obligation that a deadline belongs to."""

    ANSWER = "answer", "Jawaban instansi", "Answer of the agency"
    RECEIPT = "receipt", "Penerimaan oleh sistem instansi", "Receipt by the agency's machine"
    CONTACT = "contact", "Kontak dengan anak", "Contact with the child"
    SERVICE = "service", "Layanan dimulai", "Service begins"
    HEALTH_WINDOW = "health_window", "Batas waktu medis", "Medical window"
    POLICE_REPORT = "police_report", "Penyampaian ke polisi", "Passing on to the police"
    TEMPORARY_PROTECTION = "temporary_protection", "Perlindungan sementara", "Temporary protection"
    RESTITUTION_PAPERS = "restitution_papers", "Berkas restitusi lengkap", "Restitution papers complete"
    RESTITUTION_PAYMENT = "restitution_payment", "Restitusi dibayar", "Restitution paid"
    BREACH_NOTICE = "breach_notice", "Pemberitahuan kebocoran data", "Notice of a data breach"
    WITHDRAWAL = "withdrawal", "Penghentian setelah persetujuan dicabut", "Processing stops after withdrawal"


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


@dataclass(frozen=True, slots=True)
class Source:
    """The source of a rule."""

    title: str
    article: str
    read: date | None
    status: Status


@dataclass(frozen=True, slots=True)
class Where:
    """A position in the files of the agreement."""

    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Condition:
    """A set of values of one fact; for `violence`, one of `any_of` must hold and none of `none_of`."""

    fact: str
    any_of: frozenset[str] = frozenset()
    none_of: frozenset[str] = frozenset()

    def admits(self, values: frozenset[str]) -> bool:
        """Whether the condition holds where these values do."""
        return (not self.any_of or not self.any_of.isdisjoint(values)) and self.none_of.isdisjoint(values)


@dataclass(frozen=True, slots=True)
class Within:
    """The time that an agency has, as calendar time or as working days."""

    time: timedelta = timedelta()
    working_days: int = 0

    def due(self, start: datetime, zone: ZoneInfo, holidays: frozenset[date]) -> datetime:
        """The moment it ends; calendar time is never paused, working days leave out weekends and holidays."""
        moment = start.astimezone(zone)
        for _ in range(self.working_days):
            moment += timedelta(days=1)
            while moment.weekday() >= 5 or moment.date() in holidays:
                moment += timedelta(days=1)
        return (moment + self.time).astimezone(start.tzinfo)


@dataclass(frozen=True, slots=True)
class ServiceNeeded:
    """A service is needed; the first of `lead` that is not excluded and can act leads it, the others are alternates."""

    service: Service
    right: Right
    lead: tuple[str, ...]
    support: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RightNotNeeded:
    """A right needs no service now; the rights ledger shows the reason.

    With `ask_again` the right stays unanswered until somebody has asked the child.
    """

    right: Right
    reason: BilingualText
    ask_again: bool = False


@dataclass(frozen=True, slots=True)
class UrgencyIs:
    """How urgent the case is."""

    urgency: Urgency


@dataclass(frozen=True, slots=True)
class ClockRuns:
    """A deadline of one service, or of every referral of the case when `service` is empty.

    It starts with the referral, or with the event that `since` names.
    """

    clock: ClockName
    within: Within
    service: Service | None = None
    since: BilingualText | None = None


@dataclass(frozen=True, slots=True)
class Mediation:
    """Whether anybody may mediate."""

    is_locked: bool


@dataclass(frozen=True, slots=True)
class BasisIs:
    """The basis on which identity is disclosed."""

    basis: Basis


@dataclass(frozen=True, slots=True)
class Disclosure:
    """The sections that an agency sees after it accepted a service."""

    service: Service
    sections: frozenset[Section]


@dataclass(frozen=True, slots=True)
class EscalationLevel:
    """Who is informed at a step of a clock; excluded parties are skipped."""

    step: Step
    to: tuple[str, ...]
    also: tuple[str, ...] = ()
    """Informed as well, whichever party of `to` is chosen."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How long a section is kept after the case ended."""

    section: Section
    years: int


@dataclass(frozen=True, slots=True)
class SuspectServedBy:
    """Who accompanies a suspect who is a child; never a party that serves the victim (R5)."""

    lead: tuple[str, ...]


Effect = (
    ServiceNeeded | RightNotNeeded | UrgencyIs | ClockRuns | Mediation | BasisIs | Disclosure | EscalationLevel
    | Retention | SuspectServedBy
)  # fmt: skip
Topic = tuple[str, str]
"""The question that an effect answers, as (kind, subject); two clauses of one topic must not contradict each other."""


def topic_of(effect: Effect) -> Topic:  # noqa: C901, PLR0911 - one branch for each kind of effect
    """The question that an effect answers."""
    match effect:
        case ServiceNeeded(service=service):
            return "service", service.value
        case RightNotNeeded(right=right):
            return "not_needed", right.value
        case UrgencyIs():
            return "urgency", ""
        case ClockRuns(clock=clock, service=service):
            return "clock", f"{clock.value}/{service.value}" if service else clock.value
        case Mediation():
            return "mediation", ""
        case BasisIs():
            return "basis", ""
        case Disclosure(service=service):
            return "disclosure", service.value
        case EscalationLevel(step=step):
            return "escalation", step.value
        case Retention(section=section):
            return "retention", section.value
        case SuspectServedBy():
            return "suspect", ""


@dataclass(frozen=True, slots=True)
class Example:
    """Reports to which a clause applies or not: one for each choice of alternatives; omitted facts are unknown."""

    facts: Mapping[str, tuple[frozenset[str], ...]]
    applies: bool
    where: Where


@dataclass(frozen=True, slots=True)
class Clause:
    """One sentence of the agreement."""

    id: str
    chapter: str
    when: tuple[Condition, ...]
    effect: Effect
    source: Source
    overrides: frozenset[str] = frozenset()
    valid_from: date | None = None
    valid_until: date | None = None
    examples: tuple[Example, ...] = ()
    where: Where = field(default=Where(), compare=False)

    @property
    def topic(self) -> Topic:
        """The question it answers."""
        return topic_of(self.effect)

    def is_valid_on(self, day: date) -> bool:
        """Whether it is valid on that day; `valid_until` is not included."""
        return (self.valid_from is None or self.valid_from <= day) and (
            self.valid_until is None or day < self.valid_until
        )


@dataclass(frozen=True, slots=True)
class Chapter:
    """Clauses under one heading."""

    id: str
    title: BilingualText


@dataclass(frozen=True, slots=True)
class Party:
    """A party and what it promises. Agencies that exist in each kelurahan or kecamatan are one party here."""

    code: str
    kind: AgencyKind | None
    name: BilingualText
    mandate: BilingualText
    area: BilingualText
    services: frozenset[Service]
    open_in: frozenset[TimeBand]
    duty_in: frozenset[TimeBand]
    """When its duty contact can be reached outside office hours."""
    above: str
    """The party at the next escalation level; empty at the top."""
    part_of: str
    """The party that it belongs to and with which it is excluded."""
    signs: bool
    valid_from: date | None
    valid_until: date | None
    where: Where = field(default=Where(), compare=False)


@dataclass(frozen=True, slots=True)
class Band:
    """Hours of the week that are one value of `time_of_report`; weekdays count from Monday, 0."""

    name: TimeBand
    days: frozenset[int]
    start: time
    end: time
    where: Where = field(default=Where(), compare=False)

    def minutes(self) -> frozenset[int]:
        """The minutes of the week that it covers; an end of 00:00 is midnight."""
        last = self.end.hour * 60 + self.end.minute or 1440
        first = self.start.hour * 60 + self.start.minute
        return frozenset(day * 1440 + minute for day in self.days for minute in range(first, last))


@dataclass(frozen=True)
class Agreement:
    """One version of the agreement."""

    version: str
    title: BilingualText
    active_from: datetime
    hub: str
    parties: tuple[Party, ...]
    chapters: tuple[Chapter, ...]
    clauses: tuple[Clause, ...]
    bands: tuple[Band, ...]
    holidays: frozenset[date]

    @cached_property
    def by_id(self) -> Mapping[str, Clause]:
        """Clauses by their id."""
        return {clause.id: clause for clause in self.clauses}

    @cached_property
    def party_of(self) -> Mapping[str, Party]:
        """Parties by their code."""
        return {party.code: party for party in self.parties}

    @cached_property
    def of_kind(self) -> Mapping[str, Party]:
        """The parties that take referrals, by kind."""
        return {party.kind.value: party for party in self.parties if party.kind}

    def excluded_with(self, code: str) -> AgencyKind | None:
        """The kind whose exclusion excludes this party too; None for a party that cannot be excluded."""
        party = self.party_of.get(code)
        if party is None or not party.part_of:
            return party.kind if party else None
        return self.excluded_with(party.part_of)

    @cached_property
    def right_of(self) -> Mapping[Service, Right]:
        """The right that each service serves."""
        needs = (clause.effect for clause in self.clauses)
        return {need.service: need.right for need in needs if isinstance(need, ServiceNeeded)}

    @cached_property
    def hours(self) -> Mapping[int, TimeBand]:
        """The band of each minute of the week."""
        return {minute: band.name for band in self.bands for minute in band.minutes()}

    def band_at(self, moment: datetime, zone: ZoneInfo) -> TimeBand:
        """The band of a point in time; a holiday counts as a day off."""
        local = moment.astimezone(zone)
        if local.date() in self.holidays:
            return TimeBand.DAY_OFF
        return self.hours[local.weekday() * 1440 + local.hour * 60 + local.minute]

    def periods(self) -> Sequence[date]:
        """The days on which a clause or party starts or ends, the earliest first."""
        days = {self.active_from.date()}
        everything: tuple[Clause | Party, ...] = (*self.clauses, *self.parties)
        for dated in everything:
            days |= {day for day in (dated.valid_from, dated.valid_until) if day and day > self.active_from.date()}
        return sorted(days)
