"""Signatures and sealed sections do what the agencies rely on."""

import json
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from simpul_seal import (
    Directory,
    KeyRing,
    NotCanonical,
    NotForUs,
    PublicKeys,
    SignatureInvalid,
    UnknownKey,
    WatchedDirectory,
    canonical,
    generate,
    lock,
    open_section,
    seal_section,
    sign,
    unlock,
    verify,
)

NOW = datetime(2026, 11, 24, tzinfo=UTC)
YEAR = timedelta(days=365)
RING, PUBLIC = generate("routing", not_before=NOW, not_after=NOW + YEAR)
OTHER_RING, OTHER_PUBLIC = generate("ylpa", not_before=NOW, not_after=NOW + YEAR)
DIRECTORY = Directory([PUBLIC, OTHER_PUBLIC])
EVENT, CASE = uuid4(), uuid4()

_texts = st.text(st.characters(exclude_categories=["Cs"]))
_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | _texts,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(max_codepoint=127)), inner),
)


@given(_values)
def test_canonical_form_is_that_of_an_independent_implementation(value: Any) -> None:
    assert rfc8785.dumps(value) == canonical(value)


@pytest.mark.parametrize("value", [1.5, 2**60, {"ключ": 1}, {"a": object()}])
def test_value_without_canonical_form_is_refused(value: Any) -> None:
    with pytest.raises(NotCanonical):
        canonical(value)


def test_signed_event_names_its_signer() -> None:
    event = json.loads(sign({"type": "x", "data": {"n": 1}}, RING))

    assert verify(event, DIRECTORY, NOW) == "routing"


@pytest.mark.parametrize(
    "forgery",
    [
        {"type": "y"},
        {"added": 1},
        {"signature": ""},
        {"signature": "AAAA"},
        {"signature": "§"},
        {"keyid": OTHER_RING.keyid},
    ],
)
def test_altered_event_is_refused(forgery: dict[str, Any]) -> None:
    event = json.loads(sign({"type": "x"}, RING)) | forgery

    with pytest.raises(SignatureInvalid):
        verify(event, DIRECTORY, NOW)


@pytest.mark.parametrize("moment", [NOW - timedelta(seconds=1), NOW + YEAR])
def test_key_is_unknown_outside_its_validity(moment: datetime) -> None:
    event = json.loads(sign({"type": "x"}, RING))

    with pytest.raises(UnknownKey):
        verify(event, DIRECTORY, moment)


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


def test_a_directory_follows_its_file_and_stays_as_it_was_while_that_is_broken(tmp_path: Path) -> None:
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


def test_a_ring_opens_what_was_sealed_to_the_one_before_it_and_signs_as_itself(tmp_path: Path) -> None:
    next_ring, next_public = generate("ylpa", not_before=NOW, not_after=NOW + YEAR)
    sealed = seal_section(b"old", OTHER_PUBLIC, event_id=EVENT, case_id=CASE, section="facts")
    next_ring.succeeding(OTHER_RING).write(tmp_path / "ring")

    ring = KeyRing.read(tmp_path / "ring")

    assert open_section(sealed["ciphertext"], ring, event_id=EVENT, case_id=CASE, section="facts") == b"old"
    assert verify(json.loads(sign({"a": "b"}, ring)), Directory([next_public]), NOW) == "ylpa"
    assert unlock(lock(b"kept", OTHER_RING, place="here"), ring, place="here") == b"kept"
    with pytest.raises(NotForUs):
        open_section(sealed["ciphertext"], next_ring, event_id=EVENT, case_id=CASE, section="facts")


def test_a_fingerprint_is_the_same_for_the_same_keys_alone() -> None:
    read = PublicKeys.read(PUBLIC.described())

    assert read.fingerprint == PUBLIC.fingerprint != OTHER_PUBLIC.fingerprint
    assert len(read.fingerprint.split(" ")) == 8


def test_a_key_to_which_nothing_can_be_sealed_is_none_but_still_tells_who_signed() -> None:
    moment = datetime(2026, 11, 24, tzinfo=UTC)
    _, public = generate("ylpa", not_before=moment - timedelta(days=1), not_after=moment + timedelta(days=1))
    nowhere = replace(public, sealing=X25519PublicKey.from_public_bytes(bytes(32)))
    directory = Directory([nowhere])

    assert public.can_be_sealed_to
    assert not nowhere.can_be_sealed_to
    assert directory.valid_keys("ylpa", moment) == []
    assert directory.usable_until("ylpa", moment) is None
    assert directory.key(nowhere.keyid, moment) is nowhere
