"""The service plan of a case file without a database."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from simpul_agreement.engine import Engines
from simpul_agreement.model import ClockName, Step
from simpul_routing.api.labels import describe_events
from simpul_routing.domain.case_events import CaseEventKind, TakenCaseStep
from simpul_routing.domain.case_file import CaseFile
from simpul_routing.domain.exclusions import SuggestionState
from simpul_routing.domain.facts import read_report
from simpul_routing.domain.lifecycle import ReplyKind
from simpul_routing.domain.published import ExclusionDecided, PlanDecided, PlanProposed, ReferralOffered
from simpul_routing.domain.referral import ReferralService
from simpul_routing.domain.replanning import Cause
from simpul_routing.domain.replies import Reply
from simpul_routing.domain.rules import Rules
from simpul_routing.domain.service_plan import AddedService, PlanChanges, ServicePlan
from simpul_routing.errors import (
    AgencyNotEligible,
    DecisionOutstanding,
    PlanUnknown,
    ReasonMissing,
    RightsUnsettled,
    ServiceNotPlanned,
)
from simpul_routing.repository.history import decode_payload, encode_payload
from simpul_routing.stored_facts import decode_facts, decode_proposal, encode_facts, encode_proposal
from simpul_schema.messages.case import TriageFacts
from simpul_schema.vocabulary import (
    ActorRole,
    CancelReason,
    CaseEnd,
    DeclineReason,
    PlanEnd,
    ReferralRole,
    ReplanReason,
    Right,
    RightState,
    Service,
    Urgency,
)
from tests.support.actors import BOARD, acting
from tests.support.agreements import CITY, kediri

NOW = datetime(2026, 11, 27, 15, 0, tzinfo=UTC)  # Friday, 22:00 in Kediri
AS_IT_IS = PlanChanges()
_TAKEN_BACK = CancelReason.TAKEN_BACK
_REJECTED = SuggestionState.REJECTED
PROTECTING = {
    Service.EMERGENCY_PROTECTION,
    Service.MEDICAL_CARE,
    Service.FORENSIC_EXAM,
    Service.PEP_72H,
    Service.SHELTER,
    Service.CASE_MANAGEMENT,
    Service.OUTREACH,
    Service.MANUAL_TRIAGE,
    Service.POLICE_REPORT,
}


class TwoWaves:
    """Every decision is made by Kediri's agreement as it is."""

    def __init__(self) -> None:
        self._engines = Engines(kediri(), "digest")

    def active(self, _: datetime) -> Engines:
        return self._engines

    def of(self, _: str) -> Engines:
        return self._engines


VERSIONS = TwoWaves()


def open_file(now: datetime = NOW, **facts: Any) -> CaseFile:
    """Opens the file of a child of Bujel who is safe and was hit at school by a teacher."""
    known = {"channel": "phone", "reporter": "other", "violence": ["physical"], "place": "school", "safe_now": "yes"}
    triage = TriageFacts.model_validate(known | {"kelurahan": "Bujel", "in_school": "yes"} | facts)
    report = read_report(triage, CITY, kediri(), now)
    return CaseFile.open_case(uuid4(), report, triage.suggested_exclusions, now, Rules(VERSIONS, CITY, now), uuid4())


def amend(file: CaseFile, **facts: Any) -> None:
    """Amends facts of the report; the others are those of `open_file`."""
    known = {"channel": "phone", "reporter": "other", "violence": ["physical"], "place": "school", "safe_now": "yes"}
    triage = TriageFacts.model_validate(known | {"kelurahan": "Bujel", "in_school": "yes"} | facts)
    file.amend_report(file.case_id, read_report(triage, CITY, kediri(), file.rules.now), (), uuid4())


def at_time(file: CaseFile, now: datetime) -> None:
    file.rules = Rules(VERSIONS, CITY, now)


def open_plan(file: CaseFile) -> ServicePlan:
    """Returns the plan that awaits a decision."""
    assert file.plan is not None
    return file.plan


def published(file: CaseFile, kind: type) -> list[Any]:
    return [pending.content for pending in file.pending if isinstance(pending.content, kind)]


def proposed(file: CaseFile) -> set[tuple[Service, str, ReferralRole]]:
    return {(one.service, one.agency, one.role) for one in file.plan.services} if file.plan else set()


def services(file: CaseFile) -> set[Service]:
    return {one.service for one in file.services if one.standing.is_open}


def find(file: CaseFile, service: Service) -> ReferralService:
    return [one for one in file.services if one.service is service and one.role is ReferralRole.LEAD][-1]


