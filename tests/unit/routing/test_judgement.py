"""A reply is judged for each service of a referral that it is about."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpul_routing.domain.judgement import judge_referral_reply
from simpul_routing.domain.lifecycle import ReplyKind, ServiceState, Standing, Unchanged, judge_reply
from simpul_routing.domain.referral import Referral, ReferralService
from simpul_schema.vocabulary import DeclineReason, ReferralRole, ReplyRefusal, Service, Urgency

NOW = datetime(2026, 11, 27, 15, 0, tzinfo=UTC)
S = ServiceState


def a_referral(*states: ServiceState, urgency: Urgency = Urgency.MEDIUM) -> Referral:
    """Builds a referral to YLPA whose services have these states; their ids count from 1."""
    referral = Referral(uuid4(), uuid4(), "ylpa", {}, NOW)
    for position, state in enumerate(states, start=1):
        service = ReferralService(
            service_id=UUID(int=position),
            referral_id=referral.referral_id,
            position=position,
            agency="ylpa",
            service=Service.LEGAL_AID,
            role=ReferralRole.LEAD,
            answer_by=NOW,
            agreement="",
            clauses=(),
            standing=Standing(state, urgency, has_first_aid=False),
            clocks={},
        )
        referral = referral.with_service(service)
    return referral


def ids(*positions: int) -> tuple[UUID, ...]:
    return tuple(UUID(int=position) for position in positions)


def test_only_the_addressed_agency_may_reply() -> None:
    referral = a_referral(S.OFFERED)

    unknown = judge_referral_reply(None, "ylpa", ReplyKind.ACCEPTED)
    foreign = judge_referral_reply(referral, "rs-rujukan", ReplyKind.ACCEPTED, ids(1))

    assert unknown.refused == {ReplyRefusal.UNKNOWN_REFERRAL: ()}
    assert foreign.refused == {ReplyRefusal.NOT_ITS_REFERRAL: ()}


def test_a_reply_without_services_is_about_those_to_which_it_applies() -> None:
    referral = a_referral(S.OFFERED, S.SEEN, S.ACCEPTED, S.COMPLETED, S.DECLINED)

    judged = judge_referral_reply(referral, "ylpa", ReplyKind.ACCEPTED)

    assert judged.changed == dict.fromkeys(ids(1, 2), S.ACCEPTED)
    assert judged.refused == {}


@pytest.mark.parametrize(
    ("states", "kind", "refused"),
    [
        ((S.COMPLETED, S.OFFERED), ReplyKind.STARTED, ReplyRefusal.NOT_YET_ACCEPTED),
        ((S.COMPLETED, S.REROUTED), ReplyKind.STARTED, ReplyRefusal.REROUTED),
        ((S.DECLINED, S.COMPLETED), ReplyKind.ACCEPTED, ReplyRefusal.NOT_NOW),
        ((S.COMPLETED, S.CANCELLED), ReplyKind.ACCEPTED, ReplyRefusal.ALREADY_ENDED),
    ],
)
def test_a_reply_that_applies_to_no_service_is_refused_once_with_the_reason_that_helps_best(
    states: tuple[ServiceState, ...], kind: ReplyKind, refused: ReplyRefusal
) -> None:
    judged = judge_referral_reply(a_referral(*states), "ylpa", kind)

    assert (judged.changed, judged.refused) == ({}, {refused: ()})


def test_a_repetition_about_some_services_is_not_refused_for_the_others() -> None:
    judged = judge_referral_reply(a_referral(S.ACCEPTED, S.COMPLETED), "ylpa", ReplyKind.ACCEPTED)

    assert (judged.changed, judged.refused, judged.unchanged) == ({}, {}, ids(1))


def test_each_named_service_is_judged_and_the_refusals_are_grouped_by_reason() -> None:
    referral = a_referral(S.ACCEPTED, S.OFFERED, S.SEEN, S.COMPLETED)

    judged = judge_referral_reply(referral, "ylpa", ReplyKind.STARTED, ids(1, 2, 3, 4, 9, 1))

    assert judged.changed == {ids(1)[0]: S.IN_PROGRESS}
    assert judged.refused == {
        ReplyRefusal.NOT_YET_ACCEPTED: ids(2, 3),
        ReplyRefusal.ALREADY_ENDED: ids(4),
        ReplyRefusal.UNKNOWN_SERVICE: ids(9),
    }


def test_a_receipt_is_about_every_service_before_acceptance() -> None:
    referral = a_referral(S.OFFERED, S.DELIVERED, S.ACCEPTED)

    judged = judge_referral_reply(referral, "ylpa", ReplyKind.DELIVERED)

    assert (judged.changed, judged.unchanged, judged.refused) == ({ids(1)[0]: S.DELIVERED}, ids(2, 3), {})


@given(
    st.lists(st.sampled_from(ServiceState), min_size=1, max_size=5),
    st.sampled_from(ReplyKind),
    st.sampled_from([None, DeclineReason.NO_CAPACITY, DeclineReason.OUTSIDE_AREA]),
    st.sampled_from(Urgency),
    st.booleans(),
)
def test_every_service_has_the_outcome_that_it_has_alone(
    states: list[ServiceState], kind: ReplyKind, reason: DeclineReason | None, urgency: Urgency, is_named: bool
) -> None:
    referral = a_referral(*states, urgency=urgency)

    judged = judge_referral_reply(referral, "ylpa", kind, referral.services if is_named else (), reason)

    alone = {key: judge_reply(service.standing, kind, reason) for key, service in referral.services.items()}
    assert judged.changed == {key: found for key, found in alone.items() if isinstance(found, ServiceState)}
    assert set(judged.unchanged) == {key for key, found in alone.items() if isinstance(found, Unchanged)}
    refused = {key for services in judged.refused.values() for key in services}
    if is_named:
        assert refused == {key for key, found in alone.items() if isinstance(found, ReplyRefusal)}
    else:
        assert refused == set()
        assert bool(judged.refused) is not bool(judged.changed or judged.unchanged)
