"""Two independent provers and the engine agree about every agreement."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from simpul_agreement.deadlines import Within
from simpul_agreement.engine import Decision, Engine, Origin, ServiceTerms
from simpul_agreement.facts import BY_NAME, FACTS, Situation
from simpul_agreement.implications import normalize_situation, situations
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
    Step,
    SuspectServedBy,
    UrgencyIs,
    answer_of,
)
from simpul_agreement.origins import origin_for
from simpul_agreement.properties import EXACTLY_ONE, PROPERTIES, SERVICE_PLAN
from simpul_agreement.provers.bitset import BitsetProver
from simpul_agreement.provers.layout import Layout
from simpul_agreement.provers.questions import Broken, Dead, Gap, Overlap, ServiceGroup, questions_on
from simpul_agreement.provers.solver import SolverProver
from simpul_schema.vocabulary import ActorRole, Right, Service, Urgency
from tests.support.agreements import CITY, DAY, a_clause, an_agreement, kediri

REASON = BilingualText("tidak perlu", "not needed")
CONDITION_FACTS = (
    "safe_now",
    "injured",
    "violence",
    "residence",
    "complaint_centre",
    "excluded",
    "place",
    "time_since_event",
    "pregnant",
    "age_band",
)
EFFECTS: tuple[Effect, ...] = (
    *(UrgencyIs(urgency) for urgency in Urgency),
    ServiceNeeded(Service.CASE_MANAGEMENT, Right.PROMPT_RESPONSE, ("uptd-ppa", "ylpa")),
    ServiceNeeded(Service.CASE_MANAGEMENT, Right.PROMPT_RESPONSE, ("satgas_of_residence",), ("complaint_centre",)),
    ServiceNeeded(Service.MANUAL_TRIAGE, Right.PROMPT_RESPONSE, ("ylpa", "uptd-ppa")),
    ServiceNeeded(Service.EMERGENCY_PROTECTION, Right.PROMPT_RESPONSE, ("polres-ppa",), ("complaint_centre",)),
    ServiceNeeded(Service.PSYCHOLOGIST, Right.PSYCHOLOGICAL_REHABILITATION, ("uptd-ppa",)),
    ServiceNeeded(Service.PSYCHOLOGIST, Right.PSYCHOLOGICAL_REHABILITATION, ("uptd-ppa",), phase=Phase.PLANNED),
    ServiceNeeded(
        Service.PSYCHOLOGIST, Right.PSYCHOLOGICAL_REHABILITATION, ("uptd-ppa",), (), Phase.PLANNED, Urgency.LOW
    ),
    ServiceNeeded(Service.CASE_MANAGEMENT, Right.PROMPT_RESPONSE, ("uptd-ppa", "ylpa"), max_urgency=Urgency.MEDIUM),
    PlanDeadline(Within(working_days=3)),
    PlanDeadline(Within(working_days=3), is_sent_at_deadline=True),
    RightNotNeeded(Right.PSYCHOLOGICAL_REHABILITATION, REASON),
    RightNotNeeded(Right.PROMPT_RESPONSE, REASON),
    RightNotNeeded(Right.EDUCATION, REASON, reassess=True),
    Mediation(is_locked=True),
    Mediation(is_locked=False, opened_by=frozenset({ActorRole.CASE_MANAGER})),
    Mediation(is_locked=False, opened_by=frozenset({ActorRole.COORDINATOR})),
    BasisIs(Basis.GUARDIAN_CONSENT),
    BasisIs(Basis.LEGAL_DUTY),
    Disclosure(Service.EMERGENCY_PROTECTION, frozenset({Section.IDENTITY, Section.MEDICAL})),
    Disclosure(
        Service.OUTREACH,
        frozenset({Section.IDENTITY, Section.LOGISTICS}),
        frozenset({Section.LOGISTICS}),
        Basis.LEGAL_DUTY,
    ),
    Disclosure(Service.CASE_MANAGEMENT, frozenset()),
    EscalationLevel(Step.DUE, ("level_above", "uptd-ppa-head")),
    EscalationLevel(Step.TWICE, ("uptd-ppa-head",), ("city-board",)),
    Retention(Section.MEDICAL, 10),
    ClockRuns(ClockName.ANSWER, Within(timedelta(minutes=15))),
    ClockRuns(ClockName.ANSWER, Within(working_days=3)),
    ClockRuns(ClockName.ANSWER, Within(office_hours=6), phase=Phase.PLANNED),
    ClockRuns(ClockName.ANSWER, Within(timedelta(hours=6)), phase=Phase.IMMEDIATE),
    SuspectServedBy(("ylpa", "bapas")),
    SuspectServedBy(("ylpa",)),
)


@st.composite
def conditions(draw: st.DrawFn) -> dict[str, Condition]:
    found = {}
    for name in draw(st.lists(st.sampled_from(CONDITION_FACTS), max_size=3, unique=True)):
        fact = BY_NAME[name]
        values = draw(st.frozensets(st.sampled_from(fact.values), min_size=1, max_size=max(1, len(fact.values) - 1)))
        barred = draw(st.booleans()) if fact.holds_many else False
        found[name] = Condition(name, none_of=values) if barred else Condition(name, any_of=values)
    if draw(st.integers(0, 5)) == 0:
        found["urgency"] = Condition("urgency", frozenset({draw(st.sampled_from(Urgency)).value}))
    return found


@st.composite
def agreements(draw: st.DrawFn) -> Agreement:
    clauses: list[Clause] = []
    for number in range(draw(st.integers(1, 8))):
        effect = draw(st.sampled_from(EFFECTS))
        when = draw(conditions())
        if isinstance(effect, UrgencyIs):
            when.pop("urgency", None)
        # Only earlier clauses are overridden, so there is never a circle; of urgency only urgency's.
        earlier = [c.id for c in clauses if isinstance(c.effect, UrgencyIs) is isinstance(effect, UrgencyIs)]
        overrides = draw(st.lists(st.sampled_from(earlier), max_size=2)) if earlier else []
        clauses.append(a_clause(f"C{number}", effect, *overrides, **when))
    return an_agreement(*clauses)


_situations = st.fixed_dictionaries(
    {
        fact.name: st.frozensets(st.sampled_from(fact.values), min_size=1, max_size=8 if fact.holds_many else 1)
        for fact in FACTS
    }
)


@settings(max_examples=60, deadline=None)
@given(agreements())
def test_both_provers_answer_every_question_alike(agreement: Agreement) -> None:
    bitset, solver = BitsetProver(agreement, DAY).answers(), SolverProver(agreement, DAY).answers()

    differing = [question for question in bitset if (bitset[question] is None) is not (solver[question] is None)]

    assert differing == []


@settings(max_examples=60, deadline=None)
@given(agreements())
def test_what_a_prover_shows_is_seen_by_the_running_engine(agreement: Agreement) -> None:
    engine = Engine(agreement, DAY)
    for answers in (BitsetProver(agreement, DAY).answers(), SolverProver(agreement, DAY).answers()):
        for question, shown in answers.items():
            if shown is None:
                continue
            decided = engine.decide(shown, Origin())
            match question:
                case Gap(topic=topic, group=group):
                    assert not [clause for clause in deciding_for(decided, group) if clause.topic == topic]
                case Overlap(topic=topic, group=group):
                    deciding = deciding_for(decided, group)
                    assert len({answer_of(clause.effect) for clause in deciding if clause.topic == topic}) > 1
                case _:
                    continue


def deciding_for(decision: Decision, group: ServiceGroup | None) -> tuple[Clause, ...]:
    """The clauses that the running engine applies to a service of the group."""
    if group is None:
        return decision.effective
    if group.urgency is None:
        concerned = (clause.effect for clause in decision.effective)
        kept = {effect for effect in concerned if not isinstance(effect, ClockRuns) or effect.concerns(group.phase)}
        return tuple(clause for clause in decision.effective if clause.effect in kept)
    assert decision.urgency is not None
    assert list(Urgency).index(decision.urgency) <= list(Urgency).index(group.urgency)
    return decision.clocks_of(ServiceTerms(group.phase, group.urgency))


@settings(max_examples=60, deadline=None)
@given(agreements(), st.lists(_situations, min_size=1, max_size=5))
def test_the_engine_decides_by_the_clauses_that_the_prover_counts(agreement: Agreement, seen: list[Situation]) -> None:
    prover, engine = BitsetProver(agreement, DAY), Engine(agreement, DAY)
    for situation in seen:
        decided = set(engine.decide(situation, Origin()).clause_ids)
        for clause in agreement.clauses:
            view = prover.view(clause)
            here = view.holding(as_conditions(view.layout, normalize_situation(situation)))
            # A clause that asks for an urgency is not decided by the engine where no clause gives one.
            assert bool(view.effective(clause) & here) is (clause.id in decided)


@settings(max_examples=60, deadline=None)
@given(agreements(), st.lists(_situations, min_size=1, max_size=5))
def test_engine_and_prover_address_the_same_agencies(agreement: Agreement, seen: list[Situation]) -> None:
    prover, engine = BitsetProver(agreement, DAY), Engine(agreement, DAY)
    for situation in seen:
        origin = origin_for(situation, CITY)
        for assigned in engine.decide(situation, origin).assignments:
            clause = agreement.by_id[assigned.clauses[0]]
            assert isinstance(clause.effect, ServiceNeeded)
            view = prover.view(clause, facts=("excluded", "residence", "complaint_centre"))
            here = view.holding(as_conditions(view.layout, normalize_situation(situation)))
            leads = {kind.value for kind, where in view.first(clause.effect.lead).items() if kind and where & here}
            addressed = {kind.value for kind, where in view.addressed(clause.effect).items() if kind and where & here}
            assert {CITY.kinds[code] for code in (assigned.lead,) if code} == leads
            assert {CITY.kinds[code] for code in (assigned.lead, *assigned.support) if code} == addressed


def as_conditions(layout: Layout, situation: Situation) -> Iterator[Condition]:
    """Exactly this situation, as far as the layout goes."""
    for fact in layout.facts:
        values = situation[fact.name]
        if fact.holds_many:
            yield from (Condition(fact.name, any_of=frozenset({value})) for value in values)
            yield Condition(fact.name, none_of=frozenset(fact.values) - values)
        else:
            yield Condition(fact.name, values)


def test_kediri_is_proven_over_every_situation() -> None:
    day = kediri().active_from.date()

    for prover in (BitsetProver(kediri(), day), SolverProver(kediri(), day)):
        assert [question for question, shown in prover.answers().items() if shown] == []

    assert situations() > 8 * 10**11
    questions = questions_on(kediri(), day)
    assert {question.topic for question in questions if isinstance(question, Gap)} == {*EXACTLY_ONE, SERVICE_PLAN}
    assert {question.clause for question in questions if isinstance(question, Dead)} == set(kediri().by_id)
    assert [question.property for question in questions if isinstance(question, Broken)] == list(PROPERTIES)
    assert len(PROPERTIES) >= 12


BREAKING: dict[str, tuple[Clause, ...]] = {
    # An escalation level that belongs to an excluded hub, with no alternative.
    "R6_excluded_get_nothing": (a_clause("R6", EscalationLevel(Step.TWICE, ("uptd-ppa-head",))),),
    "R7_no_consent_of_a_suspect": (a_clause("R7", BasisIs(Basis.GUARDIAN_CONSENT)),),
    "R7_no_consent_of_a_suspected_guardian": (a_clause("R7", BasisIs(Basis.GUARDIAN_CONSENT)),),
    "R10_one_lead_for_each_right": (
        a_clause("R10", ServiceNeeded(Service.CASE_MANAGEMENT, Right.PROMPT_RESPONSE, ("ylpa",))),
    ),
    "what_protects_is_offered_at_once": (
        a_clause(
            "PLANNED",
            ServiceNeeded(Service.MEDICAL_CARE, Right.PHYSICAL_REHABILITATION, ("rs-rujukan",), phase=Phase.PLANNED),
        ),
    ),
    "shelter_in_danger_is_offered_at_once": (
        a_clause(
            "CAPPED",
            ServiceNeeded(Service.SHELTER, Right.SOCIAL_REHABILITATION, ("dinsos-peksos",), max_urgency=Urgency.MEDIUM),
        ),
    ),
    "a_suicidal_sign_is_never_planned": (
        a_clause(
            "LATER",
            ServiceNeeded(Service.PSYCHOLOGIST, Right.PSYCHOLOGICAL_REHABILITATION, ("uptd-ppa",), phase=Phase.PLANNED),
        ),
    ),
    "no_escalation_ends_early": (
        a_clause("LADDER", ServiceNeeded(Service.CASE_MANAGEMENT, Right.PROMPT_RESPONSE, ("ylpa", "uptd-ppa"))),
        a_clause("ESC-2", EscalationLevel(Step.DUE, ("level_above",))),
    ),
    "the_neighbourhood_gets_no_narrative": (
        a_clause("STORY", ServiceNeeded(Service.OUTREACH, Right.PROMPT_RESPONSE, ("satgas_of_residence",))),
        a_clause("STORY-2", Disclosure(Service.OUTREACH, frozenset({Section.NARRATIVE}))),
    ),
}


def broken_in(agreement: Agreement) -> set[str]:
    """Both provers name the same."""
    found = [
        {
            question.property.name
            for question, shown in prover(agreement, DAY).answers().items()
            if isinstance(question, Broken) and shown
        }
        for prover in (BitsetProver, SolverProver)
    ]
    assert found[0] == found[1]
    return found[0]


def test_every_property_can_fail() -> None:
    """One that nothing could break would prove nothing: without clauses, with the wrong one, or with nobody on duty."""
    broken = broken_in(an_agreement())
    for name, clauses in BREAKING.items():
        assert name in broken_in(an_agreement(*clauses)), name
        broken.add(name)
    idle = replace(
        an_agreement(a_clause("IDLE", ServiceNeeded(Service.CASE_MANAGEMENT, Right.PROMPT_RESPONSE, ("ylpa",)))),
        parties=tuple(replace(party, duty_in=frozenset()) for party in kediri().parties),
    )
    broken |= broken_in(idle) & {"nobody_unreachable_is_addressed"}

    assert broken == {wanted.name for wanted in PROPERTIES}
