"""Proves a version: reads it, runs its examples and scenarios, and asks both provers. One run returns every finding."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import combinations
from pathlib import Path
from typing import Final

from simpul_agreement import Finding, Proof, digest_of
from simpul_agreement.calendars import calendar_findings, calendar_position
from simpul_agreement.document.prose import prose_findings
from simpul_agreement.engine import Engine, Origin
from simpul_agreement.examples import example_findings, read_scenarios, scenario_findings
from simpul_agreement.facts import URGENCY, AgencyKind, Situation
from simpul_agreement.implications import situations
from simpul_agreement.languages import Described, Message
from simpul_agreement.languages import Message as _
from simpul_agreement.laws import article_findings
from simpul_agreement.model import Agreement, Clause, Phase, Topic, UrgencyIs, Where
from simpul_agreement.phrases import describe_topic, example_report, quote_clause
from simpul_agreement.proof import PROVERS as PROVER_NAMES
from simpul_agreement.properties import PROPERTIES
from simpul_agreement.provers.bitset import BitsetProver
from simpul_agreement.provers.questions import (
    Answers,
    Broken,
    Dead,
    Gap,
    Overlap,
    Question,
    RightGap,
    RightOverlap,
    ServiceGroup,
    TooWide,
    clauses_for,
    needs,
    questions_on,
    waives,
)
from simpul_agreement.provers.solver import SolverProver
from simpul_agreement.reading import CLAUSES_FOLDER, read_with_findings
from simpul_city import City

PROVERS: Final = (BitsetProver, SolverProver)
assert tuple(prover.name for prover in PROVERS) == PROVER_NAMES  # noqa: S101 - a stored proof must name them
ReportProgress = Callable[[Message, int, int], None]
"""Receives the name of a step, how much of it is done, and its total."""


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of a check: a proof, or the findings that prevent one."""

    agreement: Agreement | None
    findings: tuple[Finding, ...]
    proof: Proof | None


def text_findings(folder: Path, city: City) -> tuple[Agreement | None, list[Finding]]:
    """The agreement, or None when it cannot be read, and every finding that needs no prover."""
    agreement, findings = read_with_findings(folder, city)
    if agreement is None or not _can_be_proven(agreement):
        return agreement, findings
    findings += prose_findings(folder, agreement)
    findings += [*article_findings(agreement), *calendar_findings(agreement, calendar_position(folder))]
    findings += example_findings(agreement)
    findings += scenario_findings(agreement, read_scenarios(folder, findings), city)
    return agreement, findings


def check_version(folder: Path, city: City, report_progress: ReportProgress = lambda *_: None) -> Checked:
    """Runs every check that a version must pass before it may be signed."""
    report_progress(_("reading, examples and scenarios"), 0, 1)
    agreement, findings = text_findings(folder, city)
    if agreement is None or not _can_be_proven(agreement):
        return Checked(agreement, tuple(findings), None)
    questions = 0
    days = agreement.periods()
    dead = {clause.id for clause in agreement.clauses}
    for day in days:
        questions += len(questions_on(agreement, day))
        found, idle = prove(agreement, day, report_progress)
        findings += (
            [replace(f, problem=_("from {day}: {problem}", day=day, problem=f.problem)) for f in found]
            if len(days) > 1
            else found
        )
        dead &= idle | {clause.id for clause in agreement.clauses if not clause.is_valid_on(day)}
    findings += [dead_finding(agreement, name) for name in sorted(dead)]
    if findings:
        return Checked(agreement, tuple(findings), None)
    proof = Proof(
        version=agreement.version,
        digest=digest_of(folder),
        situations=situations(),
        clauses=len(agreement.clauses),
        questions=questions,
        properties=tuple(wanted.name for wanted in PROPERTIES),
        provers=tuple(prover.name for prover in PROVERS),
    )
    return Checked(agreement, (), proof)


def _can_be_proven(agreement: Agreement) -> bool:
    """Whether the provers can work on it: ids are unique, no clause depends on itself, every kind has its party."""
    circular = any(
        isinstance(clause.effect, UrgencyIs) and condition.fact == URGENCY.name
        for clause in agreement.clauses
        for condition in clause.when
    )
    belonging = all(party.part_of in ("", *_independent(agreement)) for party in agreement.parties)
    named_once = len(agreement.by_id) == len(agreement.clauses)
    return named_once and belonging and not circular and len(agreement.of_kind) == len(AgencyKind)


def _independent(agreement: Agreement) -> set[str]:
    return {party.code for party in agreement.parties if not party.part_of}


def prove(
    agreement: Agreement, day: date, report_progress: ReportProgress = lambda *_: None
) -> tuple[list[Finding], set[str]]:
    """The findings of both provers for one day, and the clauses that decide nothing on it.

    A disagreement between the provers is a finding too: one of them has a defect. A clause that another one overrides
    for a period is idle; a clause that is idle in every period is dead.
    """
    total = len(questions_on(agreement, day))
    answers: list[Answers] = []
    for prover in PROVERS:
        done = 0

        def count(name: str = prover.name) -> None:
            nonlocal done
            done += 1
            report_progress(_("{prover}, from {day}", prover=name, day=day), done, total)

        try:
            answers.append(prover(agreement, day).answers(count))
        except TooWide as error:
            where = Where(CLAUSES_FOLDER)
            problem = _("a question about {facts} has too many situations", facts=", ".join(error.facts))
            return [Finding(where, problem, _("split the clauses that read so many facts"))], set()
    first, second = answers
    writer = _FindingWriter(agreement, day)
    findings: list[Finding] = []
    idle: set[str] = set()
    for question in first:
        if (first[question] is None) is not (second[question] is None):
            problem = _("the provers disagree about: {question}", question=_describe_question(question))
            findings.append(Finding(Where(CLAUSES_FOLDER), problem, _("report this: one of the two provers is wrong")))
        elif isinstance(question, Dead):
            idle |= {question.clause} if first[question] is not None else set()
        elif (witness := first[question]) is not None:
            findings += writer.findings_of(question, witness)
    return findings, idle


