"""Kinds of violence that other facts imply, whether or not the report names them (R1)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import product
from math import prod
from typing import Final

from simpul_agreement.facts import BY_NAME, FACTS, VIOLENCE, Fact, Situation
from simpul_agreement.model import Condition, Source, Status
from simpul_schema.vocabulary import AgeBand, Answer, Violence


@dataclass(frozen=True, slots=True)
class Implication:
    """A kind of violence that counts where all conditions hold; the conditions read single-valued facts only."""

    when: tuple[Condition, ...]
    kind: Violence
    source: Source


_YES: Final = frozenset({Answer.YES.value})
BELOW_15: Final = frozenset({AgeBand.UNDER_6.value, AgeBand.FROM_6_TO_11.value, AgeBand.FROM_12_TO_14.value})
"""These bands end at 15, so they decide exactly whether a known age is below it."""
_LAW: Final = Source(
    "UU 12/2022 tentang Tindak Pidana Kekerasan Seksual", "4", date(2026, 11, 26), Status.NEEDS_A_LAWYER
)
IMPLICATIONS: Final = (
    # Article 4 counts intercourse with a child as sexual violence. A pregnancy from 15 on, or at an unknown age, is for
    # the case manager to assess; it gets medical care, and once the age is known routing decides again.
    Implication((Condition("pregnant", _YES), Condition("age_band", BELOW_15)), Violence.SEXUAL, _LAW),
)


def normalize_situation(situation: Situation) -> Situation:
    """The situation with every implied kind of violence; reported kinds stay, `unknown` included (R9)."""
    kinds = frozenset(implication.kind.value for implication in implications_of(situation))
    violence = situation[VIOLENCE.name]
    return situation if kinds <= violence else {**situation, VIOLENCE.name: violence | kinds}


def implications_of(situation: Situation) -> Iterator[Implication]:
    """The implications whose conditions hold."""
    for implication in IMPLICATIONS:
        for condition in implication.when:
            if not condition.admits(situation[condition.fact]):
                break
        else:
            yield implication


def linked_facts() -> tuple[Fact, ...]:
    """The facts that imply violence."""
    names = dict.fromkeys(condition.fact for implication in IMPLICATIONS for condition in implication.when)
    return tuple(BY_NAME[name] for name in names)


def implied_kinds() -> Iterator[tuple[Mapping[str, str], frozenset[str]]]:
    """Every choice of values for the linked facts, with the kinds of violence that it implies."""
    linked = linked_facts()
    for values in product(*(fact.values for fact in linked)):
        chosen = {fact.name: value for fact, value in zip(linked, values, strict=True)}
        situation = {name: frozenset({value}) for name, value in chosen.items()}
        yield chosen, frozenset(implication.kind.value for implication in implications_of(situation))


def violence_sets(kinds: frozenset[str]) -> int:
    """How many sets of kinds of violence contain these; at least one kind always holds."""
    return (1 << len(VIOLENCE.values) - len(kinds)) - (not kinds)


def situations() -> int:
    """How many different normalized situations there are."""
    linked = linked_facts()
    others = prod(len(fact.values) for fact in FACTS if fact not in (*linked, VIOLENCE))
    return others * sum(violence_sets(kinds) for _, kinds in implied_kinds())
