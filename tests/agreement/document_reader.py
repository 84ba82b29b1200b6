"""Reads the rendered document back into clauses, by the grammar of its Indonesian sentences."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from html.parser import HTMLParser

from simpul_agreement.deadlines import Within
from simpul_agreement.fact_phrases import FACT_PHRASES
from simpul_agreement.facts import BY_NAME, NONE, UNKNOWN
from simpul_agreement.languages import translator, without_capital
from simpul_agreement.model import (
    Agreement,
    Basis,
    BasisIs,
    BilingualText,
    Clause,
    ClockName,
    ClockRuns,
    Condition,
    Disclosure,
    Effect,
    EscalationLevel,
    Mediation,
    Phase,
    PlanDeadline,
    Retention,
    RightNotNeeded,
    Section,
    ServiceNeeded,
    Source,
    Status,
    Step,
    SuspectServedBy,
    UrgencyIs,
)
from simpul_schema.vocabulary import ActorRole, Right, Service, Urgency

_ = translator("id")
NOT_KNOWN = " atau hal itu belum diketahui"
SELECTORS = {
    "satgas PPA kelurahan tempat tinggal anak": "satgas_of_residence",
    "satgas PPA kecamatan tempat tinggal anak": "kecamatan_of_residence",
    "tempat pengaduan yang menerima laporan": "complaint_centre",
    "lembaga yang dituju": "addressee",
    "jenjang di atas lembaga yang dituju": "level_above",
}
URGENCIES = {"tinggi": Urgency.HIGH, "sedang": Urgency.MEDIUM, "rendah": Urgency.LOW}
PHASES = {"seketika": Phase.IMMEDIATE, "terencana": Phase.PLANNED}
DURATION = r"(\d+)( x 24)? (hari kerja|jam kerja|\w+)"
UNITS = {"menit": timedelta(minutes=1), "jam": timedelta(hours=1), "hari": timedelta(days=1)}


@dataclass
class Provision:
    """The text of one clause, and where it stands."""

    id: str
    article: int
    paragraph: int
    text: str = ""


@dataclass
class Page(HTMLParser):
    """The provisions, headings and table rows of the HTML document."""

    provisions: dict[str, Provision] = field(default_factory=dict)
    headings: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    text: str = ""

    def __post_init__(self) -> None:
        super().__init__()
        self._article = 0
        self._open: list[str] = []
        self._current: Provision | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name = f"{tag}.{given.get('class') or ''}"
        self._open.append(name)
        if tag == "li" and given.get("class") == "provision":
            self._current = Provision(str(given["id"]), self._article, 0)
            self.provisions[self._current.id] = self._current
        elif tag in ("h1", "h2", "h3"):
            self.headings.append("")
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
        if tag in ("meta", "br"):
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        while self._open and not self._open.pop().startswith(f"{tag}."):
            continue
        if tag == "li" and not any(name == "li.provision" for name in self._open):
            self._current = None

    def handle_data(self, data: str) -> None:
        self.text += data
        inside = self._open[-1] if self._open else ""
        if any(name.startswith(("h1.", "h2.", "h3.")) for name in self._open):
            self.headings[-1] = f"{self.headings[-1]} {data.strip()}".strip()
            if found := re.fullmatch(r"Pasal (\d+)", data.strip()):
                self._article = int(found[1])
        elif self.rows and inside.startswith(("td.", "th.")):
            self.rows[-1][-1] += data
        elif self._current and inside == "span.number" and data.strip("()").isdigit():
            self._current.paragraph = int(data.strip("()"))
        elif self._current and inside == "span.text":
            self._current.text += data


def read_page(html: str) -> Page:
    page = Page()
    page.feed(html)
    return page


class Reader:
    """Turns the provisions of a page into clauses; chapters, dates and examples are not printed with them."""

    def __init__(self, page: Page, agreement: Agreement) -> None:
        self._page = page
        self._numbered = {(p.article, p.paragraph): p.id for p in page.provisions.values()}
        self._parties = {party.name.id: party.code for party in agreement.parties} | SELECTORS
        self._services = {without_capital(service.label("id")): service for service in Service}
        self._sections = {without_capital(section.label("id")): section for section in Section}
        self._rights = {without_capital(right.label("id")): right for right in Right}
        self._reasons = {
            clause.effect.reason.id: clause.effect.reason
            for clause in agreement.clauses
            if isinstance(clause.effect, RightNotNeeded)
        } | {
            clause.effect.since.id: clause.effect.since
            for clause in agreement.clauses
            if isinstance(clause.effect, ClockRuns) and clause.effect.since
        }
        right_names, service_names = {r.label("id") for r in Right}, {s.label("id") for s in Service}
        self._right_of = {
            row[1]: self._rights[without_capital(row[0])]
            for row in page.rows
            if len(row) == 7 and row[0] in right_names and row[1] in service_names
        }
        self._sources = {
            clause: source
            for row in page.rows
            if len(row) == 2 and row[1].startswith("Pasal ")
            if (source := self._source(row[0]))
            for clause in self._references(row[1])
        }

    def clauses(self) -> dict[str, tuple[tuple[Condition, ...], Effect, Source]]:
        """Clause -> its conditions, effect and source."""
        found = {}
        for provision in self._page.provisions.values():
            text, _exceptions = self._split(provision.text)
            conditions, effect = self._sentence(text)
            found[provision.id] = (conditions, self._effect(effect), self._sources[provision.id])
        return found

    def overrides(self) -> dict[str, frozenset[str]]:
        """Clause -> the clauses over which it takes precedence."""
        found: dict[str, set[str]] = {name: set() for name in self._page.provisions}
        for provision in self._page.provisions.values():
            for winner in self._references(self._split(provision.text)[1]):
                found[winner].add(provision.id)
        return {name: frozenset(others) for name, others in found.items()}

    @staticmethod
    def _split(text: str) -> tuple[str, str]:
        sentence = re.sub(r" Ketentuan ini berlaku .*$", "", text.strip()).removesuffix(".")
        rest, _comma, exceptions = sentence.partition(", kecuali Pasal ")
        return rest, f"Pasal {exceptions}" if exceptions else ""

    def _references(self, text: str) -> set[str]:
        found: set[str] = set()
        for article, rest in re.findall(r"Pasal (\d+)((?:(?!Pasal).)*)", text):
            numbers = rest.replace("sampai dengan", "-")
            paragraphs = [int(number) for number in re.findall(r"\((\d+)\)", numbers)]
            for first, last in re.findall(r"\((\d+)\) - ayat \((\d+)\)", numbers):
                paragraphs += range(int(first), int(last))
            found |= {self._numbered[int(article), number] for number in paragraphs or [0]}
        return found

    def _sentence(self, text: str) -> tuple[tuple[Condition, ...], str]:
        if not text.startswith("Bila "):
            return (), text
        conditions, _comma, effect = text.removeprefix("Bila ").partition(", maka ")
        return tuple(self._condition(part) for part in conditions.split(", dan ")), effect

    def _condition(self, text: str) -> Condition:
        known = text.removesuffix(NOT_KNOWN)
        unknown = frozenset({UNKNOWN}) if known != text else frozenset()
        for fact, phrases in FACT_PHRASES.items():
            if phrases.absent and text == _(phrases.absent):
                return Condition(fact, frozenset({NONE if NONE in BY_NAME[fact].values else UNKNOWN}))
            values = {without_capital(_(phrase)): value for value, phrase in phrases.values.items()}
            if not phrases.sentence and known in values:
                return Condition(fact, frozenset({values[known]}) | unknown)
            if phrases.negation and (listed := self._framed(_(phrases.negation), known, values)):
                return Condition(fact, none_of=frozenset(listed))
            if phrases.exclusive and (listed := self._framed(_(phrases.exclusive), known, values)):
                return Condition(fact, none_of=frozenset(phrases.values.keys() - set(listed)))
            if phrases.exception and (listed := self._framed(_(phrases.exception), known, values)):
                return Condition(fact, frozenset(phrases.values.keys() - set(listed)) | unknown)
            if phrases.sentence and (listed := self._framed(_(phrases.sentence), known, values)):
                return Condition(fact, frozenset(listed) | unknown)
        raise AssertionError(text)

    @staticmethod
    def _framed(frame: str, text: str, values: Mapping[str, str]) -> list[str]:
        start, _placeholder, end = frame.partition("{values}")
        if not text.startswith(start) or not text.endswith(end):
            return []
        return listed(text[len(start) : len(text) - len(end) or None], values)

    def _effect(self, sentence: str) -> Effect:  # noqa: C901, PLR0911 - one return for each kind
        text = without_capital(sentence)
        if found := re.fullmatch(r"kegentingannya (tinggi|sedang|rendah)", text):
            return UrgencyIs(URGENCIES[found[1]])
        if found := re.fullmatch(r"layanan untuk hak atas (.+?) ditentukan pada asesmen, karena (.+)", text):
            return RightNotNeeded(self._rights[found[1]], self._reasons[found[2]], reassess=True)
        if found := re.fullmatch(
            r"untuk hak atas (.+?) anak saat ini cukup mendapat pengelolaan kasus, karena (.+)", text
        ):
            return RightNotNeeded(self._rights[found[1]], self._reasons[found[2]])
        if text.startswith("layanan "):
            return self._service(text)
        if text.startswith("batas waktu "):
            return self._clock(text)
        if text.startswith("mediasi "):
            return self._mediation(text)
        if found := re.fullmatch(r"identitas anak dibuka atas dasar (.+)", text):
            return BasisIs(self._basis(found[1]))
        if found := re.fullmatch(
            r"untuk layanan (.+) dibuka (.+?)(?:; juga tanpa persetujuan, atas dasar (.+?), (.+))?", text
        ):
            own = (self._find_sections(found[4]), self._basis(found[3])) if found[3] else ()
            return Disclosure(self._services[found[1]], self._find_sections(found[2]), *own)
        if text.startswith("setelah "):
            return self._escalation(text)
        if found := re.fullmatch(
            rf"pengelola kasus mengesahkan rencana layanan dalam {DURATION}"
            r"(; bila tidak, rencana itu dikirim apa adanya)?",
            text,
        ):
            return PlanDeadline(self._duration(*found.groups()[:3]), bool(found[4]))
        if found := re.fullmatch(r"(.+) disimpan (\d+) tahun setelah kasus ditutup", text):
            return Retention(self._sections[found[1]], int(found[2]))
        found = re.fullmatch(r"anak terduga pelaku didampingi oleh (.+)", text)
        assert found, text
        return SuspectServedBy(tuple(listed(found[1], self._parties)))

    def _find_sections(self, text: str) -> frozenset[Section]:
        return frozenset(self._sections[name] for name in listed(text, {name: name for name in self._sections}))

    def _basis(self, label: str) -> Basis:
        return next(basis for basis in Basis if without_capital(basis.label("id")) == label)

    @staticmethod
    def _mediation(text: str) -> Mediation:
        if text == "mediasi dilarang":
            return Mediation(is_locked=True)
        roles = {without_capital(role.label("id")): role.value for role in ActorRole}
        found = re.fullmatch(r"mediasi hanya dapat dibuka oleh (.+)", text)
        assert found, text
        return Mediation(is_locked=False, opened_by=frozenset(map(ActorRole, listed(found[1], roles))))

    def _service(self, text: str) -> ServiceNeeded:
        found = re.fullmatch(
            r"layanan (.+?) dipimpin oleh (.+?)(?:, didukung oleh (.+?))?(, menurut rencana layanan)?"
            r"(?:, dengan kegentingan setinggi-tingginya tingkat (tinggi|sedang|rendah))?"
            r"(?:; bila penanggung jawab itu berhalangan, (?:layanan itu dipimpin|penyedia lain dicarikan) oleh (.+))?",
            text,
        )
        assert found, text
        service = self._services[found[1]]
        lead = (*listed(found[2], self._parties), *(listed(found[6], self._parties) if found[6] else ()))
        support = tuple(listed(found[3], self._parties)) if found[3] else ()
        phase = Phase.PLANNED if found[4] else Phase.IMMEDIATE
        max_urgency = URGENCIES[found[5]] if found[5] else None
        return ServiceNeeded(service, self._right_of[service.label("id")], lead, support, phase, max_urgency)

    def _clock(self, text: str) -> ClockRuns:
        found = re.fullmatch(
            rf"batas waktu (.+?)(?: untuk layanan (.+?))?(?: bagi layanan (seketika|terencana))? adalah {DURATION}"
            r" (sejak .+)",
            text,
        )
        assert found, text
        clock = next(clock for clock in ClockName if without_capital(clock.label("id")) == found[1])
        within = self._duration(found[4], found[5], found[6])
        since: BilingualText | None = None if found[7] == "sejak rujukan dikirim" else self._reasons[found[7]]
        service = self._services[found[2]] if found[2] else None
        return ClockRuns(clock, within, service, since, PHASES[found[3]] if found[3] else None)

    @staticmethod
    def _duration(number: str, as_hours: str | None, unit: str) -> Within:
        count = int(number) * (24 if as_hours else 1)
        if unit == "hari kerja":
            return Within(working_days=count)
        return Within(office_hours=count) if unit == "jam kerja" else Within(count * UNITS[unit])

    def _escalation(self, text: str) -> EscalationLevel:
        found = re.fullmatch(
            r"setelah (\d+) % batas waktu berlalu, (.+?) diberi tahu(?:, atau, bila pihak itu berhalangan, (.+?))?"
            r"(?:, dan selalu juga (.+))?",
            text,
        )
        assert found, text
        to = (*listed(found[2], self._parties), *(listed(found[3], self._parties) if found[3] else ()))
        return EscalationLevel(Step(found[1]), to, tuple(listed(found[4], self._parties)) if found[4] else ())

    @staticmethod
    def _source(text: str) -> Source | None:
        found = re.fullmatch(r"(.+?)(?:, pasal ([^,]+))?(?:, dibaca (\d\d-\d\d-\d{4}))? \(([^()]+)\)", text)
        if found is None:
            return None
        read: date | None = datetime.strptime(found[3], "%d-%m-%Y").date() if found[3] else None  # noqa: DTZ007
        status = next(status for status in Status if status.label("id") == found[4])
        return Source(found[1], found[2] or "", read, status)


def listed(text: str, values: Mapping[str, str]) -> list[str]:
    """The values of a list such as `a, b, atau c`; empty where something else stands in it."""
    found, rest = [], text
    while rest:
        name = max((name for name in values if rest.startswith(name)), key=len, default="")
        if not name:
            return []
        found.append(values[name])
        rest = rest[len(name) :]
        separator = next((s for s in (", atau ", " atau ", ", dan ", " dan ", ", ") if rest.startswith(s)), "")
        if rest and not separator:
            return []
        rest = rest[len(separator) :]
    return found


def as_printed(clauses: Iterable[Clause]) -> dict[str, tuple[tuple[Condition, ...], Effect, Source]]:
    return {clause.id: (clause.when, _printed(clause.effect), clause.source) for clause in clauses}


def _printed(effect: Effect) -> Effect:
    """The effect without the alternates that are informed in any case."""
    if not isinstance(effect, EscalationLevel):
        return effect
    first, *others = effect.to
    return replace(effect, to=(first, *(party for party in others if party not in effect.also)))
