"""Decides by the agreement: for each value of each fact one integer whose bits are the clauses that admit it.

A decision is the AND of one integer for each fact and a look at the bits that are left, so it costs nearly the same
for fifty clauses and for ten thousand, and never depends on the order in which clauses are written.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from simpul_routing.domain.agreement import (
    COMPLAINT_CENTRE,
    KECAMATAN_OF_RESIDENCE,
    SATGAS_OF_RESIDENCE,
    Agreement,
    BasisIs,
    Clause,
    ClockName,
    ClockRuns,
    Condition,
    Mediation,
    ServiceNeeded,
    SuspectServedBy,
    UrgencyIs,
    Within,
)
from simpul_routing.domain.facts import FACTS, URGENCY, Situation
from simpul_schema.vocabulary import Right, Service, Urgency

_BITS: Final = tuple(tuple(bit for bit in range(8) if byte >> bit & 1) for byte in range(256))
_NONZERO: Final = re.compile(rb"[^\0]")


def bits_of(mask: int) -> Iterator[int]:
    """The positions of the set bits; bytes without any are passed over by the regular expression."""
    for found in _NONZERO.finditer(mask.to_bytes((mask.bit_length() + 7) // 8, "little")):
        first = found.start() * 8
        for bit in _BITS[found[0][0]]:
            yield first + bit


@dataclass(frozen=True, slots=True)
class Origin:
    """The agencies that only a report tells, as codes, empty when it does not; and those that receive nothing."""

    satgas: str = ""
    kecamatan: str = ""
    centre: str = ""
    excluded: frozenset[str] = frozenset()

    def resolve(self, selector: str) -> str:
        """The code of an agency that may be addressed; empty when there is none."""
        told = {
            SATGAS_OF_RESIDENCE: self.satgas,
            KECAMATAN_OF_RESIDENCE: self.kecamatan,
            COMPLAINT_CENTRE: self.centre,
        }
        code = told.get(selector, selector)
        return "" if code in self.excluded else code

    def first(self, selectors: Iterable[str]) -> str:
        """The first of them that may be addressed; empty when none may."""
        return next((code for selector in selectors if (code := self.resolve(selector))), "")


@dataclass(frozen=True, slots=True)
class Assignment:
    """One service that is needed, and who answers for it."""

    service: Service
    right: Right
    lead: str
    support: tuple[str, ...]
    clauses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from a situation; everything else the clauses say is read from `effective`."""

    urgency: Urgency | None
    answer: Within | None
    mediation_is_locked: bool
    basis: BasisIs | None
    suspect_served_by: str
    assignments: tuple[Assignment, ...]
    effective: tuple[Clause, ...]

    @property
    def clause_ids(self) -> tuple[str, ...]:
        """The clauses that made it."""
        return tuple(clause.id for clause in self.effective)


class _Masks(dict[frozenset[str], int]):
    """The clauses that admit the values of one fact, worked out once for each set of values that occurs."""

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
    """The clauses that count on one day."""

    def __init__(self, agreement: Agreement, day: date) -> None:
        # Urgency first: its clauses are the lowest bits, and looking at them costs little.
        valid = (clause for clause in agreement.clauses if clause.is_valid_on(day))
        self.clauses = tuple(sorted(valid, key=lambda clause: not isinstance(clause.effect, UrgencyIs)))
        self._urgency_of = [c.effect.urgency for c in self.clauses if isinstance(c.effect, UrgencyIs)]
        self._urgency_clauses = (1 << len(self._urgency_of)) - 1
        everything = (1 << len(self.clauses)) - 1
        self._everything = everything
        position = {clause.id: number for number, clause in enumerate(self.clauses)}
        self._overrides = [
            frozenset(position[other] for other in clause.overrides if other in position) for clause in self.clauses
        ]
        tables = {
            fact.name: _Masks(
                {
                    number: condition
                    for number, clause in enumerate(self.clauses)
                    for condition in clause.when
                    if condition.fact == fact.name
                },
                everything,
            )
            for fact in (*FACTS, URGENCY)
        }
        self._by_urgency = tables.pop(URGENCY.name)
        self._tables = tuple(tables.items())

    def decide(self, situation: Situation, origin: Origin) -> Decision:
        """Everything the agreement says about a situation."""
        applying = self._everything
        for fact, table in self._tables:
            applying &= table[situation[fact]]
        said = {self._urgency_of[number] for number in self._effective(applying & self._urgency_clauses)}
        applying &= self._by_urgency[frozenset(urgency.value for urgency in said)]
        # A proof allows exactly one; without it the most urgent is the safe one.
        urgency = next((urgency for urgency in Urgency if urgency in said), None)
        return self._said([self.clauses[number] for number in self._effective(applying)], urgency, origin)

    def _effective(self, applying: int) -> list[int]:
        found = list(bits_of(applying))
        overridden: set[int] = set()
        for number in found:
            overridden |= self._overrides[number]
        return [number for number in found if number not in overridden] if overridden else found

    def _said(self, clauses: list[Clause], urgency: Urgency | None, origin: Origin) -> Decision:
        needs: dict[Service, list[Clause]] = {}
        answer, basis, suspect, is_locked = None, None, "", False
        for clause in clauses:
            effect = clause.effect
            match effect:
                case ServiceNeeded(service=service):
                    needs.setdefault(service, []).append(clause)
                case ClockRuns(clock=ClockName.ANSWER, service=None, within=within):
                    answer = within
                case Mediation(is_locked=locked):
                    is_locked |= locked
                case BasisIs():
                    basis = effect
                case SuspectServedBy(lead=lead):
                    suspect = origin.first(lead)
                case _:
                    pass
        return Decision(
            urgency=urgency,
            answer=answer,
            mediation_is_locked=is_locked,
            basis=basis,
            suspect_served_by=suspect,
            assignments=tuple(_assigned(saying, origin) for saying in needs.values()),
            effective=tuple(clauses),
        )


def _assigned(saying: list[Clause], origin: Origin) -> Assignment:
    need = saying[0].effect
    assert isinstance(need, ServiceNeeded)  # noqa: S101 - grouped so by the caller
    lead = origin.first(need.lead)
    named = (origin.resolve(selector) for selector in need.support)
    support = tuple(code for code in dict.fromkeys(named) if code and code != lead)
    return Assignment(need.service, need.right, lead, support, tuple(clause.id for clause in saying))


class Engines:
    """One engine for each period between two days on which clauses begin or end to count."""

    def __init__(self, agreement: Agreement) -> None:
        self.agreement = agreement
        self._days = agreement.periods()
        self._engines = [Engine(agreement, day) for day in self._days]

    def on(self, day: date) -> Engine:
        """The engine of a day; before the first period, the first."""
        return self._engines[max(bisect_right(self._days, day) - 1, 0)]
