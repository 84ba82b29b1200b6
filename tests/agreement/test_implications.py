"""The engine, both provers, the examples, the comparison and the explanation treat implied facts alike."""

from dataclasses import replace
from itertools import product
from math import prod
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpul_agreement import engine, implications
from simpul_agreement.check import check_version
from simpul_agreement.compare import Comparison
from simpul_agreement.engine import Engine
from simpul_agreement.explain import Explanation
from simpul_agreement.facts import BY_NAME, FACTS, VIOLENCE, Situation, all_sets
from simpul_agreement.implications import IMPLICATIONS, Implication, normalize_situation, situations
from simpul_agreement.model import Condition, Mediation, UrgencyIs
from simpul_agreement.provers import layout, solver
from simpul_agreement.provers.bitset import BitsetProver
from simpul_agreement.provers.layout import Layout
from simpul_agreement.provers.questions import Broken, Gap
from simpul_agreement.provers.solver import SolverProver
from simpul_schema.vocabulary import AgeBand, Urgency, Violence
from tests.agreement.conftest import Edit
from tests.support.agreements import CITY, DAY, HOME, VERSION, a_clause, an_agreement, decide, kediri, reported

SIGNS: dict[str, dict[str, str]] = {
    "pregnant below 6": {"pregnant": "yes", "age_band": "under_6"},
    "pregnant at 6 to 11": {"pregnant": "yes", "age_band": "from_6_to_11"},
    "pregnant at 12 to 14": {"pregnant": "yes", "age_band": "from_12_to_14"},
}
NO_SIGNS: dict[str, dict[str, str]] = {
    "longer ago": {"time_since_event": "over_72h"},
    "a moment ago": {"time_since_event": "under_24h"},
    "pregnant at 15": {"pregnant": "yes", "age_band": AgeBand.of(15).value},
    "pregnant at 16": {"pregnant": "yes", "age_band": AgeBand.of(16).value},
    "pregnant, age not known": {"pregnant": "yes", "age_band": "unknown"},
    "not pregnant": {"pregnant": "no", "age_band": "from_12_to_14"},
    "perhaps pregnant": {"pregnant": "unknown", "age_band": "from_12_to_14"},
}
R1_SIGNS = {"R1_pregnant_below_15_is_sexual", "R1_pregnant_below_15_locks_mediation"}
_situations = st.fixed_dictionaries(
    {
        fact.name: st.frozensets(st.sampled_from(fact.values), min_size=1, max_size=8 if fact.holds_many else 1)
        for fact in FACTS
    }
)


@pytest.mark.parametrize("sign", SIGNS.values(), ids=SIGNS)
@pytest.mark.parametrize("violence", ["physical", "neglect", "other", "unknown"])
def test_a_sign_of_sexual_violence_brings_police_hub_hospital_and_lock(violence: str, sign: dict[str, str]) -> None:
    decided = decide(HOME, violence=violence, safe_now="yes", **sign)

    addressed = {code for assigned in decided.assignments for code in (assigned.lead, *assigned.support)}
    services = {assigned.service for assigned in decided.assignments}
    clocks = {clause.topic[1] for clause in decided.effective if clause.topic[0] == "clock"}
    assert addressed >= {"polres-ppa", "uptd-ppa", "rs-rujukan"}
    assert services >= {"forensic_exam", "psychologist"}
    assert services >= {"medical_care", "police_report"}
    assert clocks >= {"police_report/police_report", "health_window/forensic_exam"}
    assert decided.mediation_is_locked
    assert decided.urgency is Urgency.HIGH


@pytest.mark.parametrize("facts", NO_SIGNS.values(), ids=NO_SIGNS)
def test_without_a_sign_nothing_is_implied(facts: dict[str, str]) -> None:
    decided = decide(HOME, violence="physical", safe_now="yes", **facts)

    assert not decided.mediation_is_locked
    assert "forensic_exam" not in {assigned.service for assigned in decided.assignments}


