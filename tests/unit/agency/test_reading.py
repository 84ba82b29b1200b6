"""What an agency gets to read of a request to decide about suggested exclusions."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from simpul_agency.handoff.document import document
from simpul_agency.reading import NotReadable, Reader
from simpul_schema.samples import samples
from simpul_schema.vocabulary import ParkReason
from simpul_seal import Directory, generate, seal_section
from tests.support.signing import signed

NOW = datetime(2026, 11, 27, 15, 0, tzinfo=UTC)


def test_who_is_asked_reads_which_agencies_wait_and_nobody_else_does() -> None:
    (routing, routing_keys), (hub, hub_keys), (other, other_keys) = (
        generate(party, not_before=NOW - timedelta(days=1), not_after=NOW + timedelta(days=1))
        for party in ("routing", "uptd-ppa", "ylpa")
    )
    directory = Directory([routing_keys, hub_keys, other_keys])
    event_id, case_id, referral_id = uuid4(), uuid4(), uuid4()
    sealed = seal_section(
        json.dumps({"agencies": ["satgas-kel-bujel"]}).encode(), hub_keys, event_id=event_id, case_id=case_id,
        section="suggestions",
    )  # fmt: skip
    event = {
        "specversion": "1.0", "id": str(event_id), "source": "/kediri/routing", "datacontenttype": "application/json",
        "type": "referral.exclusion_suggested.v1", "subject": f"referral/{referral_id}", "sequence": "0000000001",
        "time": NOW.isoformat(), "correlationid": str(case_id),
        "data": {
            "referral_id": str(referral_id), "case_id": str(case_id), "agency": "uptd-ppa", "urgency": "high",
            "decide_by": NOW.isoformat(), "suggestions": 1, "step": 0, "escalation_targets": ["uptd-ppa"],
            "sealed": {"suggestions": sealed},
        },
    }  # fmt: skip
    body, signature = signed(event, routing)

    reader = Reader("uptd-ppa", hub, directory)
    received = reader.opened(reader.verified(body, signature, NOW))

    assert received.suggested_exclusions == ("satgas-kel-bujel",)
    assert received.facts is None
    assert received.code.startswith("R-")
    assert document(received)["data"]["suggested_exclusions"] == ["satgas-kel-bujel"]
    assert b"satgas" not in body
    assert "satgas" not in repr(received)
    stranger = Reader("uptd-ppa", other, directory)
    with pytest.raises(NotReadable) as refusal:
        stranger.opened(stranger.verified(body, signature, NOW))
    assert refusal.value.reason is ParkReason.CANNOT_OPEN


def test_an_event_of_the_store_is_opened_although_its_key_has_ended_and_nothing_else_is_believed() -> None:
    routing, routing_keys = generate("routing", not_before=NOW - timedelta(days=1), not_after=NOW + timedelta(days=1))
    agency, _ = generate("dinsos-peksos", not_before=NOW, not_after=NOW + timedelta(days=1))
    offer = json.loads(next(body for name, _, body in samples() if name == "referral.offered.v1"))
    offer["data"] |= {"agency": "dinsos-peksos", "sealed": {}}
    body, signature = signed(offer, routing)
    reader = Reader("dinsos-peksos", agency, Directory([routing_keys]))
    later = NOW + timedelta(days=2)

    assert reader.verified(body, signature, NOW) == reader.stored(body)
    refusals: tuple[tuple[Callable[[], object], ParkReason], ...] = (
        (lambda: reader.verified(body, signature, later), ParkReason.UNKNOWN_KEY),
        (lambda: reader.verified(body, "", NOW), ParkReason.UNSIGNED),
        (lambda: Reader("ylpa", agency, Directory([routing_keys])).stored(body), ParkReason.FOR_ANOTHER_AGENCY),
        (lambda: reader.stored(body.replace(b"offered.v1", b"offered.v9")), ParkReason.UNKNOWN_TYPE),
        (lambda: reader.stored(body.replace(b'"answer_by"', b'"other"')), ParkReason.INVALID),
    )
    for refused, why in refusals:
        with pytest.raises(NotReadable) as refusal:
            refused()
        assert refusal.value.reason is why