def test_what_protects_is_offered_at_once_and_the_rest_is_proposed_to_the_case_manager() -> None:
    file = open_file(violence=["sexual"], sexual_under_72h="yes", safe_now="no")

    assert services(file) <= PROTECTING
    assert {Service.PEP_72H, Service.FORENSIC_EXAM, Service.EMERGENCY_PROTECTION} <= services(file)
    assert file.plan is not None
    assert {service for service, _, _ in proposed(file)}.isdisjoint(PROTECTING)
    assert {one.standing.urgency for one in file.services} == {Urgency.HIGH}
    [announced] = published(file, PlanProposed)
    assert (announced.step, announced.targets, announced.plan.agency) == (0, ("uptd-ppa",), "uptd-ppa")
    assert announced.urgency is Urgency.MEDIUM
    assert file.case.rights[Right.RESTITUTION].state is RightState.PLANNED
    assert file.case.rights[Right.PHYSICAL_REHABILITATION].state is RightState.REFERRED


def test_a_suicidal_sign_brings_the_psychologist_at_once() -> None:
    assert Service.PSYCHOLOGIST in services(open_file(suicidal_sign="yes"))


def test_a_confirmed_plan_is_offered_with_clocks_that_start_then() -> None:
    file = open_file()
    wanted = proposed(file)
    at_time(file, NOW + timedelta(days=2, hours=12))

    file.confirm_plan(AS_IT_IS, "uptd-ppa", "")

    assert file.plan is None
    assert wanted <= {(one.service, one.agency, one.role) for one in file.services}
    assert [end.end for end in published(file, PlanDecided)] == [PlanEnd.CONFIRMED]
    legal_aid = find(file, Service.LEGAL_AID)
    assert legal_aid.clocks[ClockName.ANSWER].started_at == file.rules.now
    assert legal_aid.standing.urgency is Urgency.LOW
    assert file.case.rights[Right.ACCOMPANIMENT].state is RightState.REFERRED
    with pytest.raises(PlanUnknown):
        file.confirm_plan(AS_IT_IS, "uptd-ppa", "")


def test_what_a_person_edits_is_offered_as_edited() -> None:
    file = open_file()

    file.confirm_plan(
        PlanChanges(
            {Service.STAY_IN_SCHOOL: "the child moves away"},
            {Service.COUNSELLING: "klinik-pendidikan"},
            [AddedService(Service.PSYCHOLOGIST, "rs-rujukan")],
        ),
        "uptd-ppa",
        "talked to the family",
    )

    assert Service.STAY_IN_SCHOOL not in services(file)
    counselling = [one.agency for one in file.services if one.service is Service.COUNSELLING]
    assert counselling == ["klinik-pendidikan"]
    assert find(file, Service.PSYCHOLOGIST).by_hand
    notes = [event.note for event in file.history if event.note]
    assert "stay_in_school: the child moves away" in notes


def test_an_edit_needs_a_reason_a_planned_service_and_an_agency_with_the_mandate() -> None:
    file = open_file()

    with pytest.raises(ReasonMissing):
        file.confirm_plan(PlanChanges({Service.COUNSELLING: ""}), "uptd-ppa", "")
    with pytest.raises(ServiceNotPlanned):
        file.confirm_plan(PlanChanges({Service.SHELTER: "not needed"}), "uptd-ppa", "")
    with pytest.raises(AgencyNotEligible):
        file.confirm_plan(PlanChanges(agencies={Service.LEGAL_AID: "rs-rujukan"}), "uptd-ppa", "")
    assert file.plan is not None
    assert published(file, PlanDecided) == []


def test_a_service_that_was_left_out_is_not_proposed_again_unless_it_cannot_wait() -> None:
    file = open_file(violence=["psychological"])
    file.confirm_plan(PlanChanges({Service.PSYCHOLOGIST: "the mother declines"}), "uptd-ppa", "")

    amend(file, violence=["psychological", "physical"])
    assert proposed(file) == {(Service.LEGAL_AID, "ylpa", ReferralRole.LEAD)}
    assert Service.PSYCHOLOGIST not in services(file)
    amend(file, violence=["psychological", "physical"], suicidal_sign="yes")
    assert Service.PSYCHOLOGIST in services(file)


def test_an_open_proposal_follows_the_facts_and_keeps_its_deadline() -> None:
    file = open_file(violence=["psychological"])
    before = file.plan
    assert before is not None
    at_time(file, NOW + timedelta(hours=5))

    amend(file, violence=["neglect"], safe_now="yes")

    after = file.plan
    assert after is not None
    assert after.referral_id == before.referral_id
    assert after.clock.due_at <= before.clock.due_at
    assert Service.SOCIAL_ASSESSMENT in {service for service, _, _ in proposed(file)}
    assert Service.PSYCHOLOGIST not in {service for service, _, _ in proposed(file)}
    assert len(published(file, PlanProposed)) == 2
    assert published(file, PlanDecided) == []