def dead_finding(agreement: Agreement, name: str) -> Finding:
    """The finding for a clause that never decides anything, with the clauses that override it."""
    clause = agreement.by_id[name]
    winners = [other for other in agreement.clauses if name in other.overrides]
    return Finding(
        clause.where,
        _("unreachable: {name} never decides anything", name=name),
        _("it is always overridden by {winners}; narrow them or delete it", winners=", ".join(c.id for c in winners))
        if winners
        else _("its conditions contradict one another; correct or delete it"),
        tuple(quote_clause(c, agreement) for c in (clause, *winners[:5])),
    )


class _FindingWriter:
    """Turns a prover's answer into findings that a person can act on."""

    def __init__(self, agreement: Agreement, day: date) -> None:
        self._agreement = agreement
        self._engine = Engine(agreement, day)
        self._prover = BitsetProver(agreement, day)

    def findings_of(self, question: Question, witness: Situation) -> Iterator[Finding]:
        decided = self._engine.decide(witness, Origin()).effective
        report = example_report(witness)
        match question:
            case Gap(topic=topic, group=group):
                yield Finding(
                    self._first_clause(topic),
                    _("gap: no clause decides {question} in this situation", question=_describe(topic, group)),
                    _("add a clause, or widen an existing one"),
                    self._sentences([c for c in self._agreement.clauses if c.topic == topic][:5]),
                    report,
                )
            case RightGap(right=right):
                of_right = [c for c in self._agreement.clauses if needs(c, right) or waives(c, right)]
                yield Finding(
                    of_right[0].where if of_right else Where(CLAUSES_FOLDER),
                    _("gap: the right {right} has neither a service nor a `not_needed` in this situation", right=right),
                    _("add a service, or a `not_needed` with its reason"),
                    self._sentences(of_right[-2:]),
                    report,
                )
            case Overlap(topic=topic, group=group):
                for pair in combinations(clauses_for(self._prover.clauses, topic, group), 2):
                    conflict = self._prover.find_conflict([pair], group.urgency if group else None)
                    if conflict:
                        problem = _("two clauses decide {question} differently", question=_describe(topic, group))
                        yield self._overlap(pair, problem, example_report(conflict))
            case RightOverlap(right=right):
                both = [clause for clause in decided if needs(clause, right) or waives(clause, right)]
                yield self._overlap(both, _("the right {right} has a service and a `not_needed`", right=right), report)
            case Dead():
                return
            case Broken(property=wanted):
                kinds = {"R7_no_consent_of_a_suspect": "basis", "R1_mediation_locked": "mediation"}
                about = [c for c in decided if c.when and c.topic[0] == kinds.get(wanted.name, "service")]
                yield Finding(
                    about[0].where if about else Where(CLAUSES_FOLDER),
                    _("property {name} does not hold: {text}", name=wanted.name, text=_(wanted.text)),
                    _("correct the clauses that decide this report; `simpul agreement explain` shows all of them"),
                    self._sentences(about[:4]),
                    report,
                )

    def _overlap(self, both: Sequence[Clause], problem: Message, report: str) -> Finding:
        names = ", ".join(clause.id for clause in both)
        where = both[-1].where if both else Where(CLAUSES_FOLDER)
        return Finding(
            where,
            _("overlap: {problem} in this situation ({names})", problem=problem, names=names),
            _("let one of them name the other in `overrides`, or narrow a condition"),
            self._sentences(both),
            report,
        )

    def _first_clause(self, topic: Topic) -> Where:
        return next((c.where for c in self._agreement.clauses if c.topic == topic), Where(CLAUSES_FOLDER))

    def _sentences(self, clauses: Sequence[Clause]) -> tuple[Described, ...]:
        return tuple(quote_clause(clause, self._agreement) for clause in clauses)


def _describe(topic: Topic, group: ServiceGroup | None) -> Message | Described:
    """The question of a topic, and the services that it is about where it differs between them."""
    question = Described(lambda language: describe_topic(topic, language))
    if group is None or group == ServiceGroup(Phase.IMMEDIATE):
        return question
    services = _("services that are offered {phase}", phase=Described(group.phase.label))
    if group.urgency:
        services = _(
            "{services}, with the urgency {urgency}", services=services, urgency=Described(group.urgency.label)
        )
    return _("{question}, for {services}", question=question, services=services)


def _describe_question(question: Question) -> Message | Described:
    match question:
        case Gap(topic=topic, group=group) | Overlap(topic=topic, group=group):
            return _describe(topic, group)
        case RightGap(right=right) | RightOverlap(right=right):
            return Described(right.label)
        case Dead(clause=clause):
            return _("whether {clause} decides anything", clause=clause)
        case Broken(property=wanted):
            return _(wanted.text)
