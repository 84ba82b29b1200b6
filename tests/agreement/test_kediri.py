"""Kediri's agreement is complete, and its stored proof and schemas are current."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from simpul_agreement import Proof, digest_of
from simpul_agreement.check import check_version
from simpul_agreement.commands import schemas
from simpul_agreement.deadlines import Within
from simpul_agreement.engine import Origin, ServiceTerms
from simpul_agreement.examples import Scenario, read_scenarios, scenario_findings
from simpul_agreement.facts import AgencyKind
from simpul_agreement.model import (
    ADDRESSEE,
    KECAMATAN_OF_RESIDENCE,
    LEVEL_ABOVE,
    ClockName,
    ClockRuns,
    Disclosure,
    EscalationLevel,
    Phase,
    Retention,
    RightNotNeeded,
    Section,
    ServiceNeeded,
    Status,
)
from simpul_notify.roster import read_escalation_levels, read_roster
from simpul_schema.vocabulary import Right, Service, Urgency
from tests.support.agreements import CITY, HOME, KEDIRI, VERSION, decide, kediri

SCENARIOS = read_scenarios(VERSION, [])
EFFECTS = [clause.effect for clause in kediri().clauses]


def test_the_stored_proof_is_the_one_that_comes_out() -> None:
    checked = check_version(VERSION, CITY)

    assert checked.findings == ()
    assert checked.proof == Proof.read(VERSION)


def test_the_schemas_for_editors_are_current() -> None:
    stored = {path.stem: path.read_text() for path in (VERSION.parent / "schema").glob("*.json")}

    assert stored == schemas(), "run `simpul agreement schema`"


@pytest.mark.parametrize("path", sorted(VERSION.rglob("*.yaml")), ids=lambda path: path.name)
def test_every_file_names_its_schema_for_editors(path: Path) -> None:
    reference = path.read_text().splitlines()[0].removeprefix("# yaml-language-server: $schema=")

    assert (path.parent / reference).resolve().exists()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.written.scenario[:40])
def test_scenario(scenario: Scenario) -> None:
    unreached = "no scenario reaches"
    found = [f for f in scenario_findings(kediri(), [scenario], CITY) if unreached not in str(f.problem)]

    assert found == []


def test_the_twelve_acceptance_scenarios_are_there() -> None:
    numbers = {scenario.written.scenario.split(".")[0].rstrip("bcdefgh") for scenario in SCENARIOS}

    assert {str(number) for number in range(1, 13)} <= numbers


def test_it_covers_every_agency_right_service_clock_and_section() -> None:
    assert len(kediri().clauses) >= 100
    assert {party.kind for party in kediri().parties if party.kind} == set(AgencyKind)
    assert {agency.kind for agency in CITY.agencies} == {str(kind) for kind in AgencyKind}
    assert {effect.right for effect in EFFECTS if isinstance(effect, ServiceNeeded)} == set(Right)
    assert {effect.service for effect in EFFECTS if isinstance(effect, ServiceNeeded)} == set(Service)
    assert {effect.service for effect in EFFECTS if isinstance(effect, Disclosure)} == set(Service)
    assert {effect.clock for effect in EFFECTS if isinstance(effect, ClockRuns)} == set(ClockName)
    assert {effect.section for effect in EFFECTS if isinstance(effect, Retention)} == set(Section)
    waived = {effect.right for effect in EFFECTS if isinstance(effect, RightNotNeeded)}
    assert waived == set(Right) - {Right.PROMPT_RESPONSE}


IMMEDIATELY = {
    Urgency.HIGH: [timedelta(minutes=5), timedelta(minutes=15), timedelta(hours=1), timedelta(hours=1)],
    Urgency.MEDIUM: [timedelta(hours=1), timedelta(hours=6), timedelta(hours=6), timedelta(hours=6)],
}


@pytest.mark.parametrize("urgency", IMMEDIATELY)
def test_what_is_offered_at_once_has_the_deadlines_that_every_service_had(urgency: Urgency) -> None:
    facts: dict[str, Any] = (
        {"safe_now": "no"} if urgency is Urgency.HIGH else {"violence": "physical", "safe_now": "yes"}
    )

    found = {
        clause.effect.clock: clause.effect.within
        for clause in decide(HOME, **facts).clocks_of(ServiceTerms(Phase.IMMEDIATE, urgency))
        if isinstance(clause.effect, ClockRuns) and clause.effect.service is None
    }

    clocks = (ClockName.RECEIPT, ClockName.ANSWER, ClockName.CONTACT, ClockName.SERVICE)
    assert [found[clock] for clock in clocks] == [Within(time) for time in IMMEDIATELY[urgency]]


def test_a_planned_service_is_never_urgent_and_an_immediate_one_as_urgent_as_its_case() -> None:
    needs = [effect for effect in EFFECTS if isinstance(effect, ServiceNeeded)]

    assert {need.max_urgency for need in needs if need.phase is Phase.PLANNED} == {Urgency.MEDIUM, Urgency.LOW}
    assert {need.max_urgency for need in needs if need.phase is Phase.IMMEDIATE} == {None}


def test_a_rule_that_no_law_gives_is_marked() -> None:
    sources = [clause.source for clause in kediri().clauses]

    assert {source.status for source in sources} == {Status.NEEDS_A_LAWYER, Status.PROJECT_DEFAULT}
    assert Status.PROJECT_DEFAULT.label("id") == "default proyek, belum ditetapkan kota"
    assert all(source.read for source in sources if source.status is not Status.PROJECT_DEFAULT)


@pytest.mark.parametrize("kind", list(AgencyKind))
def test_every_complaint_centre_files_reports_and_receives_referrals(kind: AgencyKind) -> None:
    code = next(agency.code for agency in CITY.agencies if agency.kind == kind)

    decision = decide(
        Origin("satgas-kel-bujel", "satgas-kec-mojoroto", code),
        violence="physical+sexual+neglect",
        safe_now="no",
        place="school",
        complaint_centre=str(kind),
    )

    addressed = {agency for assigned in decision.assignments for agency in (assigned.lead, *assigned.support)}
    assert code in addressed


def test_every_party_with_a_duty_contact_has_one_in_the_roster() -> None:
    roster = read_roster(KEDIRI / "roster.yaml", CITY, read_escalation_levels(VERSION.parent))

    assert {agency.kind for agency in CITY.agencies if roster.on_duty.get(agency.code)} == {str(k) for k in AgencyKind}


def test_everybody_whom_a_deadline_can_escalate_to_is_on_the_roster_with_the_agency_they_belong_to() -> None:
    roster = read_roster(KEDIRI / "roster.yaml", CITY, read_escalation_levels(VERSION.parent))
    agreement = kediri()
    named = {
        selector for effect in EFFECTS if isinstance(effect, EscalationLevel) for selector in (*effect.to, *effect.also)
    }
    above = {party.above for party in agreement.party_of.values() if party.kind}
    selectors = {ADDRESSEE, LEVEL_ABOVE, KECAMATAN_OF_RESIDENCE, ""}

    assert (named | above) - selectors <= roster.on_duty.keys()
    assert read_escalation_levels(VERSION.parent) == {
        code: party.part_of for code, party in agreement.party_of.items() if code in named and not party.kind
    }


def test_all_kelurahan_have_their_task_force_and_the_level_above() -> None:
    for ward in CITY.kelurahan:
        for excluded, expected in ((frozenset(), ward.satgas), (frozenset({ward.satgas}), ward.satgas_kecamatan)):
            decision = decide(Origin(ward.satgas, ward.satgas_kecamatan, excluded=excluded), safe_now="unknown")
            outreach = next(a for a in decision.assignments if a.service is Service.OUTREACH)
            assert outreach.lead == expected
            assert expected in CITY.agency_codes


def test_the_digest_changes_with_every_file_it_covers(version: Path) -> None:
    before = digest_of(version)
    changed = []
    for path in (
        *version.rglob("*.yaml"),
        *version.rglob("*.md"),
        version.parents[1] / "kelurahan.csv",
        version.parents[1] / "city.yaml",
    ):
        text = path.read_text()
        path.write_text(text + "\n")
        changed.append(digest_of(version) != before)
        path.write_text(text)

    assert len(changed) >= 20
    assert all(changed)
    assert digest_of(version) == before


@pytest.mark.parametrize("path", sorted(VERSION.rglob("*.yaml")), ids=lambda path: path.name)
def test_the_files_fit_the_schema_that_an_editor_checks_them_with(path: Path) -> None:
    kind = "clauses" if path.parent.name == "clauses" else path.stem
    schema = json.loads((VERSION.parent / "schema" / f"{kind}.json").read_text())
    written = json.loads(json.dumps(YAML(typ="safe", pure=True).load(path.read_text()), default=str))

    jsonschema.validate(written, schema)


def test_the_schema_offers_the_facts_and_their_values() -> None:
    schema = json.loads((VERSION.parent / "schema" / "clauses.json").read_text())
    when = schema["$defs"]["WrittenClause"]["properties"]["when"]

    assert when["properties"]["safe_now"]["items"]["enum"] == ["yes", "no", "unknown"]
    assert when["additionalProperties"] is False
