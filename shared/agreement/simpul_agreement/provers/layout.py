"""Situations as the bits of integers, and the effect of clauses in each of them."""

from collections.abc import Iterable, Mapping, Sequence
from math import prod
from typing import Final, Protocol

from simpul_agreement.facts import (
    BY_NAME,
    CENTRE,
    EXCLUDED,
    FACTS,
    NOTHING_KNOWN,
    RESIDENCE,
    URGENCY,
    VIOLENCE,
    AgencyKind,
    Area,
    Situation,
)
from simpul_agreement.implications import (
    IMPLICATIONS,
    implied_kinds,
    linked_facts,
    normalize_situation,
    violence_sets,
)
from simpul_agreement.model import COMPLAINT_CENTRE, Agreement, Clause, Condition, ServiceNeeded, UrgencyIs
from simpul_agreement.provers.questions import TooWide
from simpul_schema.vocabulary import Urgency

WIDEST: Final = 1 << 27
"""Situations in one layout; 16 MB for each integer."""


class InForce(Protocol):
    """The clauses that are valid on one day."""

    agreement: Agreement

    @property
    def urgency(self) -> Sequence[Clause]:
        """Those that decide the urgency."""

    @property
    def over(self) -> Mapping[str, Sequence[Clause]]:
        """Clause -> those that override it."""


class Layout:
    """The normalized situations over some of the facts, numbered."""

    def __init__(self, facts: Iterable[str]) -> None:
        chosen = set(facts)
        self.facts = [fact for fact in FACTS if fact.name in chosen]
        self._sizes = [1 << len(fact.values) if fact.holds_many else len(fact.values) for fact in self.facts]
        self.cells = prod(self._sizes)
        if self.cells > WIDEST:
            raise TooWide([fact.name for fact in self.facts])
        self._strides: dict[str, int] = {}
        stride = 1
        for fact, size in zip(self.facts, self._sizes, strict=True):
            self._strides[fact.name] = stride
            stride *= size
        self.everything = (1 << self.cells) - 1
        for fact in self.facts:
            if fact.holds_many:
                # A report names at least one kind, so the empty set is not a situation.
                self.everything &= ~self._repeated(fact.name, {0})
        self.everything &= ~self._not_normalized()

    def _not_normalized(self) -> int:
        """The situations that lack a kind of violence which their facts imply.

        An implication that reads a fact outside the layout excludes nothing, because that fact may have another value.
        """
        names = {fact.name for fact in self.facts}
        mask = 0
        for implication in IMPLICATIONS:
            if {VIOLENCE.name, *(condition.fact for condition in implication.when)} <= names:
                implied = self.holding(Condition(VIOLENCE.name, none_of=frozenset({implication.kind.value})))
                for condition in implication.when:
                    implied &= self.holding(condition)
                mask |= implied
        return mask

    def holding(self, condition: Condition) -> int:
        """The situations in which a condition holds."""
        fact = BY_NAME[condition.fact]
        if fact.holds_many:
            wanted = sum(1 << fact.values.index(value) for value in condition.any_of)
            barred = sum(1 << fact.values.index(value) for value in condition.none_of)
            indices = {n for n in range(1, 1 << len(fact.values)) if (not wanted or n & wanted) and not n & barred}
        else:
            indices = {fact.values.index(value) for value in condition.any_of}
        return self._repeated(fact.name, indices)

    def _repeated(self, fact: str, indices: set[int]) -> int:
        stride = self._strides[fact]
        size = self._sizes[[known.name for known in self.facts].index(fact)]
        ones = (1 << stride) - 1
        pattern = sum(ones << index * stride for index in indices)
        length = stride * size
        while length < self.cells:
            pattern |= pattern << length
            length *= 2
        return pattern & ((1 << self.cells) - 1)

    def situation(self, mask: int) -> Situation:
        """The first situation of a set; facts outside the layout have their default, or are implied."""
        index = (mask & -mask).bit_length() - 1
        found = dict(NOTHING_KNOWN)
        for fact, size in zip(self.facts, self._sizes, strict=True):
            index, value = divmod(index, size)
            found[fact.name] = (
                frozenset(name for bit, name in enumerate(fact.values) if value >> bit & 1)
                if fact.holds_many
                else frozenset({fact.values[value]})
            )
        return normalize_situation(found)

    def count(self, mask: int) -> int:
        """The number of complete situations in a set; facts outside the layout multiply it."""
        inside, linked = {fact.name for fact in self.facts}, linked_facts()
        others = prod(len(f.values) for f in FACTS if f not in (*linked, VIOLENCE) and f.name not in inside)
        total = 0
        for chosen, kinds in implied_kinds():
            here = mask
            for fact, value in chosen.items():
                here &= self.holding(Condition(fact, frozenset({value}))) if fact in inside else -1
            for kind in kinds if VIOLENCE.name in inside else ():
                here &= self.holding(Condition(VIOLENCE.name, frozenset({kind})))
            total += here.bit_count() * (1 if VIOLENCE.name in inside else violence_sets(kinds))
        return total * others


