"""A version decides only when it is proven, signed and active; anything else never replaces the running one."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from simpul_agreement import AgreementMissing, Versions, check, read_agreement
from simpul_agreement.document.contents import Form, contents
from simpul_agreement.versions import (
    SignatureRefused,
    State,
    sign_version,
    signatories,
    standing_of,
    store_signature,
    text_of,
)
from simpul_runtime.logging import redact
from simpul_seal import Directory, KeyRing, generate, sign_agreement
from simpul_seal import sign as sign_event
from tests.agreement.conftest import Edit
from tests.support.agreements import CITY, kediri

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SIGNERS = signatories(kediri(), CITY)
PAIRS = [generate(party, not_before=NOW - timedelta(days=1), not_after=NOW + timedelta(days=1)) for party in SIGNERS]
RINGS = [ring for ring, _ in PAIRS]
DIRECTORY = Directory([public for _, public in PAIRS])


def sign(version: Path, rings: list[KeyRing] = RINGS) -> None:
    for ring in rings:
        sign_version(version, ring, NOW)


def prove(version: Path) -> None:
    """Runs every check but the provers, whose answers about these clauses test_kediri.py compares."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(check, "prove", lambda *_: ([], set()))
        proof = check.check_version(version, CITY).proof
    assert proof is not None
    proof.write(version)


def standing(version: Path, now: datetime = NOW) -> tuple[State, tuple[str, ...]]:
    found = standing_of(version, read_agreement(version, CITY), CITY, DIRECTORY, now)
    return found.state, found.lacking


def versions(version: Path, now: datetime = NOW) -> Versions:
    found = Versions(version.parent, CITY, DIRECTORY)
    found.read(now)
    return found


def test_the_task_forces_of_the_kecamatan_sign_for_their_kelurahan() -> None:
    assert len(SIGNERS) == 6 + 3


def test_a_version_goes_from_draft_to_active(version: Path) -> None:
    (version / "proof.json").unlink()
    seen = [standing(version)[0]]
    prove(version)
    seen.append(standing(version)[0])
    sign(version)
    seen += [standing(version, kediri().active_from - timedelta(hours=1))[0], standing(version)[0]]

    assert seen == [State.DRAFT, State.PROVEN, State.SIGNED, State.ACTIVE]


def test_a_missing_signature_is_named(version: Path) -> None:
    sign(version, RINGS[1:])

    assert standing(version) == (State.PROVEN, (f"signature of {SIGNERS[0]}",))


def test_the_number_of_signatures_is_known_from_the_first_draft(version: Path) -> None:
    def count(directory: Directory = DIRECTORY) -> tuple[int, int]:
        found = standing_of(version, read_agreement(version, CITY), CITY, directory, NOW)
        return found.signed, found.needed

    sign(version, RINGS[2:])
    proven = count()
    (version / "proof.json").unlink()

    assert (proven, count()) == ((7, 9), (0, 9))


@pytest.mark.parametrize(
    "signed",
    [
        {"version": "2026-11", "digest": "0" * 64, "party": SIGNERS[0], "signed_at": NOW.isoformat()},
        {"party": SIGNERS[0]},
        "nothing",
    ],
)
def test_a_signature_under_another_text_or_none_does_not_count(version: Path, signed: object) -> None:
    sign(version)
    (version / "signatures" / f"{SIGNERS[0]}.json").write_text(json.dumps(signed))

    assert standing(version)[0] is State.PROVEN


def test_a_signature_of_an_older_form_is_named_with_what_to_do(version: Path) -> None:
    sign(version)
    path = version / "signatures" / f"{SIGNERS[0]}.json"
    older = json.loads(json.loads(path.read_text())["signed"]) | {"keyid": RINGS[0].keyid, "signature": "A" * 86}
    path.write_text(json.dumps(older))

    assert standing(version) == (
        State.PROVEN,
        (f"signature of {SIGNERS[0]} (in the form of an older version: sign again)",),
    )


def test_a_signature_that_was_made_for_an_event_does_not_count(version: Path) -> None:
    sign(version)
    path = version / "signatures" / f"{SIGNERS[0]}.json"
    text = json.loads(path.read_text())["signed"]
    path.write_text(json.dumps({"signed": text, "signature": sign_event(text.encode(), RINGS[0])}))

    assert standing(version)[0] is State.PROVEN


def test_a_signature_stays_valid_when_the_key_is_replaced_later(version: Path) -> None:
    sign(version)

    assert standing(version, NOW + timedelta(days=400))[0] is State.ACTIVE


def test_text_changed_after_its_proof_is_a_draft_again(version: Path, edit: Edit) -> None:
    sign(version)
    edit("clauses/80-escalation-retention.yaml", "years: 5", "years: 6")

    state, lacking = standing(version)

    assert state is State.DRAFT
    assert "the proof is of another text" in lacking[0]


