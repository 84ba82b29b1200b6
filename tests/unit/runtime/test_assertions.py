"""An assertion names one request, ends after a minute, and counts only when an enrolled key signed it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from simpul_runtime.assertions import (
    DOMAIN,
    LIFETIME,
    MAX_CLOCK_SKEW,
    SCHEME,
    AssertionFault,
    AssertionInvalid,
    HttpRequest,
    Verified,
    assert_actor,
    verify_assertion,
)
from simpul_schema.vocabulary import ActorRole
from simpul_seal import Directory, generate, sign
from simpul_seal.encoding import encode

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
RING, PUBLIC = generate("desk", not_before=NOW - timedelta(days=1), not_after=NOW + timedelta(days=1))
OTHER_RING, _ = generate("desk", not_before=NOW - timedelta(days=1), not_after=NOW + timedelta(days=1))
DIRECTORY = Directory([PUBLIC])
PERSON = uuid4()
CLOSING = HttpRequest("POST", "/cases/1/close?x=1", b'{"end": "closed"}')


def assertion(request: HttpRequest = CLOSING, now: datetime = NOW, audience: str = "routing") -> str:
    return assert_actor(
        request, RING, now, audience=audience, person=PERSON, agency="uptd-ppa", role=ActorRole.COORDINATOR
    )


def verified(header: str, request: HttpRequest = CLOSING, now: datetime = NOW) -> Verified:
    return verify_assertion(header, request, "routing", lambda _: DIRECTORY, now)


def fault_of(header: str, request: HttpRequest = CLOSING, now: datetime = NOW) -> AssertionFault:
    with pytest.raises(AssertionInvalid) as error:
        verified(header, request, now)
    return error.value.fault


def test_an_assertion_says_who_acts_for_whom_and_who_signed() -> None:
    found = verified(assertion())

    assert (found.issuer, found.keyid) == ("desk", RING.keyid)
    assert (found.claims.person, found.claims.agency, found.claims.role) == (PERSON, "uptd-ppa", ActorRole.COORDINATOR)


@pytest.mark.parametrize(
    "other",
    [
        replace(CLOSING, method="PUT"),
        replace(CLOSING, target="/cases/2/close?x=1"),
        replace(CLOSING, target="/cases/1/close"),
        replace(CLOSING, body=b'{"end": "completed"}'),
        replace(CLOSING, body=b""),
    ],
)
def test_an_assertion_cannot_be_replayed_on_another_request(other: HttpRequest) -> None:
    assert fault_of(assertion(), other) is AssertionFault.OTHER_REQUEST


def test_an_assertion_ends_after_a_minute_and_is_not_valid_before_it_was_made() -> None:
    assert verified(assertion(), now=NOW + LIFETIME - timedelta(microseconds=1))
    assert fault_of(assertion(), now=NOW + LIFETIME) is AssertionFault.EXPIRED
    assert verified(assertion(), now=NOW - MAX_CLOCK_SKEW)
    assert fault_of(assertion(), now=NOW - MAX_CLOCK_SKEW - timedelta(seconds=1)) is AssertionFault.NOT_YET_VALID


def test_a_sender_cannot_make_an_assertion_live_longer() -> None:
    claims = verified(assertion()).claims.model_copy(update={"expires_at": NOW + timedelta(days=1)})
    body = claims.model_dump_json().encode()
    header = f"{SCHEME} {encode(body)} {sign(body, RING, domain=DOMAIN)}"

    assert fault_of(header, now=NOW + LIFETIME) is AssertionFault.EXPIRED


def test_an_assertion_for_another_service_is_refused() -> None:
    assert fault_of(assertion(audience="intake")) is AssertionFault.OTHER_AUDIENCE


def test_every_changed_character_is_refused() -> None:
    header = assertion()
    for position, character in enumerate(header):
        changed = header[:position] + ("A" if character != "A" else "B") + header[position + 1 :]
        # The scheme is not signed, and the last bits of base64 may stand for nothing.
        if changed.split(" ")[1:] != header.split(" ")[1:] and position < len(header) - 1:
            assert fault_of(changed) in (AssertionFault.FORGED, AssertionFault.UNKNOWN_KEY, AssertionFault.UNREADABLE)


def test_the_signature_of_an_event_and_an_unknown_key_are_refused() -> None:
    body = verified(assertion()).claims.model_dump_json().encode()

    assert fault_of(f"{SCHEME} {encode(body)} {sign(body, RING)}") is AssertionFault.FORGED
    assert fault_of(f"{SCHEME} {encode(body)} {sign(body, OTHER_RING, domain=DOMAIN)}") is AssertionFault.UNKNOWN_KEY


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        ("", AssertionFault.MISSING),
        ("Bearer secret", AssertionFault.UNREADABLE),
        ("Simpul", AssertionFault.UNREADABLE),
        ("Simpul é v1 key signature", AssertionFault.UNREADABLE),
        (f"Simpul e30 {sign(b'{}', RING, domain=DOMAIN)}", AssertionFault.UNREADABLE),
        ("Simpul " + "A" * 5000 + " v1 key signature", AssertionFault.UNREADABLE),
    ],
    ids=["missing", "another scheme", "scheme alone", "not ASCII", "no claims", "too long"],
)
def test_other_headers_are_refused(header: str, fault: AssertionFault) -> None:
    assert fault_of(header) is fault
