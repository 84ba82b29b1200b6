"""An agency reads only events that the city signed and sealed to it."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from simpul_agency.command.listen import describe_event
from simpul_agency.connectors.event_document import event_document, flat_rows, service_rows
from simpul_agency.event_reader import EventReader, UnusableMessage
from simpul_agency.received_event import ReceivedEvent
from simpul_agency.reply import Reply
from simpul_agency.reply_factory import ReplyFactory
from simpul_cli.contract_keys import NOW as CONTRACT_NOW
from simpul_cli.contract_keys import sample_directory, sample_ring
from simpul_schema import message_class
from simpul_schema.samples import samples, signatures
from simpul_schema.vocabulary import DeclineReason, ParkReason
from simpul_seal import Directory, generate, seal_section
from tests.support.signing import signed

NOW = datetime(2026, 11, 27, 15, 0, tzinfo=UTC)


def test_the_case_manager_reads_the_proposed_plan_and_its_software_receives_it() -> None:
    name, body = next((file, body) for wire, file, body in samples() if wire == "referral.plan_proposed.v1")
    reader = EventReader("uptd-ppa", sample_ring("uptd-ppa"), sample_directory())

    received = reader.open_sections(reader.verify(body, signatures()[name], CONTRACT_NOW))

    assert received.proposed_plan is not None
    assert [one.service.value for one in received.proposed_plan.services] == ["psychologist", "legal_aid"]
    document = event_document(received)["data"]
    assert document["plan"]["services"][1]["agency"] == "ylpa"
    assert "sealed" not in document
    assert "psychologist" not in repr(received)


def test_only_the_addressed_agency_reads_the_suggested_exclusions() -> None:
    (routing, routing_keys), (hub, hub_keys), (other, other_keys) = (
        generate(party, not_before=NOW - timedelta(days=1), not_after=NOW + timedelta(days=1))
        for party in ("routing", "uptd-ppa", "ylpa")
    )
    directory = Directory([routing_keys, hub_keys, other_keys])
    event_id, case_id, referral_id = uuid4(), uuid4(), uuid4()
    sealed = seal_section(
        json.dumps({"agencies": ["satgas-kel-bujel"]}).encode(),
        hub_keys,
        event_id=event_id,
        case_id=case_id,
        section="suggestions",
    )
    event = {
        "specversion": "1.0",
        "id": str(event_id),
        "source": "/kediri/routing",
        "datacontenttype": "application/json",
        "type": "referral.exclusion_suggested.v1",
        "subject": f"referral/{referral_id}",
        "sequence": "0000000001",
        "time": NOW.isoformat(),
        "correlationid": str(case_id),
        "data": {
            "referral_id": str(referral_id),
            "case_id": str(case_id),
            "agency": "uptd-ppa",
            "urgency": "high",
            "decide_by": NOW.isoformat(),
            "suggestion_count": 1,
            "step": 0,
            "escalation_targets": ["uptd-ppa"],
            "sealed": {"suggestions": sealed},
        },
    }
    body, signature = signed(event, routing)

    reader = EventReader("uptd-ppa", hub, directory)
    received = reader.open_sections(reader.verify(body, signature, NOW))

    assert received.suggested_exclusions == ("satgas-kel-bujel",)
    assert received.facts is None
    assert received.code.startswith("R-")
    assert event_document(received)["data"]["suggested_exclusions"] == ["satgas-kel-bujel"]
    assert b"satgas" not in body
    assert "satgas" not in repr(received)
    stranger = EventReader("uptd-ppa", other, directory)
    with pytest.raises(UnusableMessage) as refusal:
        stranger.open_sections(stranger.verify(body, signature, NOW))
    assert refusal.value.reason is ParkReason.CANNOT_OPEN


@pytest.mark.parametrize(("wire_name", "body"), [(name, body) for name, _, body in samples()])
def test_every_event_can_be_answered_and_shown(wire_name: str, body: bytes) -> None:
    if not wire_name.startswith("referral."):
        return
    message = message_class(wire_name)
    assert message is not None
    received = ReceivedEvent(message.read_json(body))
    reply = Reply(received.event, ReplyFactory("ylpa", "/kediri/agency/ylpa", lambda _: ""), now=NOW)

    reply.accept()
    reply.decline(DeclineReason.NO_CAPACITY)

    listed = json.loads(body)["data"].get("services")
    count = len(listed) if isinstance(listed, list) else 0
    assert len(service_rows(received)) == count
    assert len(flat_rows(received)) == max(count, 1)
    assert wire_name in describe_event(received)


def test_a_stored_event_is_read_after_its_key_has_ended() -> None:
    routing, routing_keys = generate("routing", not_before=NOW - timedelta(days=1), not_after=NOW + timedelta(days=1))
    agency, _ = generate("dinsos-peksos", not_before=NOW, not_after=NOW + timedelta(days=1))
    offer = json.loads(next(body for name, _, body in samples() if name == "referral.offered.v1"))
    offer["data"] |= {"agency": "dinsos-peksos", "sealed": {}}
    body, signature = signed(offer, routing)
    reader = EventReader("dinsos-peksos", agency, Directory([routing_keys]))
    later = NOW + timedelta(days=2)

    assert reader.verify(body, signature, NOW) == reader.read_stored(body)
    refusals: tuple[tuple[Callable[[], object], ParkReason], ...] = (
        (lambda: reader.verify(body, signature, later), ParkReason.UNKNOWN_KEY),
        (lambda: reader.verify(body, "", NOW), ParkReason.UNSIGNED),
        (
            lambda: EventReader("ylpa", agency, Directory([routing_keys])).read_stored(body),
            ParkReason.FOR_ANOTHER_AGENCY,
        ),
        (lambda: reader.read_stored(body.replace(b"offered.v1", b"offered.v9")), ParkReason.UNKNOWN_TYPE),
        (lambda: reader.read_stored(body.replace(b'"answer_by"', b'"other"')), ParkReason.INVALID),
    )
    for read, reason in refusals:
        with pytest.raises(UnusableMessage) as refusal:
            read()
        assert refusal.value.reason is reason