def test_routing_refuses_what_is_not_proven_or_not_signed(version: Path) -> None:
    with pytest.raises(AgreementMissing, match="proven, signed and active"):
        versions(version).active(NOW)


def test_routing_takes_a_signed_version_from_its_instant(version: Path) -> None:
    sign(version)
    found = versions(version, kediri().active_from - timedelta(days=1))

    with pytest.raises(AgreementMissing):
        found.active(kediri().active_from - timedelta(seconds=1))
    assert found.active(kediri().active_from).agreement.version == "2026-11"


def test_a_bad_new_version_leaves_the_running_one_in_force(version: Path, edit: Edit) -> None:
    sign(version)
    found = versions(version)
    running = found.active(NOW)
    edit("clauses/80-escalation-retention.yaml", "years: 5", "years: 6")
    found.read(NOW)

    assert found.active(NOW) is running

    # Also when it is proven and signed again: running cases keep the text they began with.
    prove_without_scenarios(version, edit)
    found.read(NOW)
    assert found.active(NOW) is running


def prove_without_scenarios(version: Path, edit: Edit) -> None:
    edit("scenarios.yaml", "identity: 5", "identity: 6")
    prove(version)
    sign(version)


def test_a_next_version_takes_over_and_the_old_one_stays_for_its_cases(version: Path, edit: Edit) -> None:
    sign(version)
    found = versions(version)
    next_version = Path(shutil.copytree(version, version.parent / "2026-12"))
    head = next_version / "agreement.yaml"
    head.write_text(
        head.read_text().replace('version: "2026-11"', 'version: "2026-12"').replace("2026-11-24T", "2026-12-01T")
    )
    prove(next_version)
    sign(next_version)
    found.read(NOW)

    assert found.active(NOW).agreement.version == "2026-11"
    assert found.active(datetime(2026, 12, 2, tzinfo=UTC)).agreement.version == "2026-12"
    assert found.of("2026-11").agreement.version == "2026-11"


def test_cases_of_a_version_that_is_not_loaded_follow_the_active_one(version: Path) -> None:
    sign(version)
    found = versions(version)

    with capture_logs() as logs:
        assert [found.of("2025-01"), found.of("2025-01")] == [found.active(NOW)] * 2

    assert [(entry["event"], entry["version"]) for entry in logs] == [("agreement_of_running_cases_missing", "2025-01")]


HUB = RINGS[SIGNERS.index("uptd-ppa")]


def declare_interim(version: Path, ring: KeyRing = HUB) -> None:
    sign(version, [HUB])
    sign_version(version, ring, NOW, is_interim=True)


def test_the_hub_alone_lets_a_version_decide_as_interim(version: Path) -> None:
    declare_interim(version)
    found = standing_of(version, read_agreement(version, CITY), CITY, DIRECTORY, NOW)
    deciding = versions(version)

    assert (found.state, found.signed, found.needed) == (State.INTERIM, 1, 9)
    assert set(found.unsigned_by) == {*SIGNERS} - {HUB.party}
    assert deciding.active(NOW).agreement.version == "2026-11"
    [warning] = deciding.find_warnings(NOW)
    assert warning.startswith("the agreement 2026-11 is interim, signed by the hub alone; unsigned by polres-ppa")


def test_an_interim_version_becomes_active_with_the_last_signature(version: Path) -> None:
    declare_interim(version)
    deciding = versions(version)
    before = deciding.find_warnings(NOW)
    sign(version)
    deciding.read(NOW)

    assert standing(version)[0] is State.ACTIVE
    assert (len(before), deciding.find_warnings(NOW)) == (1, [])


def test_an_interim_version_never_displaces_one_that_all_have_signed(version: Path) -> None:
    sign(version)
    newer = version.parent / "2026-12"
    shutil.copytree(version, newer)
    shutil.rmtree(newer / "signatures")
    text = (newer / "agreement.yaml").read_text().replace("2026-11", "2026-12", 1)
    (newer / "agreement.yaml").write_text(text.replace("active_from: 2026-11-2", "active_from: 2026-11-1"))
    prove(newer)
    declare_interim(newer)

    deciding = versions(version)

    assert standing_of(newer, read_agreement(newer, CITY), CITY, DIRECTORY, NOW).state is State.INTERIM
    assert deciding.active(NOW).agreement.version == "2026-11"
    assert deciding.find_warnings(NOW) == []


def test_only_the_hub_may_declare_and_only_for_the_present_proof(version: Path) -> None:
    declare_interim(version, RINGS[0])
    by_another = standing(version)[0]
    declare_interim(version)
    proof = version / "proof.json"
    proof.write_text(json.dumps(json.loads(proof.read_text())))

    assert (by_another, standing(version)[0]) == (State.PROVEN, State.PROVEN)


