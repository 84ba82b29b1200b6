"""Signatures, sealed sections and keys."""

import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from simpul_seal import (
    SIGNATURE_HEADER,
    Directory,
    KeyRing,
    NotForUs,
    PublicKeys,
    SealError,
    SignatureInvalid,
    SignatureMissing,
    UnknownKey,
    WatchedDirectory,
    decrypt,
    encrypt,
    generate,
    open_section,
    seal_section,
    sign,
    signature_in,
    verify,
)
from simpul_seal.embedded import sign_again
from simpul_seal.encoding import decode, encode

NOW = datetime(2026, 11, 24, tzinfo=UTC)
YEAR = timedelta(days=365)
RING, PUBLIC = generate("routing", not_before=NOW, not_after=NOW + YEAR)
OTHER_RING, OTHER_PUBLIC = generate("ylpa", not_before=NOW, not_after=NOW + YEAR)
DIRECTORY = Directory([PUBLIC, OTHER_PUBLIC])
EVENT, CASE = uuid4(), uuid4()

BODY = b'{"type":"x","data":{"n":1}}'
FORGERIES = {
    "another body": (BODY + b" ", sign(BODY, RING)),
    "another signature": (BODY, sign(BODY + b" ", RING)),
    "another key id": (BODY, sign(BODY, RING).replace(RING.keyid, OTHER_RING.keyid)),
    "another scheme": (BODY, sign(BODY, RING).replace("v1 ", "v2 ")),
    "no scheme": (BODY, sign(BODY, RING).removeprefix("v1 ")),
    "half of it": (BODY, sign(BODY, RING)[:-1]),
    "more than it": (BODY, sign(BODY, RING) + "A"),
    "two of them": (BODY, f"{sign(BODY, RING)} {sign(BODY, RING)}"),
    "no base64url": (BODY, f"v1 {RING.keyid} {'§' * 86}"),
    "a line feed": (BODY, sign(BODY, RING) + "\n"),
    "another purpose": (BODY, sign(BODY, RING, domain="simpul-agreement-v1")),
    "no purpose": (BODY, f"v1 {RING.keyid} {encode(RING.signing.sign(BODY))}"),
    "words": (BODY, "unreadable"),
}


def test_signature_covers_the_domain_a_line_feed_and_the_raw_bytes() -> None:
    scheme, keyid, signature = sign(BODY, RING).split(" ")

    PUBLIC.signing.verify(decode(signature), b"simpul-event-v1\n" + BODY)
    assert (scheme, keyid) == ("v1", RING.keyid)


@given(st.binary())
def test_signed_bytes_name_their_signer_whatever_they_are(body: bytes) -> None:
    assert verify(body, sign(body, RING), DIRECTORY, NOW) == "routing"


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_signature_that_does_not_match_is_refused(forgery: str) -> None:
    with pytest.raises(SignatureInvalid):
        verify(*FORGERIES[forgery], DIRECTORY, NOW)


def test_a_body_without_a_signature_is_refused_as_such() -> None:
    with pytest.raises(SignatureMissing):
        verify(BODY, "", DIRECTORY, NOW)


@given(st.text())
def test_any_other_header_value_is_refused_with_the_same_error(value: str) -> None:
    with pytest.raises(SealError):
        verify(BODY, signature_in({SIGNATURE_HEADER: value}), DIRECTORY, NOW)


@pytest.mark.parametrize("value", ["é", "a\x00b", "half \ud800 pair", "v1 " * 200, b"v1", 7, {"v1": "x"}, ["v1"]])
def test_a_header_that_is_not_a_signature_can_still_be_stored(value: object) -> None:
    found = signature_in({SIGNATURE_HEADER: value})

    assert found.isascii()
    assert found.isprintable()
    assert 0 < len(found) <= 400


@pytest.mark.parametrize("moment", [NOW - timedelta(seconds=1), NOW + YEAR])
def test_key_is_unknown_outside_its_validity(moment: datetime) -> None:
    with pytest.raises(UnknownKey):
        verify(BODY, sign(BODY, RING), DIRECTORY, moment)


def test_an_event_with_an_embedded_signature_is_signed_again_over_the_same_bytes() -> None:
    inside = '{"id":"1","data":{"words":"é"},"keyid":"routing.old","signature":"AAAA"}'.encode()

    body, signature = sign_again(inside, RING)

    assert body == '{"id":"1","data":{"words":"é"}}'.encode()
    assert (body, signature) == sign_again(inside, RING) == sign_again(body, RING)
    assert verify(body, signature, DIRECTORY, NOW) == "routing"


def test_section_opens_for_its_recipient() -> None:
    sealed = seal_section(b"facts", PUBLIC, event_id=EVENT, case_id=CASE, section="triage")

    opened = open_section(sealed["ciphertext"], RING, event_id=EVENT, case_id=CASE, section="triage")

    assert opened == b"facts"


