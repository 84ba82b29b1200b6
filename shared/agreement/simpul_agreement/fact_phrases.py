"""How each fact is read in a sentence: the words of one value, of several, and of none."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from simpul_agreement.facts import (
    CENTRE,
    EVENT_AREA,
    EXCLUDED,
    NONE,
    RESIDENCE,
    SINCE_EVENT,
    TIME,
    UNKNOWN,
    URGENCY,
    VIOLENCE,
    AgencyKind,
    Area,
    TimeBand,
    TimeSinceEvent,
)
from simpul_agreement.languages import join_all, join_any, translator, without_capital
from simpul_agreement.model import Condition
from simpul_schema.translations import gettext_noop
from simpul_schema.vocabulary import AgeBand, Answer, Place, Relation, Urgency, Violence


@dataclass(frozen=True, slots=True)
class FactPhrases:
    """The phrases of one fact; `absent` is the sentence for a value that is unknown or none."""

    values: Mapping[str, str]
    absent: str = ""
    sentence: str = ""
    """Frames the values; empty where each value is a sentence of its own."""
    negation: str = ""
    """Frames values that must not hold."""
    exclusive: str = ""
    """Frames the values of which no other holds, where they are fewer than those that must not hold."""
    exception: str = ""
    """Frames one or two values that are known not to hold, where the others would be a long list."""


def _yes_or_no(yes: str, no: str, unknown: str) -> FactPhrases:
    return FactPhrases({Answer.YES.value: yes, Answer.NO.value: no}, unknown)


_FEW: Final = 2
_KINDS: Final = MappingProxyType({kind.value: kind.message for kind in AgencyKind})
FACT_PHRASES: Final[Mapping[str, FactPhrases]] = MappingProxyType({
    VIOLENCE.name: FactPhrases(
        {
            Violence.PHYSICAL.value: gettext_noop("physical violence"),
            Violence.PSYCHOLOGICAL.value: gettext_noop("psychological violence"),
            Violence.SEXUAL.value: gettext_noop("sexual violence"),
            Violence.EXPLOITATION.value: gettext_noop("exploitation"),
            Violence.TRAFFICKING.value: gettext_noop("trafficking"),
            Violence.NEGLECT.value: gettext_noop("neglect"),
            Violence.OTHER.value: gettext_noop("another kind of violence"),
            Violence.UNKNOWN.value: gettext_noop("violence of an unknown kind"),
        },
        sentence=gettext_noop("the child suffered {values}"),
        negation=gettext_noop("the child did not suffer {values}"),
        exclusive=gettext_noop("the child suffered only {values}"),
    ),
    "perpetrator_is_child": _yes_or_no(
        gettext_noop("the suspect is a child"),
        gettext_noop("the suspect is not a child"),
        gettext_noop("it is not known whether the suspect is a child"),
    ),
    "perpetrator_lives_with_child": _yes_or_no(
        gettext_noop("the suspect lives with the child"),
        gettext_noop("the suspect does not live with the child"),
        gettext_noop("it is not known whether the suspect lives with the child"),
    ),
    "guardian_is_suspect": _yes_or_no(
        gettext_noop("the guardian is the suspect"),
        gettext_noop("the guardian is not the suspect"),
        gettext_noop("it is not known whether the guardian is the suspect"),
    ),
    "safe_now": _yes_or_no(
        gettext_noop("the child is safe now"),
        gettext_noop("the child is not safe now"),
        gettext_noop("it is not known whether the child is safe now"),
    ),
    "injured": _yes_or_no(
        gettext_noop("the child is injured"),
        gettext_noop("the child is not injured"),
        gettext_noop("it is not known whether the child is injured"),
    ),
    "suicidal_sign": _yes_or_no(
        gettext_noop("the child shows a suicidal sign"),
        gettext_noop("the child shows no suicidal sign"),
        gettext_noop("it is not known whether the child shows a suicidal sign"),
    ),
    "pregnant": _yes_or_no(
        gettext_noop("the child is pregnant"),
        gettext_noop("the child is not pregnant"),
        gettext_noop("it is not known whether the child is pregnant"),
    ),
    "disability_need": _yes_or_no(
        gettext_noop("the child has a need because of a disability"),
        gettext_noop("the child has no need because of a disability"),
        gettext_noop("it is not known whether the child has a need because of a disability"),
    ),
    "in_school": _yes_or_no(
        gettext_noop("the child goes to school"),
        gettext_noop("the child does not go to school"),
        gettext_noop("it is not known whether the child goes to school"),
    ),
    SINCE_EVENT.name: FactPhrases(
        {
            TimeSinceEvent.UNDER_24H.value: gettext_noop("less than 24 hours"),
            TimeSinceEvent.FROM_24H_TO_72H.value: gettext_noop("24 to 72 hours"),
            TimeSinceEvent.OVER_72H.value: gettext_noop("more than 72 hours"),
        },
        gettext_noop("it is not known when it happened"),
        gettext_noop("it happened {values} before the report"),
    ),
    "place": FactPhrases(
        {
            Place.HOUSEHOLD.value: gettext_noop("in the household"),
            Place.WORKPLACE.value: gettext_noop("at a workplace"),
            Place.SCHOOL.value: gettext_noop("at school"),
            Place.PUBLIC_FACILITY.value: gettext_noop("in a public place"),
            Place.ONLINE.value: gettext_noop("online"),
            Place.OTHER.value: gettext_noop("elsewhere"),
        },
        sentence=gettext_noop("it happened {values}"),
        exception=gettext_noop("it happened anywhere but {values}"),
    ),
    "age_band": FactPhrases(
        {
            AgeBand.UNDER_6.value: gettext_noop("0-5 years"),
            AgeBand.FROM_6_TO_11.value: gettext_noop("6-11 years"),
            AgeBand.FROM_12_TO_14.value: gettext_noop("12-14 years"),
            AgeBand.FROM_15_TO_17.value: gettext_noop("15-17 years"),
        },
        gettext_noop("the age of the child is not known"),
        gettext_noop("the age of the child is {values}"),
    ),
    "perpetrator_relation": FactPhrases(
        {
            Relation.PARENT.value: gettext_noop("a parent"),
            Relation.STEP_PARENT.value: gettext_noop("a step-parent"),
            Relation.RELATIVE.value: gettext_noop("a relative"),
            Relation.SPOUSE.value: gettext_noop("the spouse"),
            Relation.PARTNER_FRIEND.value: gettext_noop("a partner or friend"),
            Relation.NEIGHBOUR.value: gettext_noop("a neighbour"),
            Relation.TEACHER.value: gettext_noop("a teacher"),
            Relation.EMPLOYER.value: gettext_noop("an employer"),
            Relation.COLLEAGUE.value: gettext_noop("a colleague"),
            Relation.STRANGER.value: gettext_noop("a stranger"),
            Relation.OTHER.value: gettext_noop("somebody else"),
        },
        gettext_noop("the relation of the suspect to the child is not known"),
        gettext_noop("the suspect is {values}"),
        exception=gettext_noop("the suspect is known not to be {values}"),
    ),
    EVENT_AREA.name: FactPhrases(
        {
            Area.KELURAHAN.value: gettext_noop("it happened in a kelurahan of the city"),
            Area.OUTSIDE.value: gettext_noop("it happened outside the city"),
        },
        gettext_noop("it is not known whether it happened in the city"),
    ),
    RESIDENCE.name: FactPhrases(
        {
            Area.KELURAHAN.value: gettext_noop("the child lives in a kelurahan of the city"),
            Area.OUTSIDE.value: gettext_noop("the child lives outside the city"),
        },
        gettext_noop("the home of the child is not known"),
    ),
    CENTRE.name: FactPhrases(
        _KINDS, gettext_noop("the complaint centre is not known"), gettext_noop("the report was taken by {values}")
    ),
    EXCLUDED.name: FactPhrases(
        _KINDS,
        gettext_noop("no party is excluded"),
        gettext_noop("the party excluded as close to the suspect is {values}"),
    ),
    TIME.name: FactPhrases(
        {
            TimeBand.OFFICE_HOURS.value: gettext_noop("during office hours"),
            TimeBand.EVENING.value: gettext_noop("in the evening"),
            TimeBand.NIGHT.value: gettext_noop("at night"),
            TimeBand.DAY_OFF.value: gettext_noop("on a day off"),
        },
        sentence=gettext_noop("the report came in {values}"),
    ),
    URGENCY.name: FactPhrases(
        {
            Urgency.HIGH.value: gettext_noop("high"),
            Urgency.MEDIUM.value: gettext_noop("medium"),
            Urgency.LOW.value: gettext_noop("low"),
        },
        sentence=gettext_noop("the urgency is {values}"),
    ),
})  # fmt: skip


def describe_condition(condition: Condition, language: str) -> str:
    """The condition as part of a sentence."""
    _ = translator(language)
    phrases = FACT_PHRASES[condition.fact]
    required = _describe_values(phrases, condition.any_of, language) if condition.any_of else ""
    if not condition.none_of:
        return required
    remaining = phrases.values.keys() - condition.none_of
    if not required and 0 < len(remaining) <= len(condition.none_of):
        return _(phrases.exclusive).format(values=_join(phrases, frozenset(remaining), language))
    refused = _(phrases.negation).format(values=_join(phrases, condition.none_of, language))
    return _("{required} but {refused}").format(required=required, refused=refused) if required else refused


def describe_fact(fact: str, values: frozenset[str], language: str) -> str:
    """The values that hold of a fact, as part of a sentence."""
    phrases = FACT_PHRASES[fact]
    if not phrases.negation:
        return _describe_values(phrases, values, language)
    joined = join_all([_phrase(phrases, value, language) for value in phrases.values if value in values], language)
    return translator(language)(phrases.sentence).format(values=joined)


def _describe_values(phrases: FactPhrases, values: frozenset[str], language: str) -> str:
    _ = translator(language)
    present = values & phrases.values.keys()
    if not present:
        return _(phrases.absent)
    missing = phrases.values.keys() - present
    if phrases.exception and 0 < len(missing) <= _FEW < len(present):
        text = _(phrases.exception).format(values=_join(phrases, frozenset(missing), language))
    else:
        joined = _join(phrases, present, language)
        text = _(phrases.sentence).format(values=joined) if phrases.sentence else joined
    if UNKNOWN in values - present:
        return _("{text}, or this is not known").format(text=text)
    return join_any([text, _(phrases.absent)], language) if NONE in values - present else text


def _join(phrases: FactPhrases, values: frozenset[str], language: str) -> str:
    return join_any([_phrase(phrases, value, language) for value in phrases.values if value in values], language)


def _phrase(phrases: FactPhrases, value: str, language: str) -> str:
    return without_capital(translator(language)(phrases.values[value]))
