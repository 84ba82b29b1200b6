"""A version decides only when it is proven, signed and active; anything else never replaces the running one."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from simpul_agreement import AgreementMissing, Versions, read_agreement
from simpul_agreement.check import check_version
from simpul_agreement.versions import State, sign_version, signatories, standing_of
from simpul_seal import Directory, KeyRing, generate
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
    proof = check_version(version, CITY).proof
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


def test_a_signature_stays_valid_when_the_key_is_replaced_later(version: Path) -> None:
    sign(version)

    assert standing(version, NOW + timedelta(days=400))[0] is State.ACTIVE


def test_text_changed_after_its_proof_is_a_draft_again(version: Path, edit: Edit) -> None:
    sign(version)
    edit("clauses/80-ladder-retention.yaml", "years: 5", "years: 6")

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
    edit("clauses/80-ladder-retention.yaml", "years: 5", "years: 6")
    found.read(NOW)

    assert found.active(NOW) is running

    # Also when it is proven and signed anew: running cases keep the text they began with.
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
    following = Path(shutil.copytree(version, version.parent / "2026-12"))
    head = following / "agreement.yaml"
    head.write_text(
        head.read_text().replace('version: "2026-11"', 'version: "2026-12"').replace("2026-11-24T", "2026-12-01T")
    )
    prove(following)
    sign(following)
    found.read(NOW)

    assert found.active(NOW).agreement.version == "2026-11"
    assert found.active(datetime(2026, 12, 2, tzinfo=UTC)).agreement.version == "2026-12"
    assert found.of("2026-11").agreement.version == "2026-11"


def test_cases_of_a_version_that_is_not_loaded_go_on_by_the_active_one(version: Path) -> None:
    sign(version)
    found = versions(version)

    with capture_logs() as logs:
        assert [found.of("2025-01"), found.of("2025-01")] == [found.active(NOW)] * 2

    assert [(entry["event"], entry["version"]) for entry in logs] == [("agreement_of_running_cases_missing", "2025-01")]


def test_a_folder_that_nobody_can_read_keeps_no_other_from_being_read(version: Path) -> None:
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