@pytest.mark.parametrize(
    ("ring", "event_id", "case_id", "section"),
    [
        (OTHER_RING, EVENT, CASE, "triage"),
        (RING, uuid4(), CASE, "triage"),
        (RING, EVENT, uuid4(), "triage"),
        (RING, EVENT, CASE, "identity"),
    ],
)
def test_section_opens_nowhere_else(ring: KeyRing, event_id: UUID, case_id: UUID, section: str) -> None:
    sealed = seal_section(b"facts", PUBLIC, event_id=EVENT, case_id=CASE, section="triage")

    with pytest.raises(NotForUs):
        open_section(sealed["ciphertext"], ring, event_id=event_id, case_id=case_id, section=section)


def test_newest_valid_key_of_a_party_is_current() -> None:
    _, newer = generate("routing", not_before=NOW + timedelta(days=1), not_after=NOW + YEAR)
    directory = Directory([PUBLIC, newer])

    assert directory.current("routing", NOW) is PUBLIC
    assert directory.current("routing", NOW + timedelta(days=2)) is newer


def test_private_keys_are_readable_by_their_owner_only_and_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "routing.key.json"
    RING.write(path)

    with pytest.raises(FileExistsError):
        OTHER_RING.write(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert KeyRing.read(path).keyid == RING.keyid


def test_private_keys_never_show_in_a_representation() -> None:
    assert "signing" not in repr(RING)


def test_a_directory_is_reloaded_unless_its_file_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "directory.json"
    Directory([PUBLIC]).write(path)
    watched = WatchedDirectory(path)
    with pytest.raises(UnknownKey):
        watched.current("ylpa", NOW)

    Directory([PUBLIC, OTHER_PUBLIC]).write(path)
    assert watched.current("ylpa", NOW) == OTHER_PUBLIC
    for broken in ("{", "[]", '{"keys": null}', '{"keys": [{"party": "x"}]}', path.read_text().replace("+00:00", "")):
        path.write_text(broken)
        assert watched.key(PUBLIC.keyid, NOW) == PUBLIC
    Directory([OTHER_PUBLIC]).write(path)
    with pytest.raises(UnknownKey):
        watched.key(PUBLIC.keyid, NOW)


def test_a_batch_reads_the_directory_of_its_start_and_the_next_batch_the_changed_one(tmp_path: Path) -> None:
    path = tmp_path / "directory.json"
    Directory([PUBLIC]).write(path)
    watched = WatchedDirectory(path)
    batch = watched.freeze()

    Directory([OTHER_PUBLIC]).write(path)

    assert batch.key(PUBLIC.keyid, NOW) == PUBLIC
    assert batch.freeze() is batch
    with pytest.raises(UnknownKey):
        watched.freeze().key(PUBLIC.keyid, NOW)


def test_a_ring_opens_what_was_sealed_to_the_previous_ring_and_signs_with_its_own_key(tmp_path: Path) -> None:
    next_ring, next_public = generate("ylpa", not_before=NOW, not_after=NOW + YEAR)
    sealed = seal_section(b"old", OTHER_PUBLIC, event_id=EVENT, case_id=CASE, section="facts")
    next_ring.with_older(OTHER_RING).write(tmp_path / "ring")

    ring = KeyRing.read(tmp_path / "ring")

    assert open_section(sealed["ciphertext"], ring, event_id=EVENT, case_id=CASE, section="facts") == b"old"
    assert verify(BODY, sign(BODY, ring), Directory([next_public]), NOW) == "ylpa"
    assert decrypt(encrypt(b"kept", OTHER_RING, associated_data="here"), ring, associated_data="here") == b"kept"
    with pytest.raises(NotForUs):
        open_section(sealed["ciphertext"], next_ring, event_id=EVENT, case_id=CASE, section="facts")


def test_a_fingerprint_identifies_the_keys() -> None:
    read = PublicKeys.from_json(PUBLIC.to_json())

    assert read.fingerprint == PUBLIC.fingerprint != OTHER_PUBLIC.fingerprint
    assert len(read.fingerprint.split(" ")) == 8


def test_a_weak_key_verifies_signatures_but_nothing_is_sealed_to_it() -> None:
    moment = datetime(2026, 11, 24, tzinfo=UTC)
    _, public = generate("ylpa", not_before=moment - timedelta(days=1), not_after=moment + timedelta(days=1))
    nowhere = replace(public, sealing=X25519PublicKey.from_public_bytes(bytes(32)))
    directory = Directory([nowhere])

    assert public.can_be_sealed_to
    assert not nowhere.can_be_sealed_to
    assert directory.valid_keys("ylpa", moment) == []
    assert directory.usable_until("ylpa", moment) is None
    assert directory.key(nowhere.keyid, moment) is nowhere
