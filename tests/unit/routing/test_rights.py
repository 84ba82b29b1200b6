"""The rights ledger of a case."""

import pytest

from simpul_agreement.rights import BY_THE_AGREEMENT, Entry, open_ledger
from simpul_routing.domain.lifecycle import ServiceState
from simpul_routing.domain.rights import (
    BY_HAND,
    LeadService,
    group_left_out,
    list_unsettled_rights,
    replan_ledger,
    update_right,
)
from simpul_schema.vocabulary import ReferralOutcome, Right, RightState, Service
from tests.support.agreements import HOME, decide

PROPOSED = LeadService(ServiceState.OFFERED, is_proposed=True)
REFERRED = Entry(RightState.REFERRED)
BEGUN, WAITING = LeadService(ServiceState.IN_PROGRESS, has_begun=True), LeadService(ServiceState.ACCEPTED)


def ended(outcome: ReferralOutcome) -> LeadService:
    return LeadService(ServiceState.COMPLETED, outcome)


def test_the_agreement_opens_all_eight_rights() -> None:
    ledger = open_ledger(decide(HOME, violence="neglect", injured="no", suicidal_sign="unknown"))

    assert set(ledger) == set(Right)
    assert ledger[Right.PROMPT_RESPONSE].state is RightState.REFERRED
    assert ledger[Right.SOCIAL_AID].state is RightState.PLANNED
    assert ledger[Right.RESTITUTION].state is RightState.NOT_APPLICABLE
    assert ledger[Right.RESTITUTION].reason == "agreement"
    # Whether the child needs a psychologist is unknown, so the right stays unanswered.
    assert ledger[Right.PSYCHOLOGICAL_REHABILITATION].state is RightState.UNANSWERED


@pytest.mark.parametrize(
    ("services", "state"),
    [
        ([PROPOSED], RightState.PLANNED),
        ([PROPOSED, WAITING], RightState.REFERRED),
        ([PROPOSED, ended(ReferralOutcome.SERVED)], RightState.IN_PROGRESS),
        ([PROPOSED, LeadService(ServiceState.DECLINED)], RightState.PLANNED),
        ([WAITING], RightState.REFERRED),
        ([WAITING, BEGUN], RightState.IN_PROGRESS),
        ([LeadService(ServiceState.SCHEDULED, has_begun=True)], RightState.IN_PROGRESS),
        ([LeadService(ServiceState.DECLINED, has_begun=True)], RightState.UNANSWERED),
        ([LeadService(ServiceState.DECLINED), ended(ReferralOutcome.SERVED)], RightState.IN_PROGRESS),
        ([ended(ReferralOutcome.SERVED)], RightState.FULFILLED),
        ([ended(ReferralOutcome.SERVED), WAITING], RightState.IN_PROGRESS),
        ([ended(ReferralOutcome.SERVED), ended(ReferralOutcome.NOT_NEEDED)], RightState.FULFILLED),
        ([ended(ReferralOutcome.SERVED), ended(ReferralOutcome.SERVED_IN_PART)], RightState.IN_PROGRESS),
        ([ended(ReferralOutcome.REFUSED_BY_VICTIM)], RightState.REFUSED_BY_VICTIM),
        ([ended(ReferralOutcome.SERVED), LeadService(ServiceState.REROUTED)], RightState.FULFILLED),
    ],
)
def test_a_right_follows_its_services(services: list[LeadService], state: RightState) -> None:
    assert update_right(REFERRED, services).state is state


def test_what_was_set_by_hand_with_a_reason_stays() -> None:
    by_hand = Entry(RightState.REFUSED_BY_VICTIM, BY_HAND)

    assert update_right(by_hand, [ended(ReferralOutcome.SERVED)]) is by_hand


@pytest.mark.parametrize("state", [ServiceState.CANCELLED, ServiceState.REVOKED, ServiceState.ENTERED_IN_ERROR])
def test_a_right_whose_only_service_was_taken_back_is_unanswered_again(state: ServiceState) -> None:
    assert update_right(REFERRED, [LeadService(state)]) == Entry(RightState.UNANSWERED)


def test_a_right_that_did_not_apply_is_referred_once_its_service_is_offered() -> None:
    waived = Entry(RightState.NOT_APPLICABLE, BY_THE_AGREEMENT)

    assert update_right(waived, []) is waived
    assert update_right(waived, [WAITING]) == Entry(RightState.REFERRED)


def test_a_replan_follows_the_new_facts_except_for_decisions_by_hand_and_outcomes() -> None:
    ledger = {
        Right.EDUCATION: Entry(RightState.NOT_APPLICABLE, BY_HAND),
        Right.SOCIAL_AID: Entry(RightState.FULFILLED),
        Right.RESTITUTION: Entry(RightState.REFERRED),
        Right.PROMPT_RESPONSE: Entry(RightState.REFERRED),
    }
    decided = dict.fromkeys(ledger, Entry(RightState.REFERRED)) | {
        Right.RESTITUTION: Entry(RightState.NOT_APPLICABLE, BY_THE_AGREEMENT)
    }
    served = {Right.SOCIAL_AID: [ended(ReferralOutcome.SERVED), WAITING], Right.PROMPT_RESPONSE: [WAITING]}

    assert {right: entry.state for right, entry in replan_ledger(ledger, decided, served).items()} == {
        Right.EDUCATION: RightState.NOT_APPLICABLE,
        Right.SOCIAL_AID: RightState.IN_PROGRESS,
        Right.RESTITUTION: RightState.NOT_APPLICABLE,
        Right.PROMPT_RESPONSE: RightState.REFERRED,
    }


def test_every_right_that_is_not_settled_keeps_the_case_open() -> None:
    ledger = dict.fromkeys(Right, Entry(RightState.FULFILLED)) | {
        Right.EDUCATION: Entry(RightState.IN_PROGRESS),
        Right.RESTITUTION: Entry(RightState.NOT_APPLICABLE, BY_HAND),
    }

    assert list_unsettled_rights(ledger) == [Right.EDUCATION]


def test_what_was_left_out_of_a_plan_is_known_by_the_right_that_it_serves() -> None:
    right_of = {Service.LEGAL_AID: Right.ACCOMPANIMENT, Service.STAY_IN_SCHOOL: Right.EDUCATION}

    # A service of another version of the agreement serves no right here.
    left_out = group_left_out({Service.STAY_IN_SCHOOL, Service.SHELTER, Service.LEGAL_AID}, right_of)

    assert left_out == {Right.ACCOMPANIMENT: [Service.LEGAL_AID], Right.EDUCATION: [Service.STAY_IN_SCHOOL]}