class View:
    """The effect of the clauses in each situation of one layout.

    With `urgency`, the clauses decide about a service of that urgency, whatever the urgency of the case.
    """

    def __init__(self, clauses: InForce, facts: Iterable[str], urgency: Urgency | None = None) -> None:
        self._clauses = clauses
        self._urgency = urgency
        self.layout = Layout(facts)
        self.everything = self.layout.everything
        self._applies: dict[str, int] = {}

    def holding(self, conditions: Iterable[Condition]) -> int:
        """The situations in which all conditions hold."""
        mask = self.everything
        for condition in conditions:
            mask &= self._urgent(condition) if condition.fact == URGENCY.name else self.layout.holding(condition)
        return mask

    def _urgent(self, condition: Condition) -> int:
        if self._urgency:
            return self.everything if self._urgency.value in condition.any_of else 0
        mask = 0
        for clause in self._clauses.urgency:
            if isinstance(clause.effect, UrgencyIs) and clause.effect.urgency.value in condition.any_of:
                mask |= self.effective(clause)
        return mask

    def applies(self, clause: Clause) -> int:
        """The situations in which a clause's conditions hold."""
        if clause.id not in self._applies:
            self._applies[clause.id] = self.holding(clause.when)
        return self._applies[clause.id]

    def effective(self, clause: Clause) -> int:
        """The situations in which a clause decides: it applies and nothing that applies overrides it."""
        mask = self.applies(clause)
        for other in self._clauses.over[clause.id]:
            mask &= ~self.applies(other)
        return mask

    def any_effective(self, clauses: Iterable[Clause]) -> int:
        """The situations in which at least one of them decides."""
        mask = 0
        for clause in clauses:
            mask |= self.effective(clause)
        return mask

    def centre(self, kind: AgencyKind) -> int:
        """The situations in which a party of the kind took the report."""
        return self.layout.holding(Condition(CENTRE.name, frozenset({kind.value})))

    def excluded(self, kind: AgencyKind) -> int:
        """The situations in which the kind is excluded."""
        return self.layout.holding(Condition(EXCLUDED.name, frozenset({kind.value})))

    def available(self, selector: str) -> dict[AgencyKind | None, int]:
        """The kind of the party behind a selector, and the situations in which it may be addressed."""
        if selector == COMPLAINT_CENTRE:
            return {kind: self.centre(kind) & ~self.excluded(kind) for kind in AgencyKind}
        party = self._clauses.agreement.party_of.get(selector)
        if party is None:
            # An unknown selector has a finding of its own; here nobody is available.
            return {}
        mask = self.not_excluded(selector)
        if party.kind in (AgencyKind.SATGAS_KELURAHAN, AgencyKind.SATGAS_KECAMATAN):
            mask &= self.layout.holding(Condition(RESIDENCE.name, frozenset({Area.KELURAHAN.value})))
        return {party.kind: mask}

    def not_excluded(self, code: str) -> int:
        """The situations in which a party is not excluded."""
        kind = self._clauses.agreement.excluded_with(code)
        return self.everything & ~(self.excluded(kind) if kind else 0)

    def first(self, selectors: Sequence[str]) -> dict[AgencyKind | None, int]:
        """The kind of the first selector that may be addressed, and the situations in which it is the first."""
        found: dict[AgencyKind | None, int] = {}
        left = self.everything
        for selector in selectors:
            taken = 0
            for kind, mask in self.available(selector).items():
                found[kind] = found.get(kind, 0) | (mask & left)
                taken |= mask
            left &= ~taken
        return found

    def addressed(self, need: ServiceNeeded) -> dict[AgencyKind | None, int]:
        """The kinds that lead or support a needed service, and the situations in which they do."""
        found = self.first(need.lead)
        for selector in need.support:
            for kind, mask in self.available(selector).items():
                found[kind] = found.get(kind, 0) | mask
        return found
