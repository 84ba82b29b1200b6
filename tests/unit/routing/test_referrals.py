"""One referral for each agency and case: what joins it, what leaves it, and what is published about it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from simpul_agreement.model import ClockName, Step
from simpul_routing.domain.case_file import CaseFile
from simpul_routing.domain.lifecycle import ReplyKind, ServiceState
from simpul_routing.domain.published import (
    Accepted,
    Cancelled,
    ClockStepTaken,
    Completed,
    ConsentWithdrawn,
    Declined,
    ReferralAmended,
    ReferralOffered,
    Rerouted,
    Revoked,
    ServicesChanged,
)
from simpul_routing.domain.referral import OutstandingService, Referral, sort_services
from simpul_routing.domain.replies import Reply
from simpul_routing.errors import ReferralUnknown, SettledServiceAmbiguous
from simpul_routing.publisher import build_event
from simpul_schema.vocabulary import (
    CancelReason,
    CaseEnd,
    DeclineReason,
    ReferralOutcome,
    ReferralRole,
    ReplyRefusal,
    Service,
    Urgency,
)
from tests.unit.routing.test_case_file import NOW, find_lead, find_service, open_file, published, reply, report_of

SERVED = ReferralOutcome.SERVED


def referral_to(file: CaseFile, agency: str) -> Referral:
    """Returns the referral of the case to an agency, which has exactly one."""
    [found] = [one for one in file.referrals.values() if (one.agency, one.case_id) == (agency, file.case_id)]
    return found


def reply_about(referral: Referral, kind: ReplyKind, *services: Service, reason: DeclineReason | None = None) -> Reply:
    """Builds a reply about some services of a referral, or about the whole of it."""
    ids = tuple(one.service_id for one in referral.services.values() if one.service in services)
    assert len(ids) == len(services)
    outcome = SERVED if kind is ReplyKind.COMPLETED else None
    return Reply(uuid4(), referral.referral_id, referral.agency, kind, ids, reason=reason, outcome=outcome)


def changes(file: CaseFile, kind: type) -> list[tuple[str, set[Service]]]:
    """Lists the events about a kind of change: the agency, and the services that changed."""
    return [
        (one.referral.agency, {service.service for service in one.services})
        for one in published(file, ServicesChanged)
        if isinstance(one.change, kind)
    ]


def states(referral: Referral) -> dict[Service, ServiceState]:
    return {service.service: service.standing.state for service in referral.services.values()}


def forget_published(file: CaseFile) -> None:
    file.pending.clear()


def test_each_agency_is_offered_one_referral_with_all_its_services() -> None:
    file = open_file(violence=["sexual"])

    offers = published(file, ReferralOffered)
    assert len({offer.referral.agency for offer in offers}) == len(offers) == len(file.referrals)
    assert {service for offer in offers for service in offer.added} == {one.service_id for one in file.services}
    assert any(len(offer.added) > 2 for offer in offers)
    assert published(file, ReferralAmended) == []


def test_r4_what_was_reported_travels_with_every_referral() -> None:
    known = {
        "sex": "female",
        "age_band": "from_12_to_14",
        "place": "household",
        "perpetrator_relation": "step_parent",
        "guardian_relation": "parent",
        "suspect_has_phone": "yes",
        "injured": "yes",
        "suicidal_sign": "yes",
        "disability_need": "yes",
        "in_school": "yes",
    }
    file = open_file(violence=["sexual"], safe_now="yes", **known)
    file.amend_report(file.case_id, report_of(violence=["sexual"], safe_now="no", **known), (), uuid4())

    offers, amended = published(file, ReferralOffered), published(file, ReferralAmended)

    assert {one.referral.agency for one in amended} & {one.referral.agency for one in offers}
    everything: list[ReferralOffered | ReferralAmended] = [*offers, *amended]
    for sent in everything:
        facts = sent.facts.model_dump(mode="json")
        assert {name: facts[name] for name in known} == known
    assert {sent.facts.safe_now.value for sent in amended} == {"no"}


def test_services_are_listed_by_urgency_and_leads_before_supports() -> None:
    services = list(referral_to(open_file(), "uptd-ppa").services.values())
    low = replace(services[0], standing=replace(services[0].standing, urgency=Urgency.LOW))

    ranks = [
        (one.standing.urgency is Urgency.LOW, one.role is ReferralRole.SUPPORT, one.position)
        for one in sort_services([low, *services[1:]])
    ]

    assert ranks == sorted(ranks)
    assert ranks[-1][0]


def test_new_facts_add_services_to_the_referral_that_an_agency_has() -> None:
    file = open_file(safe_now="yes")
    before = referral_to(file, "uptd-ppa")
    forget_published(file)

    file.amend_report(file.case_id, report_of(violence=["sexual"], safe_now="yes"), (), uuid4())

    after = referral_to(file, "uptd-ppa")
    [amended] = [one for one in published(file, ReferralAmended) if one.referral.agency == "uptd-ppa"]
    assert after.referral_id == before.referral_id
    assert set(amended.added) == after.services.keys() - before.services.keys() != set()
    assert "uptd-ppa" not in {offer.referral.agency for offer in published(file, ReferralOffered)}
    event = build_event(next(one for one in file.pending if one.content is amended), NOW)
    assert {one["service_id"] for one in event.data["services"]} == {
        one.service_id for one in after.services.values() if one.is_with_agency
    }
    assert set(event.data["added"]) == set(amended.added)


def test_an_agency_accepts_some_services_and_declines_others_each_with_its_reason() -> None:
    file = open_file(violence=["sexual"])
    referral = referral_to(file, "uptd-ppa")
    first, second, third, *_ = [one.service for one in referral.services.values() if one.role is ReferralRole.LEAD]
    forget_published(file)

    file.record_replies([reply_about(referral, ReplyKind.ACCEPTED, first)])
    file.record_replies(
        [
            reply_about(referral, ReplyKind.DECLINED, second, reason=DeclineReason.NO_CAPACITY),
            reply_about(referral, ReplyKind.DECLINED, third, reason=DeclineReason.ALREADY_SERVED),
        ]
    )

    now = states(referral_to(file, "uptd-ppa"))
    assert (now[first], now[second], now[third]) == (
        ServiceState.ACCEPTED,
        ServiceState.REROUTED,
        ServiceState.REROUTED,
    )
    assert changes(file, Accepted) == [("uptd-ppa", {first})]
    assert changes(file, Declined) == [("uptd-ppa", {second}), ("uptd-ppa", {third})]
    answered = [one.clocks[ClockName.ANSWER].is_stopped for one in referral_to(file, "uptd-ppa").services.values()]
    assert False in answered


def test_accepting_one_service_leaves_the_answer_to_the_others_due() -> None:
    file = open_file()
    referral = referral_to(file, "uptd-ppa")
    lead = next(one for one in referral.services.values() if one.role is ReferralRole.LEAD)

    file.record_replies([reply(lead, ReplyKind.ACCEPTED)])

    others = [one for one in referral_to(file, "uptd-ppa").services.values() if one.service_id != lead.service_id]
    assert others
    assert not any(one.clocks[ClockName.ANSWER].is_stopped for one in others)
    assert find_service(file, lead.service_id).clocks[ClockName.ANSWER].is_stopped


def test_declined_services_join_the_referral_of_the_next_agency_in_one_event() -> None:
    file = open_file(violence=["neglect"])
    forget_published(file)
    before = referral_to(file, "uptd-ppa")

    file.record_replies(
        [reply_about(referral_to(file, "dinsos-peksos"), ReplyKind.DECLINED, reason=DeclineReason.NO_CAPACITY)]
    )

    after, declined = referral_to(file, "uptd-ppa"), referral_to(file, "dinsos-peksos")
    moved = [one for one in published(file, ServicesChanged) if one.change == Rerouted(after.referral_id, "uptd-ppa")]
    [amended] = [one for one in published(file, ReferralAmended) if one.referral.agency == "uptd-ppa"]
    added = [after.services[key] for key in amended.added]
    assert len(moved) == 1
    assert len(moved[0].services) > 1
    assert {one.rerouted_from for one in added} == {service.service_id for service in moved[0].services}
    assert set(moved[0].replacements) == {one.rerouted_from for one in added}
    assert after.referral_id == before.referral_id
    assert set(amended.added) == after.services.keys() - before.services.keys()
    assert set(states(declined).values()) == {ServiceState.REROUTED}


def test_a_reply_without_services_accepts_what_it_can_and_is_refused_only_as_a_whole() -> None:
    file = open_file()
    referral = referral_to(file, "uptd-ppa")
    first, *_ = referral.services.values()
    file.cancel_services(referral.referral_id, [first.service_id], CancelReason.TAKEN_BACK, "uptd-ppa", "x")

    accepted = file.record_replies([reply_about(referral, ReplyKind.ACCEPTED)])
    again = file.record_replies([reply_about(referral, ReplyKind.ACCEPTED)])
    file.record_replies([reply_about(referral, ReplyKind.COMPLETED)])
    late = file.record_replies([reply_about(referral, ReplyKind.STARTED)])

    assert (accepted, again) == ([], [])
    assert set(states(referral_to(file, "uptd-ppa")).values()) == {ServiceState.CANCELLED, ServiceState.COMPLETED}
    assert [(one.reason, one.service_ids) for one in late] == [(ReplyRefusal.ALREADY_ENDED, ())]
    assert [len(services) for _, services in changes(file, Completed)] == [len(referral.services) - 1]


def test_named_services_that_a_reply_cannot_be_about_are_refused_and_the_others_count() -> None:
    file = open_file()
    referral, stranger = referral_to(file, "uptd-ppa"), uuid4()
    first, second, *_ = referral.services.values()
    file.record_replies([reply(first, ReplyKind.ACCEPTED)])
    about = Reply(
        uuid4(),
        referral.referral_id,
        referral.agency,
        ReplyKind.STARTED,
        (first.service_id, second.service_id, stranger),
    )

    refused = file.record_replies([about])

    assert find_service(file, first.service_id).standing.state is ServiceState.IN_PROGRESS
    assert {one.reason: one.service_ids for one in refused} == {
        ReplyRefusal.NOT_YET_ACCEPTED: (second.service_id,),
        ReplyRefusal.UNKNOWN_SERVICE: (stranger,),
    }


def test_clock_steps_of_one_referral_that_fall_due_together_are_one_event() -> None:
    file = open_file(violence=["neglect"])
    referral = referral_to(file, "dinsos-peksos")
    forget_published(file)

    for service in referral.services.values():
        clock = service.clocks[ClockName.ANSWER]
        file.step_clock(service, ClockName.ANSWER, file.find_step_targets(service, clock))

    [step] = published(file, ClockStepTaken)
    assert {one.service_id for one in step.services} == referral.services.keys()
    assert (step.clock, step.step, step.targets) == (ClockName.ANSWER, Step.HALF, ("dinsos-peksos",))
    after = referral_to(file, "dinsos-peksos").services.values()
    assert {one.clocks[ClockName.ANSWER].step for one in after} == {Step.DUE}


def test_one_reminder_is_for_services_with_near_deadlines_that_are_events_of_their_own() -> None:
    file = open_file(violence=["neglect"])
    first, second, third, *others = referral_to(file, "dinsos-peksos").services.values()
    for service, later in ((second, timedelta(minutes=1)), (third, timedelta(days=1))):
        clock = service.clocks[ClockName.ANSWER]
        file.set_service(service.with_clocks([replace(clock, due_at=clock.due_at + later)]))
    forget_published(file)

    file.step_clock(first, ClockName.ANSWER, ("dinsos-peksos",))
    reminded = {one.service_id: one.clocks[ClockName.ANSWER].step for one in file.services}
    for service_id in (first.service_id, second.service_id):
        file.step_clock(find_service(file, service_id), ClockName.ANSWER, ("uptd-ppa",))

    steps = [(one.step, len(one.services)) for one in published(file, ClockStepTaken)]
    assert steps == [(Step.HALF, 2 + len(others)), (Step.DUE, 1), (Step.DUE, 1)]
    assert {reminded[one.service_id] for one in (first, second, *others)} == {Step.DUE}
    assert reminded[third.service_id] is Step.HALF


def test_a_reminder_is_not_for_a_service_that_the_agency_has_answered() -> None:
    file = open_file(violence=["neglect"])
    first, second, *_ = referral_to(file, "dinsos-peksos").services.values()
    file.record_replies([reply(second, ReplyKind.ACCEPTED)])
    forget_published(file)

    file.step_clock(first, ClockName.ANSWER, ("dinsos-peksos",))

    [reminder] = published(file, ClockStepTaken)
    assert second.service_id not in {one.service_id for one in reminder.services}
    assert find_service(file, second.service_id).clocks[ClockName.ANSWER].step is Step.HALF


def test_a_reopened_case_adds_services_to_the_referrals_that_it_had() -> None:
    file = open_file()
    before = {one.agency: one.referral_id for one in file.referrals.values()}
    file.close(CaseEnd.CLOSED, "uptd-ppa", "moved away")
    forget_published(file)

    file.reopen("uptd-ppa", "came back")

    assert {one.agency: one.referral_id for one in file.referrals.values()} == before
    assert published(file, ReferralOffered) == []
    assert {one.referral.agency for one in published(file, ReferralAmended)} == before.keys()


def test_a_closed_case_cancels_each_referral_in_one_event() -> None:
    file = open_file()
    forget_published(file)

    file.close(CaseEnd.CLOSED, "uptd-ppa", "moved away")

    cancelled = [one for one in published(file, ServicesChanged) if isinstance(one.change, Cancelled)]
    assert {one.referral.referral_id for one in cancelled} == file.referrals.keys()
    assert len(cancelled) == len(file.referrals)
    assert sum(len(one.services) for one in cancelled) == len(file.services)


def test_services_of_a_merged_duplicate_join_the_referrals_of_the_case_that_continues() -> None:
    case, duplicate = open_file(), open_file(violence=["sexual"])
    ids = {one.agency: one.referral_id for one in case.referrals.values()}
    forget_published(case)

    duplicate.merge_into(case, "uptd-ppa", "the same child")

    own = {one.agency: one.referral_id for one in case.referrals.values() if one.case_id == case.case_id}
    assert ids.items() <= own.items()
    assert len(own) == sum(one.case_id == case.case_id for one in case.referrals.values())
    assert {one.referral.agency for one in published(case, ReferralOffered)} == own.keys() - ids.keys()
    of_duplicate = [one for one in case.referrals.values() if one.case_id == duplicate.case_id]
    assert {state for one in of_duplicate for state in states(one).values()} == {ServiceState.CANCELLED}
    merged = [one for one in published(case, ServicesChanged) if one.change == Cancelled(CancelReason.CASE_MERGED)]
    assert {one.referral.referral_id for one in merged} == {one.referral_id for one in of_duplicate}
    leads = [one.service for one in case.own_services if one.role is ReferralRole.LEAD and one.standing.is_open]
    assert len(leads) == len(set(leads))


BY_CONSENT: dict[str, Any] = {
    "safe_now": "yes",
    "perpetrator_lives_with_child": "no",
    "perpetrator_relation": "neighbour",
    "age_band": "under_6",
}
"""Facts by which the case rests on the consent of a guardian."""


def test_a_withdrawn_consent_is_published_once_for_a_referral_and_acknowledged_once() -> None:
    file = open_file(**BY_CONSENT)
    referral = referral_to(file, "uptd-ppa")
    file.record_replies([reply_about(referral, ReplyKind.ACCEPTED)])
    forget_published(file)

    file.withdraw_consent("uptd-ppa", "no longer wants it")
    refusal = file.acknowledge_withdrawal(uuid4(), referral.referral_id, "uptd-ppa")

    assert [one.referral.referral_id for one in published(file, ConsentWithdrawn)] == [referral.referral_id]
    services = referral_to(file, "uptd-ppa").services.values()
    assert refusal is None
    clocks = [one.clocks[ClockName.WITHDRAWAL] for one in services if ClockName.WITHDRAWAL in one.clocks]
    assert clocks
    assert all(clock.is_stopped for clock in clocks)


def test_an_answer_under_a_former_id_is_about_the_one_service_that_the_id_named() -> None:
    """Until 2026-11-27 each service was a referral; an agency may answer under that id after the upgrade."""
    file = open_file()
    referral = referral_to(file, "uptd-ppa")
    named, *others = list(referral.services)[::-1]

    refused = file.record_replies(
        [Reply(uuid4(), named, "uptd-ppa", ReplyKind.ACCEPTED), Reply(uuid4(), named, "ylpa", ReplyKind.ACCEPTED)]
    )

    answered = referral_to(file, "uptd-ppa").services
    assert others
    assert [one.reason for one in refused] == [ReplyRefusal.NOT_ITS_REFERRAL]
    assert answered[named].standing.state is ServiceState.ACCEPTED
    assert {answered[other].standing.state for other in others} == {ServiceState.OFFERED}


def test_a_withdrawal_acknowledged_under_a_former_id_stops_the_clock_of_that_service() -> None:
    file = open_file(**BY_CONSENT)
    referral = referral_to(file, "uptd-ppa")
    file.record_replies([reply_about(referral, ReplyKind.ACCEPTED)])
    file.withdraw_consent("uptd-ppa", "no longer wants it")
    named = next(iter(referral.services))

    refusal = file.acknowledge_withdrawal(uuid4(), named, "uptd-ppa")

    services = referral_to(file, "uptd-ppa").services
    stopped = {key for key, one in services.items() if one.clocks[ClockName.WITHDRAWAL].is_stopped}
    assert (refusal, stopped) == (None, {named})


def test_an_offer_settles_the_only_possible_service_of_a_referral() -> None:
    file = open_file(violence=["unknown"])
    referral = referral_to(file, "uptd-ppa")
    triage = find_lead(file, Service.MANUAL_TRIAGE)

    file.offer_by_hand(Service.SOCIAL_AID, "dinsos-peksos", ReferralRole.LEAD, "uptd-ppa", "x", referral.referral_id)

    assert referral_to(file, "uptd-ppa").services[triage.service_id].standing.state is ServiceState.COMPLETED
    with pytest.raises(ReferralUnknown):
        file.offer_by_hand(Service.SHELTER, "dinsos-peksos", ReferralRole.LEAD, "uptd-ppa", "x", referral.referral_id)


def test_an_offer_that_could_settle_several_services_of_a_referral_is_refused() -> None:
    file = open_file(violence=["unknown"])
    triage = find_lead(file, Service.MANUAL_TRIAGE)
    second = replace(triage, service_id=uuid4(), position=9)
    file.set_service(second)

    with pytest.raises(SettledServiceAmbiguous):
        file.offer_by_hand(Service.SHELTER, "dinsos-peksos", ReferralRole.LEAD, "uptd-ppa", "x", triage.referral_id)

    file.set_service(replace(triage, escalated_service=OutstandingService(Service.LEGAL_AID, ReferralRole.LEAD)))
    file.offer_by_hand(Service.SHELTER, "dinsos-peksos", ReferralRole.LEAD, "uptd-ppa", "x", triage.referral_id)
    assert referral_to(file, "uptd-ppa").services[second.service_id].standing.state is ServiceState.COMPLETED


def test_an_agency_that_was_never_offered_its_referral_is_offered_it_later() -> None:
    file = open_file()
    case = replace(file.case, agreement="2026-11")
    file.case = case
    referral = referral_to(file, "uptd-ppa")
    file.referrals[referral.referral_id] = replace(referral, offered_at=None)
    forget_published(file)

    file.offer_by_hand(Service.COUNSELLING, "uptd-ppa", ReferralRole.SUPPORT, "uptd-ppa", "x")

    assert [one.referral.referral_id for one in published(file, ReferralOffered)] == [referral.referral_id]


@pytest.mark.parametrize("services", [(), (0,), (0, 1)])
def test_services_of_a_referral_are_cancelled_together_or_one_by_one(services: tuple[int, ...]) -> None:
    file = open_file()
    referral = referral_to(file, "uptd-ppa")
    chosen = [list(referral.services)[index] for index in services]
    forget_published(file)

    file.cancel_services(referral.referral_id, chosen, CancelReason.TAKEN_BACK, "uptd-ppa", "x")

    [cancelled] = [one for one in published(file, ServicesChanged) if isinstance(one.change, Cancelled)]
    assert {one.service_id for one in cancelled.services} == set(chosen or referral.services)


def test_what_new_facts_withdraw_and_what_they_change_are_two_events_of_a_referral() -> None:
    file = open_file(violence=["sexual"], safe_now="yes")
    forget_published(file)

    file.amend_report(file.case_id, report_of(safe_now="yes"), (), uuid4())

    of_hub = [one.content for one in file.pending if _referral_of(one.content) == "uptd-ppa"]
    kinds = [type(one) for one in of_hub]
    assert len(kinds) == len(set(kinds))
    amended = next(one for one in of_hub if isinstance(one, ReferralAmended))
    for one in of_hub:
        if isinstance(one, ServicesChanged):
            assert isinstance(one.change, Revoked)
            assert not {service.service_id for service in one.services} & {
                service.service_id for service in amended.referral.services_with_agency
            }


def _referral_of(content: object) -> str:
    referral = getattr(content, "referral", None)
    return referral.agency if isinstance(referral, Referral) else ""


def test_an_event_has_the_topic_of_its_first_service() -> None:
    file = open_file()
    referral = referral_to(file, "uptd-ppa")
    services = sort_services(referral.services.values())
    lower = services[:-1]
    for service in lower:
        file.set_service(replace(service, standing=replace(service.standing, urgency=Urgency.LOW)))
    forget_published(file)

    file.record_replies([reply_about(referral_to(file, "uptd-ppa"), ReplyKind.ACCEPTED)])

    event = build_event(file.pending[0], NOW)
    assert event.topic == f"{services[-1].service.value}.high"
    assert event.data["services"][0]["service_id"] == services[-1].service_id