def test_a_signature_and_an_interim_declaration_never_pass_for_each_other(version: Path) -> None:
    sign(version, [HUB])
    folder = version / "signatures"
    shutil.copy(folder / f"{HUB.party}.json", folder / "interim.json")
    renamed = standing(version)[0]
    declare_interim(version)
    shutil.copy(folder / "interim.json", folder / f"{HUB.party}.json")
    found = standing_of(version, read_agreement(version, CITY), CITY, DIRECTORY, NOW)

    assert renamed is State.PROVEN
    assert (found.state, found.signed) == (State.INTERIM, 0)


def test_a_sent_signature_is_stored_only_if_it_counts(version: Path) -> None:
    agreement = read_agreement(version, CITY)
    good = sign_agreement(text_of(version), RINGS[0], NOW)
    stranger, _ = generate("nobody", not_before=NOW, not_after=NOW + timedelta(days=1))
    refused = ["{}", sign_agreement(text_of(version), stranger, NOW), good.replace("polres-ppa", "ylpa")]

    stored = store_signature(version, good, agreement, CITY, DIRECTORY)
    for content in refused:
        with pytest.raises(SignatureRefused):
            store_signature(version, content, agreement, CITY, DIRECTORY)

    assert stored.name == f"{SIGNERS[0]}.json"
    assert [path.name for path in (version / "signatures").iterdir()] == [stored.name]


def test_every_page_of_an_interim_document_says_so(version: Path) -> None:
    declare_interim(version)
    agreement = read_agreement(version, CITY)
    marked = {language: contents(version, agreement, CITY, language, Form.AGREEMENT) for language in ("id", "en")}
    decree = contents(version, agreement, CITY, "en", Form.DECREE)
    sign(version)

    assert marked["en"]["draft"] == "INTERIM"
    assert marked["en"]["draft_line"].startswith("INTERIM: interim, signed by the hub alone; missing signatures: 8; ")
    assert marked["id"]["draft_line"].startswith("SEMENTARA: sementara, hanya ditandatangani oleh hub")
    assert "Unit PPA Satreskrim" in marked["en"]["open"][0]["details"][0]
    assert decree["draft"] == "DRAFT"
    assert contents(version, agreement, CITY, "en", Form.AGREEMENT)["draft"] == "DRAFT"


def refusals(version: Path) -> list[dict[str, object]]:
    """What a service's log shows of the refusals of a version."""
    with capture_logs() as logs:
        versions(version)
    shown = [dict(redact(None, "", entry)) for entry in logs]
    return [{key: value for key, value in entry.items() if key not in ("log_level", "version")} for entry in shown]


def test_a_refusal_is_logged_in_codes_that_name_the_missing_parties(version: Path, edit: Edit) -> None:
    sign(version, RINGS[2:])

    unsigned = refusals(version)
    edit("clauses/80-escalation-retention.yaml", "years: 5", "years: 6")
    unproven = refusals(version)
    (version / "agreement.yaml").write_bytes(b"\xff\xfe")
    [unreadable] = refusals(version)

    assert unsigned == [
        {"event": "agreement_refused", "reason": "not_signed", "state": "proven", "count": 2},
        *({"event": "agreement_signature_missing", "party": party} for party in SIGNERS[:2]),
    ]
    assert unproven == [{"event": "agreement_refused", "reason": "not_proven", "state": "draft", "count": 0}]
    assert (unreadable["event"], "[redacted]" in unreadable.values()) == ("agreement_refused", False)


def test_an_unreadable_folder_does_not_block_other_versions(version: Path) -> None:
    sign(version)
    for number, content in enumerate((b"\xff\xfe", b"a: [", b"version: 1\0", b"[]", b"")):
        broken = version.parent / f"2027-0{number + 1}"
        broken.mkdir()
        (broken / "agreement.yaml").write_bytes(content)

    assert versions(version).active(NOW).agreement.version == "2026-11"


@pytest.mark.parametrize(
    "change",
    [
        {"properties": []},
        {"provers": ["bitset"]},
        {"clauses": 1},
        {"situations": 1},
        {"version": "2026-12"},
        {"digest": "0" * 64},
    ],
)
def test_a_proof_of_less_than_everything_does_not_count(version: Path, change: dict[str, object]) -> None:
    sign(version)
    path = version / "proof.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))

    assert standing(version)[0] is State.DRAFT


def test_a_signature_covers_the_proof_too(version: Path) -> None:
    sign(version)
    path = version / "proof.json"
    path.write_text(json.dumps(json.loads(path.read_text())))

    assert standing(version)[0] is State.PROVEN
