"""The rights ledger of a case."""

import pytest

from simpul_routing.domain.lifecycle import ReferralState
from simpul_routing.domain.rights import Entry, Served, after, opened, unanswered
from simpul_schema.vocabulary import ReferralOutcome, Right, RightState
from tests.support.agreements import HOME, decide

REFERRED = Entry(RightState.REFERRED)
BEGUN, WAITING = Served(ReferralState.IN_PROGRESS), Served(ReferralState.ACCEPTED)


def ended(outcome: ReferralOutcome) -> Served:
    return Served(ReferralState.COMPLETED, outcome)


def test_the_agreement_opens_all_eight_rights() -> None:
    ledger = opened(decide(HOME, violence="neglect", injured="no", suicidal_sign="unknown"))

    assert set(ledger) == set(Right)
    assert ledger[Right.SOCIAL_AID].state is RightState.REFERRED
    assert ledger[Right.RESTITUTION].state is RightState.NOT_APPLICABLE
    assert ledger[Right.RESTITUTION].reason == "agreement"
    # Whether the child needs a psychologist is not known, and not knowing is no answer.
    assert ledger[Right.PSYCHOLOGICAL_REHABILITATION].state is RightState.UNANSWERED


@pytest.mark.parametrize(
    ("referrals", "state"),
    [
        ([WAITING], RightState.REFERRED),
        ([WAITING, BEGUN], RightState.IN_PROGRESS),
        ([ended(ReferralOutcome.SERVED)], RightState.FULFILLED),
        ([ended(ReferralOutcome.SERVED), WAITING], RightState.IN_PROGRESS),
        ([ended(ReferralOutcome.SERVED), ended(ReferralOutcome.NOT_NEEDED)], RightState.FULFILLED),
        ([ended(ReferralOutcome.SERVED), ended(ReferralOutcome.SERVED_IN_PART)], RightState.IN_PROGRESS),
        ([ended(ReferralOutcome.REFUSED_BY_VICTIM)], RightState.REFUSED_BY_VICTIM),
        ([ended(ReferralOutcome.SERVED), Served(ReferralState.REROUTED)], RightState.FULFILLED),
        ([ended(ReferralOutcome.SERVED), Served(ReferralState.REROUTED, is_raised=True)], RightState.IN_PROGRESS),
    ],
)
def test_a_right_follows_its_referrals(referrals: list[Served], state: RightState) -> None:
    assert after(REFERRED, referrals).state is state


def test_what_was_set_by_hand_with_a_reason_stays() -> None:
    by_hand = Entry(RightState.REFUSED_BY_VICTIM, "asked twice")

    assert after(by_hand, [ended(ReferralOutcome.SERVED)]) is by_hand


def test_every_right_that_is_not_settled_keeps_the_case_open() -> None:
    ledger = dict.fromkeys(Right, Entry(RightState.FULFILLED)) | {
        Right.EDUCATION: Entry(RightState.IN_PROGRESS), Right.RESTITUTION: Entry(RightState.NOT_APPLICABLE, "no loss"),
    }  # fmt: skip

    assert unanswered(ledger) == [Right.EDUCATION]