@pytest.mark.parametrize("years", range(18))
def test_below_15_is_exact_where_the_age_is_known(years: int) -> None:
    decided = decide(violence="other", safe_now="yes", pregnant="yes", age_band=AgeBand.of(years).value)

    assert decided.mediation_is_locked is (years < 15)


@given(_situations)
def test_normalizing_only_adds_and_adds_once(situation: Situation) -> None:
    normalized = normalize_situation(situation)

    assert normalized[VIOLENCE.name] >= situation[VIOLENCE.name]
    assert {**normalized, VIOLENCE.name: situation[VIOLENCE.name]} == situation
    assert normalize_situation(normalized) == normalized


def test_implications_read_facts_with_one_value_and_so_need_one_pass() -> None:
    read = {condition.fact for implication in IMPLICATIONS for condition in implication.when}

    assert not [fact for fact in read if BY_NAME[fact].holds_many]


def every(names: set[str]) -> list[Situation]:
    """Every situation over some facts, the others not known."""
    choices = [
        [(fact.name, values) for values in (all_sets(fact) if fact.holds_many else map(frozenset, zip(fact.values)))]
        for fact in FACTS
        if fact.name in names
    ]
    return [{**reported(), **dict(chosen)} for chosen in product(*choices)]


def test_the_situations_are_counted_as_they_are() -> None:
    linked = {"violence", "pregnant", "age_band"}
    others = prod(len(fact.values) for fact in FACTS if fact.name not in linked)

    normalized = [situation for situation in every(linked) if normalize_situation(situation) == situation]

    assert situations() == len(normalized) * others
    assert Layout(linked).everything.bit_count() == len(normalized)


@pytest.mark.parametrize(
    "names",
    [
        set(),
        {"violence"},
        {"time_since_event"},
        {"pregnant"},
        {"age_band", "pregnant"},
        {"violence", "pregnant"},
        {"violence", "injured"},
        {"injured"},
        {"violence", "time_since_event", "pregnant", "age_band", "injured"},
    ],
    ids=lambda names: "+".join(sorted(names)) or "none",
)
def test_a_layout_of_any_facts_stands_for_all_normalized_situations(names: set[str]) -> None:
    laid_out = Layout(names)

    assert laid_out.count(laid_out.everything) == situations()


def test_a_layout_holds_exactly_what_some_normalized_situation_shows() -> None:
    linked = {"violence", "pregnant", "age_band"}
    normalized = [situation for situation in every(linked) if normalize_situation(situation) == situation]
    for names in ({"violence", "pregnant"}, {"violence", "pregnant", "age_band"}, {"pregnant", "age_band"}):
        shown = {tuple(situation[name] for name in sorted(names)) for situation in normalized}

        assert Layout(names).everything.bit_count() == len(shown)


def broken() -> list[set[str]]:
    """The properties of Kediri's agreement that each prover finds broken."""
    return [
        {q.property.name for q, shown in prover(kediri(), DAY).answers().items() if isinstance(q, Broken) and shown}
        for prover in (BitsetProver, SolverProver)
    ]


def test_the_proof_fails_when_the_implication_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (implications, layout, solver):
        monkeypatch.setattr(module, "IMPLICATIONS", ())

    bitset, z3 = broken()

    assert bitset == z3 == R1_SIGNS


def test_the_check_fails_when_the_engine_does_not_normalize(monkeypatch: pytest.MonkeyPatch, version: Path) -> None:
    monkeypatch.setattr(engine, "normalize_situation", lambda situation: situation)

    checked = check_version(version, CITY)

    assert checked.proof is None
    assert any("A pregnant girl of 13" in str(finding.problem) for finding in checked.findings)


