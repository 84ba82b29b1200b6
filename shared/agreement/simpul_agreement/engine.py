"""Decides by the agreement: for each value of each fact one integer whose bits are the clauses that admit it.

A decision is the AND of one integer per fact, followed by a scan of the remaining bits. It costs nearly the same for
fifty clauses and for ten thousand, and never depends on the order in which clauses are written.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from simpul_agreement.facts import FACTS, URGENCY, VIOLENCE, Fact, Situation, all_sets
from simpul_agreement.implications import normalize_situation
from simpul_agreement.model import (
    COMPLAINT_CENTRE,
    KECAMATAN_OF_RESIDENCE,
    SATGAS_OF_RESIDENCE,
    Agreement,
    BasisIs,
    Clause,
    ClockName,
    ClockRuns,
    Condition,
    Effect,
    Mediation,
    ServiceNeeded,
    SuspectServedBy,
    UrgencyIs,
    Within,
)
from simpul_schema.vocabulary import Right, Service, Urgency

_BITS: Final = tuple(tuple(bit for bit in range(8) if byte >> bit & 1) for byte in range(256))
_NONZERO: Final = re.compile(rb"[^\0]")


def bits_of(mask: int) -> Iterator[int]:
    """The positions of the set bits; the regular expression skips empty bytes."""
    for found in _NONZERO.finditer(mask.to_bytes((mask.bit_length() + 7) // 8, "little")):
        first = found.start() * 8
        for bit in _BITS[found[0][0]]:
            yield first + bit


@dataclass(frozen=True, slots=True)
class Origin:
    """The codes of the agencies that only a report can name (empty when it does not), and the excluded agencies."""

    satgas: str = ""
    kecamatan: str = ""
    centre: str = ""
    excluded: frozenset[str] = frozenset()

    def resolve(self, selector: str) -> str:
        """The code of an agency that may be addressed; empty when there is none."""
        if selector == SATGAS_OF_RESIDENCE:
            code = self.satgas
        elif selector == KECAMATAN_OF_RESIDENCE:
            code = self.kecamatan
        else:
            code = self.centre if selector == COMPLAINT_CENTRE else selector
        return "" if code in self.excluded else code

    def first(self, selectors: Iterable[str]) -> str:
        """The first of them that may be addressed; empty when none may be."""
        for selector in selectors:
            code = self.resolve(selector)
            if code:
                return code
        return ""


@dataclass(frozen=True, slots=True)
class Assignment:
    """One service that is needed, with its lead and its supporting agencies."""

    service: Service
    right: Right
    lead: str
    support: tuple[str, ...]
    clauses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from a situation; `effective` holds every clause that decides."""

    urgency: Urgency | None
    answer: Within | None
    mediation: Mediation | None
    basis: BasisIs | None
    suspect_served_by: str
    assignments: tuple[Assignment, ...]
    effective: tuple[Clause, ...]

    @property
    def mediation_is_locked(self) -> bool:
        """Whether mediation is forbidden; it is where no clause decides."""
        return self.mediation is None or self.mediation.is_locked

    @property
    def clause_ids(self) -> tuple[str, ...]:
        """The ids of the clauses that decide."""
        return tuple(clause.id for clause in self.effective)


class _Masks(dict[frozenset[str], int]):
    """The clauses that admit a set of values of one fact; computed once for each set that occurs."""

    def __init__(self, conditions: Mapping[int, Condition], everything: int) -> None:
        super().__init__()
        self._conditions = conditions
        self._indifferent = everything
        for position in conditions:
            self._indifferent &= ~(1 << position)

    def __missing__(self, values: frozenset[str]) -> int:
        mask = self._indifferent
        for position, condition in self._conditions.items():
            if condition.admits(values):
                mask |= 1 << position
        self[values] = mask
        return mask


