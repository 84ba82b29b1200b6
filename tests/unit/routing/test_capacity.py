"""Full agencies: who is passed over, who never is, and what the history of the case says."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simpul_agreement.implications import normalize_situation
from simpul_agreement.model import Step
from simpul_routing.api.labels import describe_events
from simpul_routing.api.timeline import leave_out_for_print, leave_out_load
from simpul_routing.domain.actors import Actor, may_know_load
from simpul_routing.domain.capacity import NEVER_PASSED_OVER, Capacities, ServiceCapacity
from simpul_routing.domain.case_events import CaseEvent, CaseEventKind, FoundFull
from simpul_routing.domain.case_file import CaseFile
from simpul_routing.domain.exclusions import is_in_danger, protective_services
from simpul_routing.domain.facts import ReportedFacts, read_report
from simpul_routing.domain.lifecycle import ReplyKind
from simpul_routing.domain.referral import ReferralService
from simpul_routing.domain.replies import Reply
from simpul_routing.domain.rules import Rules
from simpul_routing.domain.service_plan import PlanChanges
from simpul_routing.repository import StoredCaseEvent
from simpul_routing.repository.history import decode_payload, encode_payload
from simpul_schema.messages.case import TriageFacts
from simpul_schema.vocabulary import ActorRole, CancelReason, CaseEnd, DeclineReason, ReferralRole, Service, Urgency
from tests.support.agreements import CITY, kediri
from tests.unit.routing.test_case_file import VERSIONS, find_lead
from tests.unit.routing.test_service_plans import VERSIONS as TWO_WAVES

NOW = datetime(2026, 11, 27, 15, 0, tzinfo=UTC)
TODAY = date(2026, 11, 27)
CASE_ID, OTHER_CASE, CAUSE = UUID(int=1), UUID(int=3), UUID(int=2)
FULL = ServiceCapacity(open_cases=5, max_open=5)
CLOSED = ServiceCapacity(full_until=TODAY + timedelta(days=8))
FULL_PSYCHOLOGIST = {("uptd-ppa", Service.PSYCHOLOGIST): FULL}


def report_of(**facts: Any) -> ReportedFacts:
    """Builds the report about a child who is safe at home, which needs much and nothing at once."""
    known = {
        "channel": "phone",
        "reporter": "other",
        "violence": ["psychological"],
        "place": "household",
        "kelurahan": "Bujel",
        "safe_now": "yes",
        "perpetrator_lives_with_child": "no",
    }
    return read_report(TriageFacts.model_validate(known | facts), CITY, kediri(), NOW)


def open_file(capacities: Capacities, versions: Any = VERSIONS, *, case_id: UUID = CASE_ID, **facts: Any) -> CaseFile:
    report = report_of(**facts)
    return CaseFile.open_case(case_id, report, (), NOW, Rules(versions, CITY, NOW, capacities=capacities), CAUSE)


def leads_of(file: CaseFile) -> dict[Service, str]:
    return {s.service: s.agency for s in file.services if s.role is ReferralRole.LEAD and s.standing.is_open}


def found_full(file: CaseFile, kind: CaseEventKind) -> list[FoundFull]:
    return [e.payload for e in file.history if e.kind is kind and isinstance(e.payload, FoundFull)]


def load(file: CaseFile) -> CaseFile:
    """Returns the file as it is loaded after it was saved."""
    return CaseFile(case=file.case, referrals=dict(file.referrals), rules=file.rules, plan=file.plan)


def open_accepted(**facts: Any) -> tuple[CaseFile, str]:
    """Opens a case whose usual psychologist is full; returns it with the agency that accepted instead."""
    file = load(open_file(Capacities(FULL_PSYCHOLOGIST), case_id=OTHER_CASE, **facts))
    lead = find_lead(file, Service.PSYCHOLOGIST)
    accepted = Reply(uuid4(), lead.referral_id, lead.agency, ReplyKind.ACCEPTED, (lead.service_id,))
    assert file.record_replies([accepted]) == []
    return file, lead.agency


def decline(file: CaseFile, service: ReferralService) -> None:
    reason = DeclineReason.CONFLICT_OF_INTEREST
    reply = Reply(
        uuid4(), service.referral_id, service.agency, ReplyKind.DECLINED, (service.service_id,), reason=reason
    )
    assert file.record_replies([reply]) == []


def test_a_full_agency_is_passed_over_and_the_history_says_so() -> None:
    usual = leads_of(open_file(Capacities()))
    agency = usual[Service.PSYCHOLOGIST]

    file = open_file(Capacities({(agency, Service.PSYCHOLOGIST): FULL}))

    chosen = leads_of(file)[Service.PSYCHOLOGIST]
    assert chosen != agency
    assert found_full(file, CaseEventKind.AGENCY_PASSED_OVER) == [
        FoundFull(agency, Service.PSYCHOLOGIST, chosen, open_cases=5, max_open=5)
    ]
    others = {service: code for service, code in leads_of(file).items() if service is not Service.PSYCHOLOGIST}
    assert others == {service: code for service, code in usual.items() if service is not Service.PSYCHOLOGIST}


def test_the_agency_that_leads_instead_does_not_support_itself() -> None:
    agency = leads_of(open_file(Capacities()))[Service.PSYCHOLOGIST]

    file = open_file(Capacities({(agency, Service.PSYCHOLOGIST): FULL}))

    offered = [(one.service, one.agency) for one in file.services]
    assert len(offered) == len(set(offered))


def test_where_everybody_is_full_the_first_is_chosen_and_it_is_recorded() -> None:
    usual = leads_of(open_file(Capacities()))
    everybody = {(one.code, Service.PSYCHOLOGIST): CLOSED for one in CITY.agencies}

    file = open_file(Capacities(everybody))

    assert leads_of(file) == usual
    [recorded] = found_full(file, CaseEventKind.FULL_AGENCY_CHOSEN)
    assert (recorded.agency, recorded.chosen) == (usual[Service.PSYCHOLOGIST],) * 2
    assert recorded.full_until == CLOSED.full_until


def test_an_agency_is_full_up_to_and_on_the_day_that_it_stated() -> None:
    stated = ServiceCapacity(full_until=TODAY)

    assert stated.is_full_on(TODAY)
    assert not stated.is_full_on(TODAY + timedelta(days=1))


def test_a_limit_holds_within_one_batch_of_cases() -> None:
    agency = leads_of(open_file(Capacities()))[Service.PSYCHOLOGIST]
    capacities = Capacities({(agency, Service.PSYCHOLOGIST): ServiceCapacity(open_cases=1, max_open=3)})

    chosen = [leads_of(open_file(capacities))[Service.PSYCHOLOGIST] for _ in range(4)]

    assert [code == agency for code in chosen] == [True, True, False, False]


def test_a_declined_service_passes_over_a_full_agency_too() -> None:
    file = open_file(Capacities())
    first = find_lead(file, Service.PSYCHOLOGIST)
    usual = open_file(Capacities())
    decline(usual, find_lead(usual, Service.PSYCHOLOGIST))
    next_agency = leads_of(usual)[Service.PSYCHOLOGIST]

    file.rules = Rules(VERSIONS, CITY, NOW, capacities=Capacities({(next_agency, Service.PSYCHOLOGIST): FULL}))
    decline(file, first)

    assert leads_of(file).get(Service.PSYCHOLOGIST) != first.agency
    recorded = found_full(file, CaseEventKind.AGENCY_PASSED_OVER) + found_full(file, CaseEventKind.FULL_AGENCY_CHOSEN)
    assert [one.agency for one in recorded] == [next_agency]


@pytest.mark.parametrize("is_named", [True, False])
def test_a_confirmed_plan_goes_to_the_agencies_that_the_person_saw(is_named: bool) -> None:
    """Whether the person names an agency or confirms the proposed one."""
    file = open_file(Capacities(), TWO_WAVES)
    assert file.plan
    planned = {one.service: one.agency for one in file.plan.services if one.role is ReferralRole.LEAD}
    full = Capacities({(agency, service): CLOSED for service, agency in planned.items()})
    file.rules = Rules(TWO_WAVES, CITY, NOW, capacities=full)

    file.confirm_plan(PlanChanges(agencies=planned if is_named else {}), str(uuid4()), "")

    leads = leads_of(file)
    assert {service: leads[service] for service in planned} == planned
    assert found_full(file, CaseEventKind.AGENCY_PASSED_OVER) == []


def test_a_plan_that_is_sent_at_its_deadline_passes_over_an_agency_that_is_full_by_then() -> None:
    file = open_file(Capacities(), TWO_WAVES)
    assert file.plan
    planned = next(one for one in file.plan.services if one.service is Service.PSYCHOLOGIST)
    full = Capacities({(planned.agency, planned.service): FULL})
    file.rules = Rules(TWO_WAVES, CITY, file.plan.clock.due_at, capacities=full)

    file.take_plan_step(replace(file.plan, is_sent_at_deadline=True), Step.DUE)

    assert leads_of(file)[planned.service] != planned.agency


def test_nobody_is_passed_over_in_a_plan_for_a_child_in_danger() -> None:
    """Services of a plan are seldom urgent themselves; the danger is that of the case."""
    danger: dict[str, Any] = {"violence": ["sexual"], "safe_now": "no", "perpetrator_lives_with_child": "yes"}
    file = open_file(Capacities(), TWO_WAVES, **danger)
    assert file.plan
    planned = {one.service: one.agency for one in file.plan.services if one.role is ReferralRole.LEAD}
    full = Capacities({(agency, service): CLOSED for service, agency in planned.items()})
    file.rules = Rules(TWO_WAVES, CITY, file.plan.clock.due_at, capacities=full)

    file.take_plan_step(replace(file.plan, is_sent_at_deadline=True), Step.DUE)

    leads = leads_of(file)
    assert {service: leads[service] for service in planned} == planned
    assert found_full(file, CaseEventKind.AGENCY_PASSED_OVER) == []


@pytest.mark.parametrize("stated", [{}, FULL_PSYCHOLOGIST])
def test_a_merge_leaves_the_child_with_the_agency_that_accepted(
    stated: dict[tuple[str, Service], ServiceCapacity],
) -> None:
    """Whether the agency that was passed over is still full or not."""
    duplicate, accepted = open_accepted()
    into = load(open_file(Capacities(), violence=["neglect"]))
    assert Service.PSYCHOLOGIST not in leads_of(into)
    into.rules = duplicate.rules = Rules(VERSIONS, CITY, NOW, capacities=Capacities(stated))

    duplicate.merge_into(into, str(uuid4()), "the same child")

    assert accepted != "uptd-ppa"
    assert leads_of(into)[Service.PSYCHOLOGIST] == accepted
    assert found_full(into, CaseEventKind.FULL_AGENCY_CHOSEN) == []


@pytest.mark.parametrize("by_new_facts", [True, False])
@pytest.mark.parametrize("stated", [{}, FULL_PSYCHOLOGIST])
def test_a_reopened_case_returns_to_the_agency_that_accepted(
    stated: dict[tuple[str, Service], ServiceCapacity], by_new_facts: bool
) -> None:
    file, accepted = open_accepted()
    file.close(CaseEnd.CLOSED, str(uuid4()), "moved away")
    file.rules = Rules(VERSIONS, CITY, NOW + timedelta(days=2), capacities=Capacities(stated))

    if by_new_facts:
        file.amend_report(OTHER_CASE, report_of(injured="yes"), (), uuid4())
    else:
        file.reopen(str(uuid4()), "she is back")

    assert leads_of(file)[Service.PSYCHOLOGIST] == accepted
    assert found_full(file, CaseEventKind.FULL_AGENCY_CHOSEN) == []


def test_an_agency_that_was_excluded_since_does_not_return() -> None:
    file, accepted = open_accepted()
    file.close(CaseEnd.CLOSED, str(uuid4()), "moved away")
    file.change_case(read_facts=lambda facts=file.facts: replace(facts, excluded=facts.excluded | {accepted}))

    file.reopen(str(uuid4()), "she is back")

    assert leads_of(file)[Service.PSYCHOLOGIST] == "uptd-ppa"


def test_an_agency_that_had_the_service_before_can_be_the_next_one() -> None:
    """A service that was withdrawn rules nobody out: no history says falsely that no other agency can take it."""
    file, accepted = open_accepted()
    lead = find_lead(file, Service.PSYCHOLOGIST)
    file.cancel_services(lead.referral_id, (), CancelReason.ENTERED_IN_ERROR, str(uuid4()), "wrong button")

    file.amend_report(OTHER_CASE, report_of(injured="yes"), (), uuid4())

    assert leads_of(file)[Service.PSYCHOLOGIST] == accepted
    assert found_full(file, CaseEventKind.FULL_AGENCY_CHOSEN) == []


@pytest.mark.parametrize(
    ("language", "sentence"),
    [
        ("en", "Psychologist: UPTD PPA was passed over because it is full (5 open cases, limit 5); next: RS"),
        ("id", "Psikolog: UPTD PPA dilewati karena penuh (5 kasus terbuka, batas 5); berikutnya: RS"),
    ],
)
def test_the_timeline_says_it_in_both_languages(language: str, sentence: str) -> None:
    payload = FoundFull("uptd-ppa", Service.PSYCHOLOGIST, "rs-rujukan", open_cases=5, max_open=5)
    event = CaseEvent(CASE_ID, CaseEventKind.AGENCY_PASSED_OVER, "routing", payload)

    assert describe_events([event], {"uptd-ppa": "UPTD PPA", "rs-rujukan": "RS"}, language) == sentence


@pytest.mark.parametrize(
    ("role", "agency", "knows"),
    [
        (ActorRole.COORDINATOR, "uptd-ppa", True),
        (ActorRole.AGENCY_LEAD, "uptd-ppa", True),
        (ActorRole.AGENCY_LEAD, "rs-rujukan", False),
        (ActorRole.CASE_MANAGER, "uptd-ppa", False),
        (ActorRole.RESPONDER, "rs-rujukan", False),
        (ActorRole.EMERGENCY_READER, "rs-rujukan", False),
    ],
)
@pytest.mark.parametrize("stated", [{"open_cases": 5, "max_open": 5}, {"full_until": TODAY}])
def test_the_timeline_shows_the_load_of_an_agency_to_those_who_may_list_it(
    stated: dict[str, Any], role: ActorRole, agency: str, knows: bool
) -> None:
    payload = FoundFull("uptd-ppa", Service.PSYCHOLOGIST, "rs-rujukan", **stated)
    event = CaseEvent(CASE_ID, CaseEventKind.AGENCY_PASSED_OVER, "routing", payload)
    reader, found = Actor(uuid4(), agency, role), [StoredCaseEvent(event, NOW)]

    shown = leave_out_load(found, partial(may_know_load, reader))

    sentence = "Psychologist: uptd-ppa was passed over because it is full; next: rs-rujukan"
    assert (shown == found) is knows
    assert (describe_events([shown[0].event], {}, "en") == sentence) is not knows
    assert describe_events([leave_out_for_print(found)[0].event], {}, "en") == sentence


def test_what_was_stated_at_the_decision_is_stored_with_it() -> None:
    payload = FoundFull("uptd-ppa", Service.PSYCHOLOGIST, "rs-rujukan", full_until=TODAY)

    stored = encode_payload(payload)

    assert stored["full_until"] == "2026-11-27"
    assert decode_payload(CaseEventKind.AGENCY_PASSED_OVER, stored) == payload


_CAPACITIES = st.dictionaries(
    st.tuples(
        st.sampled_from([one.code for one in CITY.agencies if "satgas" not in one.code]), st.sampled_from(Service)
    ),
    st.sampled_from([FULL, CLOSED, ServiceCapacity(open_cases=1, max_open=9)]),
    max_size=60,
)
_FACTS = st.fixed_dictionaries(
    {
        "violence": st.lists(
            st.sampled_from(["physical", "psychological", "sexual", "trafficking", "neglect", "unknown"]),
            min_size=1,
            max_size=3,
            unique=True,
        ),
        "safe_now": st.sampled_from(["yes", "no", "unknown"]),
        "suicidal_sign": st.sampled_from(["yes", "no", "unknown"]),
        "place": st.sampled_from(["household", "school", "online"]),
        "injured": st.sampled_from(["yes", "no", "unknown"]),
    }
)


@settings(max_examples=150, deadline=None)
@given(_FACTS, _CAPACITIES)
def test_full_agencies_never_take_anything_from_a_child(
    facts: dict[str, Any], stated: dict[tuple[str, Service], ServiceCapacity]
) -> None:
    usual, file = open_file(Capacities(), **facts), open_file(Capacities(stated), **facts)
    before, after = leads_of(usual), leads_of(file)
    passed = {one.service: one for one in found_full(file, CaseEventKind.AGENCY_PASSED_OVER)}
    kept = {one.service: one for one in found_full(file, CaseEventKind.FULL_AGENCY_CHOSEN)}
    protective = protective_services(file.facts.situation, file.case.urgency) | NEVER_PASSED_OVER
    urgent = {one.service for one in usual.services if one.standing.urgency is Urgency.HIGH}
    if is_in_danger(file.facts.situation, file.case.urgency):
        urgent |= before.keys()

    assert before.keys() == after.keys()
    assert file.case.rights == usual.case.rights
    assert {service for service in before if before[service] != after[service]} == set(passed)
    assert not (set(passed) | set(kept)) & (protective | urgent)
    for service, one in passed.items():
        assert (one.agency, one.chosen) == (before[service], after[service])
        assert stated[one.agency, service].is_full_on(TODAY)
        assert (one.chosen, service) not in stated or not stated[one.chosen, service].is_full_on(TODAY)
        assert service in file.rules.find_mandate(one.chosen)
    for service, agency in after.items():
        if (
            service not in protective | urgent
            and (agency, service) in stated
            and stated[agency, service].is_full_on(TODAY)
        ):
            assert kept[service].agency == agency
    if {"sexual", "trafficking"} & normalize_situation(file.facts.situation)["violence"]:
        assert {"polres-ppa", "uptd-ppa"} <= {one.agency for one in file.services}
    assert leads_of(open_file(Capacities(stated), **facts)) == after


@settings(max_examples=100, deadline=None)
@given(_FACTS, _FACTS, _CAPACITIES, _CAPACITIES)
def test_a_later_decision_moves_nothing_away_from_an_agency_that_became_full(
    facts: dict[str, Any],
    new_facts: dict[str, Any],
    before: dict[tuple[str, Service], ServiceCapacity],
    later: dict[tuple[str, Service], ServiceCapacity],
) -> None:
    kept = []
    for capacities in (Capacities(), Capacities(later)):
        file = open_file(Capacities(before), **facts)
        had = {one.service_id for one in file.services}
        file.rules = Rules(VERSIONS, CITY, NOW + timedelta(hours=1), capacities=capacities)

        file.amend_report(CASE_ID, report_of(**new_facts), (), uuid4())

        still_open = [one for one in file.services if one.service_id in had and one.standing.is_open]
        kept.append({(one.service, one.agency, one.role) for one in still_open})
    usual, when_full = kept
    assert when_full == usual


@settings(max_examples=100, deadline=None)
@given(_FACTS, _FACTS, _CAPACITIES, _CAPACITIES, st.sampled_from(["merged", "reopened", "amended after its end"]))
def test_a_merge_and_a_reopening_leave_services_with_the_agencies_that_lead_them(
    facts: dict[str, Any],
    new_facts: dict[str, Any],
    before: dict[tuple[str, Service], ServiceCapacity],
    later: dict[tuple[str, Service], ServiceCapacity],
    change: str,
) -> None:
    file = load(open_file(Capacities(before), **facts))
    had = [leads_of(file)]
    rules = Rules(VERSIONS, CITY, NOW + timedelta(hours=1), capacities=Capacities(later))
    file.rules = rules
    if change == "merged":
        duplicate = load(open_file(Capacities(before), case_id=OTHER_CASE, **new_facts))
        had.append(leads_of(duplicate))
        duplicate.rules = rules
        duplicate.merge_into(file, str(uuid4()), "the same child")
    else:
        file.void(str(uuid4()), "wrong button")
        if change == "reopened":
            file.reopen(str(uuid4()), "it was right")
        else:
            file.amend_report(CASE_ID, report_of(**new_facts), (), uuid4())

    for service, agency in leads_of(file).items():
        led_by = {leads[service] for leads in had if service in leads}
        assert not led_by or agency in led_by
    still_open = [(one.service, one.agency) for one in file.services if one.standing.is_open]
    assert len(still_open) == len(set(still_open))