def test_more_danger_brings_the_plan_forward_and_less_never_back() -> None:
    file = open_file(violence=["psychological"])
    assert file.plan is not None
    calm = file.plan.clock.due_at

    amend(file, violence=["psychological"], safe_now="no")

    assert file.plan.clock.due_at < calm
    assert file.plan.is_sent_at_deadline


def test_facts_after_the_confirmation_propose_only_what_is_new() -> None:
    file = open_file()
    first = file.plan
    file.confirm_plan(AS_IT_IS, "uptd-ppa", "")

    amend(file, injured="yes")

    assert file.plan is not None
    assert first is not None
    assert file.plan.referral_id != first.referral_id
    assert {service for service, _, _ in proposed(file)} == {Service.RESTITUTION_INFORMATION}
    assert Service.MEDICAL_CARE in services(file)


def test_facts_that_need_nothing_planned_close_the_proposal() -> None:
    file = open_file(violence=["psychological"], place="household", in_school="unknown")
    assert open_plan(file).services

    amend(file, violence=["other"], place="household", in_school="unknown")

    assert file.plan is None
    assert [end.end for end in published(file, PlanDecided)] == [PlanEnd.CLOSED]
    assert RightState.PLANNED not in {entry.state for entry in file.case.rights.values()}


def test_an_urgent_plan_goes_out_by_itself_at_its_deadline() -> None:
    file = open_file()
    wanted = proposed(file)

    file.take_plan_step(open_plan(file), Step.HALF)
    file.take_plan_step(open_plan(file), Step.DUE)

    assert file.plan is None
    assert wanted <= {(one.service, one.agency, one.role) for one in file.services}
    assert [announced.step for announced in published(file, PlanProposed)] == [0, 50]
    assert [end.end for end in published(file, PlanDecided)] == [PlanEnd.SENT]


def test_a_plan_without_urgency_escalates_and_stays() -> None:
    file = open_file(violence=["psychological"], place="household")
    assert file.plan is not None
    assert not file.plan.is_sent_at_deadline

    for step in Step:
        file.take_plan_step(file.plan, step)

    assert [announced.step for announced in published(file, PlanProposed)] == [0, 50, 100, 200]
    assert published(file, PlanProposed)[-1].targets == ("uptd-ppa-head", "city-board")
    assert file.plan.clock.step is None
    assert Service.PSYCHOLOGIST not in services(file)
    lines = [describe_events([one], {"uptd-ppa": "UPT PPA"}, "en") for one in file.history]
    assert [line for line in lines if "not decided" in line] == [
        "Case: the service plan is not decided yet (UPT PPA): half of the time has passed; a reminder was sent",
        "Case: the service plan is not decided yet (UPT PPA): overdue; escalated (100 % of the time)",
        "Case: the service plan is not decided yet (UPT PPA): still overdue; escalated again (200 % of the time)",
    ]


def test_the_plan_moves_to_whoever_manages_the_case() -> None:
    file = open_file()
    managing = find(file, Service.CASE_MANAGEMENT)
    assert file.plan is not None
    due_at = file.plan.clock.due_at

    file.record_replies(
        [Reply(uuid4(), managing.referral_id, managing.agency, ReplyKind.DECLINED, reason=DeclineReason.NO_CAPACITY)]
    )

    assert find(file, Service.CASE_MANAGEMENT).agency == "ylpa"
    assert (file.plan.agency, file.plan.clock.due_at) == ("ylpa", due_at)
    assert [(end.end, end.plan.agency) for end in published(file, PlanDecided)] == [(PlanEnd.MOVED, "uptd-ppa")]


def test_an_excluded_case_manager_hears_nothing_more_of_the_plan() -> None:
    file = open_file()

    file.exclude_agency("uptd-ppa", Cause(ReplanReason.AGENCY_EXCLUDED, "city-board"))

    assert file.plan is not None
    assert file.plan.agency == "ylpa"
    assert [end.informs_agency for end in published(file, PlanDecided)] == [False]
    assert "uptd-ppa" not in {agency for _, agency, _ in proposed(file)}


def test_what_is_offered_by_hand_leaves_the_proposal() -> None:
    file = open_file()

    file.offer_by_hand(Service.LEGAL_AID, "uptd-ppa", ReferralRole.LEAD, "uptd-ppa", "")

    assert Service.LEGAL_AID not in {service for service, _, _ in proposed(file)}
    file.confirm_plan(AS_IT_IS, "uptd-ppa", "")
    assert len([one for one in file.services if one.service is Service.LEGAL_AID]) == 1


