"""Verification: the signature first, then the contract; every other outcome is a rejection."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpul_schema.envelope import MAX_EVENT_BYTES
from simpul_schema.vocabulary import ParkReason
from simpul_seal import Directory, EventIdentity, KeyRing, Rejection, VerifiedEvent, generate, sign, verification
from simpul_seal import verify_event as verify
from tests.support.signing import signed

NOW = datetime(2026, 11, 24, tzinfo=UTC)
YEAR = timedelta(days=365)
RING, PUBLIC = generate("notify", not_before=NOW - YEAR, not_after=NOW + YEAR)
OTHER_RING, OTHER_PUBLIC = generate("ylpa", not_before=NOW - YEAR, not_after=NOW + YEAR)
ENDED_RING, ENDED_PUBLIC = generate("notify", not_before=NOW - YEAR, not_after=NOW)
DIRECTORY = Directory([PUBLIC, OTHER_PUBLIC, ENDED_PUBLIC])


def an_event(**changes: Any) -> dict[str, Any]:
    referral = str(uuid4())
    return {
        "specversion": "1.0",
        "id": str(uuid4()),
        "source": "/kediri/notify",
        "type": "alert.sent.v1",
        "subject": f"referral/{referral}",
        "time": "2026-11-24T00:00:00Z",
        "datacontenttype": "application/json",
        "sequence": "0000000001",
        "correlationid": str(uuid4()),
        "data": {"alert_id": str(uuid4()), "referral_id": referral, "channel": "sms", "attempts": 1, "sealed": {}},
    } | changes


def verified(event: dict[str, Any], ring: KeyRing = RING) -> VerifiedEvent | Rejection:
    return verify(*signed(event, ring), DIRECTORY, NOW)


def rejected(event: dict[str, Any], ring: KeyRing = RING) -> Rejection:
    outcome = verified(event, ring)
    assert isinstance(outcome, Rejection)
    return outcome


def test_a_signed_event_comes_with_its_producer_bytes_and_signature() -> None:
    body, signature = signed(an_event(), RING)

    outcome = verify(body, signature, DIRECTORY, NOW)

    assert isinstance(outcome, VerifiedEvent)
    assert (outcome.event.type, outcome.producer.party) == ("alert.sent.v1", "notify")
    assert (outcome.body, outcome.signature) == (body, signature)


@pytest.mark.parametrize(
    ("changes", "reason", "is_known"),
    [
        ({"source": "/kediri/routing"}, ParkReason.FORGED, False),
        ({"source": 7}, ParkReason.MALFORMED, False),
        ({"source": "\ud800"}, ParkReason.MALFORMED, False),
        ({"type": "alert.sent.v9"}, ParkReason.UNKNOWN_TYPE, True),
        ({"type": 7}, ParkReason.MALFORMED, False),
        ({"type": "case.reported.v1"}, ParkReason.UNAUTHORIZED_PUBLISHER, True),
        ({"sequence": "1"}, ParkReason.INVALID, True),
        ({"data": {}}, ParkReason.INVALID, True),
    ],
)
def test_a_signed_message_that_cannot_be_used_is_rejected_with_its_identity(
    changes: dict[str, Any], reason: ParkReason, is_known: bool
) -> None:
    event = an_event(**changes)
    body = json.dumps(event).encode()

    outcome = verify(body, sign(body, RING), DIRECTORY, NOW)

    assert isinstance(outcome, Rejection)
    assert outcome.reason is reason
    identity = EventIdentity(*(str(event[name]) for name in ("source", "id", "subject", "sequence")))
    assert outcome.identity == (identity if is_known else None)


def test_an_agency_publishes_replies_and_nothing_else() -> None:
    event = an_event(source="/kediri/agency/ylpa")

    assert rejected(event, OTHER_RING).reason is ParkReason.UNAUTHORIZED_PUBLISHER


def test_a_detail_names_fields_and_repeats_no_value() -> None:
    event = an_event()
    event["data"]["attempts"] = "Wenthilora Paksibumi"

    assert rejected(event).detail == "data.attempts"


@pytest.mark.parametrize("ring", [ENDED_RING, generate("notify", not_before=NOW, not_after=NOW + YEAR)[0]])
def test_a_key_that_ended_or_was_never_enrolled_is_unknown(ring: KeyRing) -> None:
    assert rejected(an_event(), ring) == Rejection(ParkReason.UNKNOWN_KEY)


def test_a_body_that_is_too_large_is_rejected_before_its_signature_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    body = b"x" * (MAX_EVENT_BYTES + 1)
    monkeypatch.setattr(verification, "verify", pytest.fail)

    outcome = verify(body, "", DIRECTORY, NOW)

    assert isinstance(outcome, Rejection)
    assert outcome.reason is ParkReason.TOO_LARGE


POISON = {
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "huge number": b'{"type":"alert.sent.v1","id":' + b"9" * 100_000 + b"}",
    "a name twice": json.dumps(an_event()).encode()[:-1] + b',"type":"alert.failed.v1"}',
    "an event": json.dumps(an_event()).encode(),
}


@pytest.mark.parametrize(
    "signature",
    ["", "v2 x y", sign(b"other bytes", RING), sign(b"{}", ENDED_RING)],
    ids=["missing", "another scheme", "of other bytes", "by an ended key"],
)
@pytest.mark.parametrize("poison", POISON)
def test_nothing_is_parsed_before_the_signature_is_verified(
    poison: str, signature: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "read_json", pytest.fail)
    monkeypatch.setattr(json, "loads", pytest.fail)

    outcome = verify(POISON[poison], signature, DIRECTORY, NOW)

    assert isinstance(outcome, Rejection)
    assert outcome.reason in (ParkReason.UNSIGNED, ParkReason.FORGED, ParkReason.UNKNOWN_KEY)
    assert outcome.identity is None


@given(st.binary() | st.recursive(st.none() | st.floats() | st.text(), st.lists).map(lambda v: json.dumps(v).encode()))
def test_any_bytes_that_an_enrolled_party_signs_are_an_event_or_rejected(body: bytes) -> None:
    assert isinstance(verify(body, sign(body, RING), DIRECTORY, NOW), Rejection)


@given(st.dictionaries(st.sampled_from(sorted(an_event())), st.none() | st.integers() | st.text() | st.just({})))
def test_any_value_of_an_attribute_makes_an_event_or_a_rejection(changes: dict[str, Any]) -> None:
    body = json.dumps(an_event() | changes).encode()

    outcome = verify(body, sign(body, RING), DIRECTORY, NOW)

    assert isinstance(outcome, VerifiedEvent | Rejection)
    if isinstance(outcome, Rejection) and outcome.identity:
        # It can be stored and indexed.
        assert all("\0" not in value and len(value) <= 200 for value in vars(outcome.identity).values())
        assert all(value.encode() is not None for value in vars(outcome.identity).values())
