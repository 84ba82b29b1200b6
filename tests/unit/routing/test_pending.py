"""What one cause changes in one referral in the same way is one event."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from simpul_agreement.model import ClockName, Step
from simpul_routing.domain.lifecycle import ServiceState
from simpul_routing.domain.pending import add_pending
from simpul_routing.domain.published import (
    Accepted,
    Cancelled,
    CaseReopened,
    ClockStepTaken,
    Declined,
    Pending,
    Published,
    ReferralAmended,
    ReferralOffered,
    ServicesChanged,
)
from simpul_schema.vocabulary import CancelReason, DeclineReason
from tests.unit.routing.test_case_file import NOW, report_of
from tests.unit.routing.test_judgement import a_referral

FIRST, SECOND = a_referral(*[ServiceState.OFFERED] * 4), a_referral(*[ServiceState.OFFERED] * 4)
CASE = UUID(int=9)
FACTS = report_of().shared
CHANGES = (
    Accepted(),
    Declined(DeclineReason.OTHER),
    Declined(DeclineReason.NO_CAPACITY),
    Cancelled(CancelReason.OTHER),
)


def collect(*contents: Published, causes: tuple[UUID | None, ...] = ()) -> list[Pending]:
    pending: list[Pending] = []
    for index, content in enumerate(contents):
        add_pending(pending, Pending(CASE, content, causes[index] if causes else None))
    return pending


def changed(position: int, change: int = 0, *, first: bool = True, informs_agency: bool = True) -> ServicesChanged:
    referral = FIRST if first else SECOND
    return ServicesChanged(referral, (referral.services[UUID(int=position)],), CHANGES[change], informs_agency)


def stepped(position: int, minutes: int = 0, targets: tuple[str, ...] = ("ylpa",)) -> ClockStepTaken:
    service, due_at = FIRST.services[UUID(int=position)], NOW + timedelta(minutes=minutes)
    return ClockStepTaken(FIRST, (service,), ClockName.ANSWER, Step.DUE, due_at, targets)


def test_an_offer_takes_later_services_and_stays_the_first_event() -> None:
    later = replace(FIRST, agency="later")

    [offer, other] = collect(
        ReferralOffered(FIRST, FACTS, (UUID(int=1),)), changed(1), ReferralAmended(later, FACTS, (UUID(int=2),))
    )

    assert offer.content == ReferralOffered(later, FACTS, (UUID(int=1), UUID(int=2)))
    assert isinstance(other.content, ServicesChanged)


def test_an_amended_referral_is_shown_as_it_is_after_everything_before() -> None:
    later = replace(FIRST, agency="later")

    [revoked, amended] = collect(
        ReferralAmended(FIRST, FACTS, (UUID(int=1),)), changed(2), ReferralAmended(later, FACTS)
    )

    assert amended.content == ReferralAmended(later, FACTS, (UUID(int=1),))
    assert isinstance(revoked.content, ServicesChanged)


def test_an_offer_takes_nothing_more_once_another_cause_has_amended_it() -> None:
    other, last = replace(FIRST, agency="other"), replace(FIRST, agency="last")

    events = collect(
        ReferralOffered(FIRST, FACTS, (UUID(int=1),)),
        ReferralAmended(other, FACTS, (UUID(int=2),)),
        ReferralAmended(last, FACTS, (UUID(int=3),)),
        causes=(UUID(int=1), UUID(int=2), UUID(int=1)),
    )

    # The last event shows the referral as it is in the end.
    assert [event.content for event in events] == [
        ReferralOffered(FIRST, FACTS, (UUID(int=1),)),
        ReferralAmended(other, FACTS, (UUID(int=2),)),
        ReferralAmended(last, FACTS, (UUID(int=3),)),
    ]


def test_steps_are_one_event_only_if_they_notify_the_same_people_at_the_same_time() -> None:
    found = collect(stepped(1), stepped(2), stepped(3, minutes=1), stepped(4, targets=("uptd-ppa",)))

    assert [len(one.content.services) for one in found if isinstance(one.content, ClockStepTaken)] == [2, 1, 1]


def test_what_another_cause_changes_is_another_event() -> None:
    found = collect(changed(1), changed(2), causes=(UUID(int=1), UUID(int=2)))

    assert len(found) == 2


def test_events_about_the_case_are_never_grouped() -> None:
    assert len(collect(CaseReopened(), CaseReopened())) == 2


@given(
    st.lists(
        st.tuples(
            st.builds(changed, st.integers(1, 4), st.integers(0, 3), first=st.booleans(), informs_agency=st.booleans()),
            st.sampled_from([None, UUID(int=1), UUID(int=2)]),
        ),
        max_size=20,
    )
)
def test_nothing_is_lost_and_each_way_is_one_event(entries: list[tuple[ServicesChanged, UUID | None]]) -> None:
    found = collect(*(content for content, _ in entries), causes=tuple(cause for _, cause in entries))

    def ways(all_of: list[tuple[ServicesChanged, UUID | None]]) -> Counter[tuple[object, ...]]:
        return Counter(
            (cause, content.referral.referral_id, content.change, content.informs_agency, service.service_id)
            for content, cause in all_of
            for service in content.services
        )

    grouped = [(one.content, one.cause) for one in found if isinstance(one.content, ServicesChanged)]
    assert ways(grouped) == ways(entries)
    keys = [(cause, one.referral.referral_id, one.change, one.informs_agency) for one, cause in grouped]
    assert len(keys) == len(set(keys))