class Engine:
    """Decides by the clauses that are valid on one day."""

    def __init__(self, agreement: Agreement, day: date) -> None:
        valid = [clause for clause in agreement.clauses if clause.is_valid_on(day)]
        overridden = {other for clause in valid for other in clause.overrides}
        # Clauses that always hold and that a decision does not read, such as retention, are set aside once.
        self._standing = tuple(
            clause for clause in valid
            if not clause.when and not clause.overrides and clause.id not in overridden and not _is_read(clause.effect)
        )  # fmt: skip
        # Urgency clauses come first: they are the lowest bits, so reading them is cheap.
        standing = {clause.id for clause in self._standing}
        conditional = (clause for clause in valid if clause.id not in standing)
        self._conditional = tuple(sorted(conditional, key=lambda clause: not isinstance(clause.effect, UrgencyIs)))
        self.clauses = (*self._conditional, *self._standing)
        self._effects = [clause.effect for clause in self._conditional]
        self._needs = [effect if isinstance(effect, ServiceNeeded) else None for effect in self._effects]
        self._urgency_of = [effect.urgency for effect in self._effects if isinstance(effect, UrgencyIs)]
        self._urgency_clauses = (1 << len(self._urgency_of)) - 1
        self._everything = (1 << len(self._conditional)) - 1
        position = {clause.id: number for number, clause in enumerate(self._conditional)}
        self._overrides = [
            frozenset(position[other] for other in clause.overrides if other in position)
            for clause in self._conditional
        ]
        tables = {fact.name: self._masks(fact) for fact in (*FACTS, URGENCY)}
        for kinds in all_sets(VIOLENCE):
            _ = tables[VIOLENCE.name][kinds]
        self._by_urgency = tables.pop(URGENCY.name)
        self._tables = tuple(tables.items())

    def _masks(self, fact: Fact) -> _Masks:
        asking = {
            number: condition
            for number, clause in enumerate(self._conditional)
            for condition in clause.when
            if condition.fact == fact.name
        }
        return _Masks(asking, self._everything)

    def decide(self, situation: Situation, origin: Origin, by_hand: Urgency | None = None) -> Decision:
        """Decides a situation as reported; `by_hand` replaces the urgency where a person has set it.

        What the facts imply is added here and nowhere else, so no decision misses it.
        """
        situation = normalize_situation(situation)
        applying = self._everything
        for fact, table in self._tables:
            applying &= table[situation[fact]]
        urgencies = {self._urgency_of[number] for number in self._effective(applying & self._urgency_clauses)}
        if by_hand:
            urgencies = {by_hand}
        applying &= self._by_urgency[frozenset(urgency.value for urgency in urgencies)]
        # A proof guarantees exactly one; without a proof the highest urgency is the safe choice.
        urgency = next((urgency for urgency in Urgency if urgency in urgencies), None)
        return self._build_decision(self._effective(applying), urgency, origin)

    def _effective(self, applying: int) -> list[int]:
        found = list(bits_of(applying))
        overridden: set[int] = set()
        for number in found:
            overridden |= self._overrides[number]
        return [number for number in found if number not in overridden] if overridden else found

    def _build_decision(self, numbers: list[int], urgency: Urgency | None, origin: Origin) -> Decision:
        by_service: dict[Service, list[int]] = {}
        answer, basis, suspect = None, None, ""
        mediation: Mediation | None = None
        for number in numbers:
            need = self._needs[number]
            if need is not None:
                by_service.setdefault(need.service, []).append(number)
                continue
            match self._effects[number]:
                case ClockRuns(clock=ClockName.ANSWER, service=None, within=within):
                    answer = within
                case Mediation() as found_mediation:
                    # A proof guarantees one answer; without a proof forbidding mediation is the safe choice.
                    mediation = found_mediation if mediation is None or found_mediation.is_locked else mediation
                case BasisIs() as found:
                    basis = found
                case SuspectServedBy(lead=lead):
                    suspect = origin.first(lead)
                case _:
                    pass
        return Decision(
            urgency=urgency,
            answer=answer,
            mediation=mediation,
            basis=basis,
            suspect_served_by=suspect,
            assignments=tuple(self._assigned(clauses, origin) for clauses in by_service.values()),
            effective=(*(self._conditional[number] for number in numbers), *self._standing),
        )

    def _assigned(self, numbers: list[int], origin: Origin) -> Assignment:
        need = self._needs[numbers[0]]
        assert need is not None  # noqa: S101 - grouped so by the caller
        lead = origin.first(need.lead)
        support: list[str] = []
        for selector in need.support:
            code = origin.resolve(selector)
            if code and code != lead and code not in support:
                support.append(code)
        clauses = tuple(self._conditional[number].id for number in numbers)
        return Assignment(need.service, need.right, lead, tuple(support), clauses)


def _is_read(effect: Effect) -> bool:
    """Whether a field of the decision is read from the effect."""
    if isinstance(effect, ClockRuns):
        return effect.clock is ClockName.ANSWER and effect.service is None
    return isinstance(effect, ServiceNeeded | UrgencyIs | Mediation | BasisIs | SuspectServedBy)


class Engines:
    """One engine for each period between two days on which clauses start or end."""

    def __init__(self, agreement: Agreement, digest: str = "") -> None:
        self.agreement = agreement
        self.digest = digest
        self._days = agreement.periods()
        self._engines = [Engine(agreement, day) for day in self._days]

    def on(self, day: date) -> Engine:
        """The engine of a day; before the first period, the first."""
        return self._engines[max(bisect_right(self._days, day) - 1, 0)]
