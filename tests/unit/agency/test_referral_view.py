"""Where a referral and each of its services stand for an agency."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from simpul_agency.earlier_events import LISTING, with_services
from simpul_agency.records import ReferralStream, TypedBody
from simpul_agency.referral_view import ReferralView, ServiceView, view_referral
from simpul_agency.reply import Reply
from simpul_agency.reply_factory import ReplyFactory
from simpul_schema.messages import ReferralOfferedV1, message_class
from simpul_schema.samples import samples
from simpul_schema.vocabulary import ReferralRole, Service, Urgency

SAMPLES = {name: json.loads(body) for name, _, body in samples()}
REFERRAL = SAMPLES["referral.offered.v1"]["data"]["referral_id"]
NAMES = ("case_management", "psychologist", "shelter", "legal_aid")
IDS = {name: f"00000000-0000-4000-8000-00000000000{number}" for number, name in enumerate(NAMES)}


def requested(name: str, **more: Any) -> dict[str, Any]:
    service = SAMPLES["referral.offered.v1"]["data"]["services"][0]
    return {**service, "service_id": IDS[name], "service": name, **more}


def event(wire_name: str, *services: str, **data: Any) -> TypedBody:
    """An event of the city that lists these services by reference, or an offer or amendment that asks for them."""
    body = json.loads(json.dumps(SAMPLES[wire_name]))
    is_request = wire_name in ("referral.offered.v1", "referral.amended.v1")
    listed = [requested(one) if is_request else {"service_id": IDS[one], "service": one} for one in services]
    body["data"] |= {"referral_id": REFERRAL} | ({"services": listed} if services else {}) | data
    return wire_name, json.dumps(body).encode()


def offered(*services: str) -> TypedBody:
    return event("referral.offered.v1", *services)


def amended(*services: str, added: tuple[str, ...] = ()) -> TypedBody:
    return event("referral.amended.v1", *services, added=[IDS[one] for one in added])


def reply(kind: str, *services: str, number: int = 1) -> TypedBody:
    wire_name = f"reply.referral.{kind}.v1"
    ids = [IDS[one] for one in services]
    body = {**SAMPLES[wire_name], "id": str(UUID(int=number)), "data": {"referral_id": REFERRAL, "service_ids": ids}}
    return wire_name, json.dumps(body).encode()


def view(events: list[TypedBody], replies: list[TypedBody] | None = None, *refusals: TypedBody) -> ReferralView:
    return view_referral(ReferralStream(tuple(events), tuple(replies or ()), tuple(body for _, body in refusals)))


def states(found: ReferralView) -> dict[str, str]:
    return {one.requested.service.value: one.state for one in found.services}


def service(found: ReferralView, name: str) -> ServiceView:
    return next(one for one in found.services if one.requested.service.value == name)


def test_each_service_has_its_own_state() -> None:
    found = view(
        [offered(*NAMES), event("referral.completed.v1", "shelter"), event("referral.reminded.v1", "legal_aid")],
        [reply("accepted", "psychologist"), reply("declined", "case_management")],
    )

    assert states(found) == {
        "case_management": "reply.referral.declined.v1",
        "psychologist": "reply.referral.accepted.v1",
        "shelter": "referral.completed.v1",
        "legal_aid": "referral.reminded.v1",
    }
    assert [one.requested.service.value for one in found.unanswered] == ["legal_aid"]
    assert [one.is_open for one in found.services] == [False, True, False, True]


def test_a_reply_without_services_is_about_those_that_it_can_be_about() -> None:
    found = view(
        [offered("psychologist", "shelter", "legal_aid")],
        [reply("declined", "shelter"), reply("accepted", "psychologist"), reply("started"), reply("accepted")],
    )

    assert states(found) == {
        "psychologist": "reply.referral.started.v1",
        "shelter": "reply.referral.declined.v1",
        "legal_aid": "reply.referral.accepted.v1",
    }


def test_an_amendment_replaces_the_list_and_says_what_is_new() -> None:
    found = view(
        [offered("psychologist", "shelter"), amended("psychologist", "legal_aid", added=("legal_aid",))],
        [reply("accepted", "psychologist", "shelter")],
    )

    # The event that says why the shelter ended did not come.
    assert states(found) == {
        "psychologist": "reply.referral.accepted.v1",
        "legal_aid": "referral.offered.v1",
        "shelter": "referral.revoked.v1",
    }
    assert [one.is_new for one in found.services] == [False, True, False]
    assert [one.was_added for one in found.services] == [False, True, False]
    answered = view(
        [offered("psychologist"), amended("psychologist", "legal_aid", added=("legal_aid",))],
        [reply("accepted", "legal_aid")],
    )
    assert not service(answered, "legal_aid").is_new


def test_an_event_ends_only_the_services_that_it_lists() -> None:
    for wire_name in ("rerouted", "cancelled", "revoked", "completed", "declined"):
        found = view([offered("psychologist", "shelter"), event(f"referral.{wire_name}.v1", "shelter")])

        assert found.is_open
        assert [one.is_open for one in found.services] == [True, False]


def test_a_referral_has_ended_with_its_last_service_and_an_amendment_opens_it_again() -> None:
    events = [offered("psychologist", "shelter"), event("referral.cancelled.v1", "psychologist", "shelter")]
    ended = view(events)
    again = view([*events, amended("legal_aid", added=("legal_aid",))])

    assert (ended.is_open, ended.unanswered) == (False, ())
    assert again.is_open
    assert [one.requested.service.value for one in again.unanswered] == ["legal_aid"]
    assert states(again)["shelter"] == "referral.cancelled.v1"


def test_a_refused_reply_does_not_count_for_the_services_to_which_it_was_refused() -> None:
    replies = [reply("accepted", "psychologist", "shelter", number=1), reply("declined", "legal_aid", number=2)]
    partly = event("referral.reply_refused.v1", reply_id=str(UUID(int=1)), service_ids=[IDS["shelter"]])
    whole = event("referral.reply_refused.v1", reply_id=str(UUID(int=2)), service_ids=[])

    found = view([offered("psychologist", "shelter", "legal_aid")], replies, partly, whole)

    assert [one.requested.service.value for one in found.unanswered] == ["shelter", "legal_aid"]
    assert [one.services for one in found.refused] == [(Service.SHELTER,), ()]


def test_what_another_system_of_the_agency_accepted_is_answered() -> None:
    found = view([offered("psychologist"), event("referral.accepted.v1", "psychologist")])
    late = view(
        [
            offered("psychologist"),
            event("referral.accepted.v1", "psychologist"),
            event("referral.overdue.v1", "psychologist"),
        ]
    )

    assert (found.unanswered, late.unanswered) == ((), ())
    assert states(late) == {"psychologist": "referral.overdue.v1"}


def test_a_reply_that_the_city_has_recorded_is_no_longer_being_sent() -> None:
    events = [offered("psychologist")]
    sent = view(events, [reply("accepted", "psychologist")])
    recorded = view([*events, event("referral.accepted.v1", "psychologist")], [reply("accepted", "psychologist")])
    scheduled = view(
        [*events, event("referral.accepted.v1", "psychologist")],
        [reply("accepted", "psychologist"), reply("scheduled", "psychologist")],
    )

    assert [states(one)["psychologist"] for one in (sent, recorded, scheduled)] == [
        "reply.referral.accepted.v1",
        "referral.accepted.v1",
        "reply.referral.scheduled.v1",
    ]


def test_urgency_and_deadline_are_those_of_the_services_that_wait() -> None:
    soon, later = "2026-11-27T15:15:00Z", "2026-11-30T09:00:00Z"
    services = [
        requested("shelter", urgency="high", answer_by=soon),
        requested("legal_aid", urgency="low", answer_by=later),
    ]
    first = event("referral.offered.v1", services=services)

    assert (view([first]).urgency, view([first]).answer_by) == (
        Urgency.HIGH,
        datetime(2026, 11, 27, 15, 15, tzinfo=UTC),
    )
    answered = view([first], [reply("accepted", "shelter")])
    assert (answered.urgency, answered.answer_by.day) == (Urgency.HIGH, 30)
    ended = view([first, event("referral.completed.v1", "shelter")])
    assert (ended.urgency, ended.answer_by.day) == (Urgency.LOW, 30)


def test_a_withdrawn_consent_is_acknowledged_once_for_the_referral() -> None:
    events = [offered("psychologist", "shelter"), event("referral.consent_withdrawn.v1")]
    acknowledged = acknowledgement()

    assert view(events).must_acknowledge
    assert not view(events, [acknowledged]).must_acknowledge
    assert states(view(events)) == dict.fromkeys(("psychologist", "shelter"), "referral.offered.v1")


def acknowledgement(cause: str = "") -> TypedBody:
    body = {"id": str(UUID(int=9)), "data": {}} | ({"causationid": cause} if cause else {})
    return "reply.withdrawal.acknowledged.v1", json.dumps(body).encode()


def withdrawal(number: int, *services: str) -> TypedBody:
    wire_name, body = event("referral.consent_withdrawn.v1", *services)
    return wire_name, json.dumps({**json.loads(body), "id": str(UUID(int=number))}).encode()


def test_a_second_withdrawal_is_acknowledged_by_itself() -> None:
    events = [offered("psychologist", "shelter"), withdrawal(1, "psychologist"), withdrawal(2, "shelter")]

    both, second = view(events), view(events, [acknowledgement(str(UUID(int=1)))])

    assert [one.requested.service.value for one in both.withdrawn] == ["psychologist", "shelter"]
    assert [one.requested.service.value for one in second.withdrawn] == ["shelter"]
    # Who confirms the newest has seen those before it.
    assert (both.withdrawal_id, second.withdrawal_id) == (UUID(int=2), UUID(int=2))
    assert not view(events, [acknowledgement(str(UUID(int=2)))]).must_acknowledge
    # Earlier versions of the kit named no withdrawal.
    assert view(events, [acknowledgement()]).must_acknowledge
    assert not view(events, [acknowledgement(), acknowledgement()]).must_acknowledge


def test_an_acknowledgement_outside_a_handler_names_the_withdrawal() -> None:
    offer = ReferralOfferedV1.model_validate(SAMPLES["referral.offered.v1"])
    factory = ReplyFactory("dinsos-peksos", "/kediri/agency/dinsos-peksos", lambda _: "")
    later = Reply(offer, factory, now=datetime(2026, 11, 27, tzinfo=UTC), withdrawal_id=UUID(int=2))

    later.acknowledge_withdrawal()
    later.mark_seen()

    causes = [json.loads(draft.sign_with_sequence(1).body)["causationid"] for draft in later.drafts]
    assert causes == [str(UUID(int=2)), str(offer.id)]


def test_a_withdrawal_names_the_services_to_stop_and_the_others_are_served_on() -> None:
    letter = offered("case_management", "psychologist", "shelter")
    accepted = [reply("accepted", "case_management", "psychologist", "shelter")]
    purpose = event("referral.consent_withdrawn.v1", "psychologist")
    found = view([letter, purpose], accepted)

    assert [one.requested.service.value for one in found.withdrawn] == ["psychologist"]
    assert found.is_served_on
    assert states(found)["psychologist"] == "reply.referral.accepted.v1"
    # An event of the earlier contract names none.
    whole = view([letter, event("referral.consent_withdrawn.v1", services=[])], accepted)
    assert len(whole.withdrawn) == 3
    assert not whole.is_served_on
    ended = event("referral.completed.v1", "case_management", "shelter")
    assert not view([letter, ended, purpose], accepted).is_served_on


def earlier(wire_name: str, **data: Any) -> TypedBody:
    """An event of the contract before a referral had a list of services."""
    body = json.loads(json.dumps(SAMPLES[wire_name]))
    for name in ("services", "added", "urgency", "answer_by"):
        body["data"].pop(name, None)
    body["data"] |= {"referral_id": REFERRAL, **data}
    return wire_name, json.dumps(body).encode()


def test_a_referral_of_the_earlier_contract_is_read_as_one_with_one_service() -> None:
    offer = earlier(
        "referral.offered.v1", service="shelter", role="support", urgency="low", answer_by="2026-11-27T15:15:00Z"
    )
    amendment = earlier("referral.amended.v1", urgency="high", answer_by="2026-11-27T15:00:00Z")

    open_view = view([offer, amendment])
    ended = view([offer, amendment, earlier("referral.cancelled.v1")], [reply("accepted")])

    [only] = open_view.services
    assert (str(only.service_id), only.requested.service, only.requested.role) == (
        REFERRAL,
        Service.SHELTER,
        ReferralRole.SUPPORT,
    )
    assert (open_view.urgency, only.is_unanswered) == (Urgency.HIGH, True)
    assert states(ended) == {"shelter": "referral.cancelled.v1"}


@pytest.mark.parametrize("wire_name", sorted(LISTING))
def test_every_stored_event_of_the_earlier_contract_can_still_be_handled(wire_name: str) -> None:
    sample = SAMPLES[wire_name]
    [first, *_] = sample["data"]["services"]
    values = sample["data"] | {name: value for name, value in first.items() if not name.endswith("service_id")}
    _, body = earlier(wire_name, **{name: value for name, value in values.items() if name != "services"})
    message = message_class(wire_name)
    assert message is not None

    read = message.read(with_services(json.loads(body)))

    [only] = read.data.services  # type: ignore[attr-defined]  # every message class has data
    assert str(only.service_id) == json.loads(body)["data"]["referral_id"]


def test_an_event_with_a_list_of_services_is_read_as_it_is() -> None:
    for sample in SAMPLES.values():
        assert with_services(sample) is sample
