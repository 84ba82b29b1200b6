"""The files in `clauses/`: conditions, effects, sources and examples."""

from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from simpul_agreement.facts import FACTS, URGENCY, Fact
from simpul_agreement.files.effects import Then
from simpul_agreement.files.values import ClauseId, Day, Written, WrittenSource, WrittenText


def facts_schema(*, in_conditions: bool) -> dict[str, Any]:
    """The schema that lets an editor offer the facts and the values of each."""

    def values(fact: Fact) -> dict[str, Any]:
        listed = {"type": "array", "minItems": 1, "items": {"enum": list(fact.values)}}
        if fact.holds_many and in_conditions:
            return {"type": "object", "additionalProperties": False, "properties": {"any": listed, "none": listed}}
        if fact.holds_many:
            # Kinds that hold together are joined by +.
            kind = f"({'|'.join(fact.values)})"
            joined = {"type": "string", "pattern": rf"^{kind}(\+{kind})*$"}
            return {"anyOf": [{"enum": list(fact.values)}, joined, {"type": "array", "items": joined}]}
        return listed if in_conditions else {"anyOf": [{"enum": list(fact.values)}, listed]}

    facts = (*FACTS, URGENCY) if in_conditions else FACTS
    properties = {fact.name: values(fact) for fact in facts}
    return {"type": "object", "additionalProperties": False, "properties": properties}


class Violences(Written):
    """Kinds of violence: at least one of `any`, none of `none`."""

    any: list[str] = Field(default_factory=list)
    none: list[str] = Field(default_factory=list)


Values = str | list[str]
ExampleFacts = Annotated[dict[str, Values], WithJsonSchema(facts_schema(in_conditions=False))]
"""Fact -> value, or a list of alternatives. Kinds of violence that occur together are joined by `+`."""


class Examples(Written):
    """Reports to which the clause applies, and reports to which it does not; omitted facts are unknown."""

    applies: list[ExampleFacts] = Field(min_length=1)
    never: list[ExampleFacts] = Field(default_factory=list, alias="not")


class WrittenClause(Written):
    """One sentence of the agreement."""

    id: ClauseId
    when: Annotated[dict[str, Values | Violences], WithJsonSchema(facts_schema(in_conditions=True))] = Field(
        default_factory=dict, description="all must hold; a clause without conditions always applies"
    )
    then: Then
    source: WrittenSource | None = Field(default=None, description="the chapter's source when omitted")
    overrides: list[str] = Field(
        default_factory=list, description="clauses or chapters over which this one takes precedence"
    )
    valid_from: Day | None = None
    valid_until: Day | None = Field(default=None, description="the first day on which it is no longer valid")
    examples: Examples


class WrittenChapter(Written):
    """Clauses under one heading."""

    chapter: ClauseId
    title: WrittenText
    source: WrittenSource | None = Field(default=None, description="for its clauses without a source")
    overrides: list[str] = Field(default_factory=list, description="for every clause in it")
    clauses: list[WrittenClause] = Field(min_length=1)


class ClausesFile(Written):
    """A file in `clauses/`."""

    chapters: list[WrittenChapter]
