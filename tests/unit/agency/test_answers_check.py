"""What a consumer's replies to the services of a referral may look like."""

from typing import Any
from uuid import uuid4

import pytest

from simpul_agency.conformance.answers_check import find_problem
from simpul_agency.sandbox.referrals import SentReferral
from simpul_agency.sandbox.replies import AgencyReply
from simpul_schema.vocabulary import ReplyRefusal

OFFER, AMENDMENT = "offer", "amendment"


def requesting(event_id: str, wire_name: str, *services: str) -> dict[str, Any]:
    listed = [{"service_id": one, "service": one, "urgency": "low"} for one in services]
    return {"id": event_id, "type": wire_name, "data": {"services": listed}}


def sent(*more: str) -> SentReferral:
    """A referral with the services a and b, and with more that an amendment added."""
    first = requesting(OFFER, "referral.offered.v1", "a", "b")
    referral = SentReferral(first)
    referral.add_event(first)
    if more:
        referral.add_event(requesting(AMENDMENT, "referral.amended.v1", "a", "b", *more))
    return referral


def reply(kind: str, *service_ids: str, to: str = OFFER) -> AgencyReply:
    event = {
        "id": str(uuid4()),
        "type": f"reply.referral.{kind}.v1",
        "causationid": to,
        "data": {"service_ids": list(service_ids)},
    }
    return AgencyReply(event, b"", "", "", "", is_persistent=True)


DELIVERED, ADDED_DELIVERED = reply("delivered"), reply("delivered", to=AMENDMENT)


@pytest.mark.parametrize(
    "replies",
    [
        [reply("accepted")],
        [reply("accepted", "a", "b")],
        [reply("accepted", "b"), reply("declined", "a")],
        [reply("accepted", "a"), reply("accepted")],
        [reply("declined")],
    ],
)
def test_each_service_may_be_answered_by_itself_or_with_the_others(replies: list[AgencyReply]) -> None:
    assert find_problem(sent(), [DELIVERED, *replies]) == ""


@pytest.mark.parametrize(
    ("replies", "problem"),
    [
        ([], "not confirmed"),
        ([DELIVERED], "no answer for a, b"),
        ([DELIVERED, DELIVERED, reply("accepted")], "more than once"),
        ([reply("accepted"), DELIVERED], "before it was confirmed"),
        ([DELIVERED, reply("accepted", "a")], "no answer for b"),
        ([DELIVERED, reply("accepted"), reply("accepted")], "although every service had an answer"),
        ([DELIVERED, reply("accepted", "a", "b"), reply("accepted", "b")], "accepted, and then accepted"),
        # A decline without ids is also about what was accepted.
        ([DELIVERED, reply("accepted", "a"), reply("declined")], "accepted, and then declined"),
        ([DELIVERED, reply("accepted", "a", "b", "c")], "not asked for"),
    ],
)
def test_a_wrong_answer_is_named(replies: list[AgencyReply], problem: str) -> None:
    assert problem in find_problem(sent(), replies)


def test_an_added_service_is_answered_for_the_amendment_that_added_it() -> None:
    answered = [DELIVERED, reply("accepted"), ADDED_DELIVERED]

    assert find_problem(sent("c"), [*answered, reply("accepted", "c", to=AMENDMENT)]) == ""
    assert find_problem(sent("c"), [*answered, reply("accepted", to=AMENDMENT)]) == ""
    # At the time of the offer nobody knew it.
    assert "not asked for" in find_problem(sent("c"), [*answered, reply("accepted", "c")])
    assert "no answer for c" in find_problem(sent("c"), answered)


def test_the_simulated_city_records_a_reply_for_some_services_and_refuses_it_for_others() -> None:
    referral = sent()
    referral.end_services(["a"])

    assert referral.judge("accepted", ["a", "b", "x"]) == (
        ["b"],
        {ReplyRefusal.ALREADY_ENDED: ["a"], ReplyRefusal.UNKNOWN_SERVICE: ["x"]},
    )
    assert referral.judge("accepted", ["b"]) == ([], {})
    assert referral.judge("completed", []) == (["b"], {})
    assert referral.judge("started", []) == ([], {ReplyRefusal.ALREADY_ENDED: []})