def test_a_prover_shows_a_normalized_situation() -> None:
    agreement = an_agreement(
        a_clause("C1", UrgencyIs(Urgency.LOW), pregnant=["no", "unknown"]),
        a_clause("C3", UrgencyIs(Urgency.LOW), age_band=["from_15_to_17", "unknown"]),
        a_clause("C2", Mediation(is_locked=False), violence=Condition("violence", none_of=frozenset({"sexual"}))),
    )

    for prover in (BitsetProver(agreement, DAY), SolverProver(agreement, DAY)):
        for topic in (("urgency", ""), ("mediation", "")):
            shown = prover.answer(Gap(topic))
            assert shown is not None
            assert normalize_situation(shown) == shown
            assert "sexual" in shown["violence"]


def test_a_clause_that_only_an_impossible_situation_reaches_is_dead() -> None:
    clause = a_clause(
        "C1",
        UrgencyIs(Urgency.LOW),
        pregnant=["yes"],
        age_band=sorted(implications.BELOW_15),
        violence=Condition("violence", none_of=frozenset({"sexual"})),
    )
    agreement = an_agreement(clause)

    for prover in (BitsetProver, SolverProver):
        answers = prover(agreement, DAY).answers()
        assert [q for q, shown in answers.items() if shown and getattr(q, "clause", "") == "C1"]


def test_a_value_that_the_other_conditions_rule_out_is_a_finding(version: Path, edit: Edit) -> None:
    when = "when: {violence: {none: [sexual, unknown]}, injured: [no], pregnant: [no]}"
    edit(
        "clauses/40-rehabilitation.yaml",
        when,
        when.replace("pregnant: [no]", "pregnant: [no, yes], age_band: [under_6]"),
    )

    found = [str(finding) for finding in check_version(version, CITY).findings]

    assert any("PHY-1: pregnant is never yes where the other conditions hold" in text for text in found)


def test_a_comparison_counts_normalized_situations_only() -> None:
    with_lock = an_agreement(a_clause("C1", Mediation(is_locked=True), violence=["sexual"]))
    with_sign = an_agreement(
        a_clause("C1", Mediation(is_locked=True), violence=["sexual"]),
        a_clause("C3", Mediation(is_locked=True), pregnant=["yes"], age_band=sorted(implications.BELOW_15)),
    )

    assert list(Comparison(with_lock, with_sign, "en").changed_answers()) == []


def test_a_comparison_counts_the_facts_that_it_does_not_read() -> None:
    [changed] = Comparison(
        an_agreement(a_clause("C1", Mediation(is_locked=True))),
        an_agreement(a_clause("C1", Mediation(is_locked=True), violence=["sexual"])),
        "en",
    ).changed_answers()

    # The 12 of 15 pairs of age and pregnancy that imply nothing, each with every set of the 7 other kinds.
    without_sexual = 12 * (2**7 - 1)
    others = prod(len(f.values) for f in FACTS if f.name not in ("violence", "pregnant", "age_band"))
    assert changed.situations == without_sexual * others


def test_a_stored_proof_of_other_implications_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    proof = check_version(VERSION, CITY).proof
    assert proof is not None
    assert proof.is_of(kediri(), proof.digest)
    more = (
        *IMPLICATIONS,
        Implication((Condition("injured", frozenset({"yes"})),), Violence.PHYSICAL, IMPLICATIONS[0].source),
    )
    monkeypatch.setattr(implications, "IMPLICATIONS", more)

    assert not proof.is_of(kediri(), proof.digest)
    assert not replace(proof, situations=proof.situations + 1).is_of(kediri(), proof.digest)


def test_the_smallest_change_takes_back_what_is_implied() -> None:
    facts = reported(violence="other", pregnant="yes", age_band="from_12_to_14", safe_now="yes", residence="kelurahan")
    explanation = Explanation(kediri(), Engine(kediri(), DAY), facts, HOME, CITY)

    changes = {
        (fact, *values): change.effects
        for change in explanation.smallest_changes("en", limit=100)
        for fact, values in change.facts.items()
    }

    for change in (("age_band", "from_15_to_17"), ("pregnant", "no")):
        assert any(effect.startswith("-") and "[FOR-1]" in effect for effect in changes[change])
    assert not [change for change in changes if change == ("violence", "other", "sexual")]