def test_a_case_that_ends_closes_its_plan_and_one_that_is_reopened_plans_again() -> None:
    file = open_file()
    with pytest.raises(RightsUnsettled):
        file.close(CaseEnd.COMPLETED, "uptd-ppa", "")

    file.close(CaseEnd.CLOSED, "uptd-ppa", "moved away")
    assert file.plan is None
    assert [end.end for end in published(file, PlanDecided)] == [PlanEnd.CLOSED]
    file.reopen("uptd-ppa", "came back")
    assert Service.LEGAL_AID in {service for service, _, _ in proposed(file)}


def test_services_that_were_confirmed_are_offered_again_when_the_case_is_reopened() -> None:
    file = open_file()
    file.confirm_plan(PlanChanges({Service.STAY_IN_SCHOOL: "moves away"}), "uptd-ppa", "")
    at_time(file, NOW + timedelta(days=1))
    file.close(CaseEnd.CLOSED, "uptd-ppa", "moved away")

    file.reopen("uptd-ppa", "came back")

    assert {Service.LEGAL_AID, Service.COUNSELLING} <= services(file)
    assert file.plan is None


def test_a_merged_case_carries_its_plan_and_its_deadline_to_the_other() -> None:
    early = open_file(violence=["psychological"])
    late = open_file(NOW + timedelta(days=3), violence=["psychological"])
    at_time(early, NOW + timedelta(days=3))
    due_at = open_plan(early).clock.due_at

    early.merge_into(late, "uptd-ppa", "the same child")

    assert early.plan is None
    assert late.plan is not None
    assert late.plan.clock.due_at == due_at


def test_an_agency_that_the_other_case_excludes_learns_nothing_of_a_merge() -> None:
    duplicate = open_file(violence=["psychological"], suggested_exclusions=["ylpa"])
    other = open_file(violence=["psychological"], excluded_agencies=["uptd-ppa"])
    assert duplicate.plan is not None
    assert duplicate.review is not None
    assert {duplicate.plan.agency, duplicate.review.agency} == {"uptd-ppa"}

    duplicate.merge_into(other, "ylpa", "the same child")

    assert [end.informs_agency for end in published(duplicate, PlanDecided)] == [False]
    assert [end.informs_agency for end in published(duplicate, ExclusionDecided)] == [False]


def test_a_case_is_not_served_while_a_plan_awaits_a_decision() -> None:
    file = open_file()
    for referral in list(file.referrals.values()):
        for kind in (ReplyKind.ACCEPTED, ReplyKind.STARTED):
            file.record_replies([Reply(uuid4(), referral.referral_id, referral.agency, kind)])
        file.cancel_services(referral.referral_id, (), _TAKEN_BACK, "uptd-ppa", "done")

    assert file.case.state.value == "intervention"


def test_an_agency_whose_exclusion_is_suggested_is_not_proposed_before_a_person_has_decided() -> None:
    file = open_file(suggested_exclusions=["ylpa"])

    assert "ylpa" not in {agency for _, agency, _ in proposed(file)}
    file.decide_suggestion("ylpa", _REJECTED, BOARD, "no relation", file.version)
    assert (Service.LEGAL_AID, "ylpa", ReferralRole.LEAD) in proposed(file)


def test_nobody_of_a_suspected_agency_leaves_a_service_out_of_a_plan() -> None:
    file = open_file(suggested_exclusions=["uptd-ppa"])
    changes = PlanChanges({Service.LEGAL_AID: "has a lawyer"})
    file.acting = acting("uptd-ppa", ActorRole.CASE_MANAGER)

    with pytest.raises(DecisionOutstanding):
        file.confirm_plan(changes, file.acting.code, "")
    file.acting = acting("ylpa", ActorRole.CASE_MANAGER)
    file.confirm_plan(changes, file.acting.code, "")

    assert file.facts.left_out == {Service.LEGAL_AID}


def test_stored_plans_and_facts_are_read_as_they_were_written() -> None:
    file = open_file()
    assert file.plan is not None
    proposal = file.plan.services

    assert decode_proposal(encode_proposal(proposal)) == proposal
    file.confirm_plan(PlanChanges({Service.LEGAL_AID: "has a lawyer"}), "uptd-ppa", "")
    assert decode_facts(encode_facts(file.facts)) == file.facts
    assert file.facts.left_out == {Service.LEGAL_AID}
    assert len(published(file, ReferralOffered)) == len(file.referrals)


@pytest.mark.parametrize("agency", ["uptd-ppa", ""])
def test_a_step_is_read_from_the_history_as_it_was_written(agency: str) -> None:
    taken = TakenCaseStep(Step.DUE, agency)

    assert decode_payload(CaseEventKind.PLAN_STEP_TAKEN, encode_payload(taken)) == taken
