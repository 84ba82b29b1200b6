"""Reads a version's YAML files into the domain's plain data; one run finds every mistake."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import time
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from simpul_agreement.consistency import inconsistencies
from simpul_agreement.facts import BY_NAME, URGENCY, values_of
from simpul_agreement.files import (
    AgreementFile,
    ClausesFile,
    ExampleFacts,
    ScenariosFile,
    Values,
    Violences,
    WrittenBand,
    WrittenChapter,
    WrittenClause,
    WrittenParty,
)
from simpul_agreement.findings import AgreementInvalid, Finding, suggest_nearest
from simpul_agreement.invalid_values import finding_of
from simpul_agreement.languages import Message
from simpul_agreement.languages import Message as _
from simpul_agreement.loading import Steps, YamlFile, load
from simpul_agreement.model import (
    Agreement,
    Band,
    Chapter,
    Clause,
    Condition,
    Example,
    Party,
    Source,
    Status,
    Where,
)
from simpul_city import City

AGREEMENT_FILE, CLAUSES_FOLDER, SCENARIOS_FILE = "agreement.yaml", "clauses", "scenarios.yaml"
_WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NO_SOURCE = Source("", "", None, Status.PROJECT_DEFAULT)
Document = TypeVar("Document", AgreementFile, ClausesFile, ScenariosFile)


def read_agreement(folder: Path, city: City, *, with_positions: bool = True) -> Agreement:
    """Reads a version from its folder; raises AgreementInvalid with every finding.

    Without positions it takes less memory, and its clauses have no `where`.
    """
    agreement, findings = read_with_findings(folder, city, with_positions=with_positions)
    if agreement is None or findings:
        raise AgreementInvalid(findings)
    return agreement


def read_with_findings(
    folder: Path, city: City, *, with_positions: bool = True
) -> tuple[Agreement | None, list[Finding]]:
    """The agreement, or None when it cannot be read, and every finding."""
    findings: list[Finding] = []
    head = read_document(folder / AGREEMENT_FILE, folder, AgreementFile, findings, with_positions=with_positions)
    bodies = [
        read_document(path, folder, ClausesFile, findings, with_positions=with_positions)
        for path in sorted((folder / CLAUSES_FOLDER).glob("*.yaml"))
    ]
    for stray in sorted((folder / CLAUSES_FOLDER).glob("*.yml")):
        shown = str(stray.relative_to(folder))
        findings.append(Finding(Where(shown), _("the file is not read"), _("name it .yaml")))
    if not bodies:
        findings.append(
            Finding(Where(CLAUSES_FOLDER), _("the folder has no clauses"), _("write them into clauses/*.yaml"))
        )
    if head is None or any(body is None for body in bodies):
        return None, findings
    reader = _Reader(folder, city, head, [body for body in bodies if body is not None], findings)
    return reader.agreement(), findings


def read_document(
    path: Path, folder: Path, form: type[Document], findings: list[Finding], *, with_positions: bool = True
) -> tuple[YamlFile, Document] | None:
    """Reads and validates one file; returns None and adds findings when it is invalid."""
    written = load(path, str(path.relative_to(folder)), findings, with_positions=with_positions)
    if written is None:
        return None
    try:
        return written, form.model_validate(written.tree)
    except ValidationError as error:
        findings += [finding_of(written, problem) for problem in error.errors()]
        return None


class _Reader:
    """Turns validated documents into the domain's data."""

    def __init__(
        self,
        folder: Path,
        city: City,
        head: tuple[YamlFile, AgreementFile],
        bodies: Sequence[tuple[YamlFile, ClausesFile]],
        findings: list[Finding],
    ) -> None:
        self._folder = folder
        self._city = city
        self._written, self._head = head
        self._bodies = bodies
        self._findings = findings

    def agreement(self) -> Agreement:
        head = self._head
        if head.version != self._folder.name:
            self._add_finding(
                self._written.where("version"),
                _("version {version} is in folder {name}", version=head.version, name=self._folder.name),
                _("give both the same name"),
            )
        chapters: list[Chapter] = []
        clauses: list[Clause] = []
        for written, body in self._bodies:
            for number, chapter in enumerate(body.chapters):
                chapters.append(Chapter(chapter.chapter, chapter.title.to_text()))
                clauses += self._clauses(written, number, chapter)
        found = Agreement(
            version=head.version,
            title=head.title.to_text(),
            active_from=head.active_from,
            hub=head.hub,
            parties=tuple(self._party(number, party) for number, party in enumerate(head.parties)),
            chapters=tuple(chapters),
            clauses=self._with_overrides(clauses, chapters),
            bands=tuple(self._band(number, band) for number, band in enumerate(head.bands)),
            holidays=frozenset(head.holidays),
            holidays_source=head.holidays_source.to_source() if head.holidays_source else None,
            number=head.number,
            valid_until=head.valid_until,
        )
        self._findings += inconsistencies(found, self._city)
        return found

    def _add_finding(self, where: Where, problem: Message, remedy: Message) -> None:
        self._findings.append(Finding(where, problem, remedy))

    def _party(self, number: int, party: WrittenParty) -> Party:
        return Party(
            code=party.party,
            kind=party.kind,
            name=party.name.to_text(),
            mandate=party.mandate.to_text(),
            area=party.area.to_text(),
            services=frozenset(party.services),
            open_in=frozenset(party.open_in),
            duty_in=frozenset(party.duty_in),
            above=party.above,
            part_of=party.part_of,
            signs=party.signs,
            valid_from=party.valid_from,
            valid_until=party.valid_until,
            signatory=party.signatory.to_signatory() if party.signatory else None,
            where=self._written.where("parties", number, "party"),
        )

    def _band(self, number: int, band: WrittenBand) -> Band:
        first, _, last = band.days.partition("-")
        days = range(_WEEK.index(first), _WEEK.index(last or first) + 1)
        return Band(
            band.band,
            frozenset(days),
            time.fromisoformat(band.start),
            time.fromisoformat(band.end),
            self._written.where("bands", number, "from"),
        )

    def _clauses(self, written: YamlFile, chapter_number: int, chapter: WrittenChapter) -> list[Clause]:
        found = []
        for number, clause in enumerate(chapter.clauses):
            path = ("chapters", chapter_number, "clauses", number)
            source = clause.source or chapter.source
            if source is None:
                self._add_finding(
                    written.where(*path, "id"),
                    _("{clause} has no source", clause=clause.id),
                    _("name the law, regulation or standard; where none exists, use the status project_default"),
                )
            found.append(
                Clause(
                    id=clause.id,
                    chapter=chapter.chapter,
                    when=self._conditions(written, (*path, "when"), clause),
                    effect=clause.then.to_effect(),
                    source=source.to_source() if source else _NO_SOURCE,
                    overrides=frozenset((*chapter.overrides, *clause.overrides)),
                    valid_from=clause.valid_from,
                    valid_until=clause.valid_until,
                    examples=(
                        *self._examples(written, (*path, "examples", "applies"), clause.examples.applies, True),
                        *self._examples(written, (*path, "examples", "not"), clause.examples.never, False),
                    ),
                    where=written.where(*path, "id"),
                )
            )
        return found

    def _conditions(
        self, written: YamlFile, path: tuple[str | int, ...], clause: WrittenClause
    ) -> tuple[Condition, ...]:
        found = []
        for name, values in clause.when.items():
            fact = BY_NAME.get(name)
            if fact is None:
                self._add_finding(
                    written.where(*path, name),
                    _("{clause}: {name} is not a fact", clause=clause.id, name=name),
                    suggest_nearest(name, BY_NAME),
                )
                continue
            if isinstance(values, Violences):
                condition = Condition(name, frozenset(values.any), frozenset(values.none))
            else:
                condition = Condition(name, frozenset(_listed(values)))
            if not fact.holds_many and (condition.none_of or not condition.any_of):
                problem = _(
                    "{clause}: {name} has one value at a time; list the values that meet the condition",
                    clause=clause.id,
                    name=name,
                )
                self._add_finding(written.where(*path, name), problem, _("write {name}: [...]", name=name))
                continue
            if fact.holds_many and not (condition.any_of or condition.none_of):
                problem = _("{clause}: the condition on {name} is empty", clause=clause.id, name=name)
                self._add_finding(written.where(*path, name), problem, _("fill `any` or `none`, or delete it"))
                continue
            unknown = (condition.any_of | condition.none_of) - set(fact.values)
            for value in sorted(unknown):
                problem = _("{clause}: {value} is not a value of {name}", clause=clause.id, value=value, name=name)
                self._add_finding(written.where(*path, name), problem, suggest_nearest(value, fact.values))
            if not fact.holds_many and condition.any_of >= set(fact.values):
                problem = _(
                    "{clause}: every value of {name} is allowed, so the condition has no effect",
                    clause=clause.id,
                    name=name,
                )
                self._add_finding(written.where(*path, name), problem, _("delete it"))
            if not unknown:
                found.append(condition)
        return tuple(found)

    def _examples(
        self, written: YamlFile, path: Steps, examples: Sequence[ExampleFacts], applies: bool
    ) -> list[Example]:
        found = []
        for number, example in enumerate(examples):
            where = written.where(*path, number)
            facts = {name: self._example_values(where, name, values) for name, values in example.items()}
            if all(facts.values()):
                found.append(Example(facts, applies, where))
        return found

    def _example_values(self, where: Where, name: str, written: Values) -> tuple[frozenset[str], ...]:
        """The alternatives of a fact in an example; empty, with a finding added, when one of them is unknown."""
        fact = BY_NAME.get(name)
        if fact is None or fact is URGENCY:
            self._add_finding(
                where,
                _("{name} is not a fact that a report can have", name=name),
                suggest_nearest(name, set(BY_NAME) - {URGENCY.name}),
            )
            return ()
        found = []
        for text in _listed(written):
            try:
                found.append(values_of(fact, text))
            except KeyError:
                self._add_finding(
                    where,
                    _("{text} is not a value of {name}", text=text, name=name),
                    suggest_nearest(text, fact.values),
                )
                return ()
        return tuple(found)

    def _with_overrides(self, clauses: Sequence[Clause], chapters: Sequence[Chapter]) -> tuple[Clause, ...]:
        """Replaces chapters among the overrides by their clauses."""
        inside: dict[str, set[str]] = {chapter.id: set() for chapter in chapters}
        for clause in clauses:
            inside[clause.chapter].add(clause.id)
        known = {clause.id for clause in clauses}
        found = []
        for clause in clauses:
            named: set[str] = set()
            for name in clause.overrides:
                if name not in known and name not in inside:
                    problem = _(
                        "{clause} overrides {name}, which is neither a clause nor a chapter",
                        clause=clause.id,
                        name=name,
                    )
                    self._add_finding(clause.where, problem, suggest_nearest(name, known | set(inside)))
                named |= inside.get(name, {name} & known)
            found.append(replace(clause, overrides=frozenset(named - {clause.id})))
        return tuple(found)


def _listed(values: Values) -> tuple[str, ...]:
    return (values,) if isinstance(values, str) else tuple(values)
