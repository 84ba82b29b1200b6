"""The clauses of an agreement: conditions over finite facts and an effect, each with its source."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from simpul_agreement.model.effects import Effect, Topic, topic_of
from simpul_agreement.model.terms import BilingualText, Status


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
    line: int = 1
    column: int = 1

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
