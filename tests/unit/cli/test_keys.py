"""Keys of a city: created once, never overwritten, rotated while the old ones stay valid."""

import os
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import pytest
from typer.testing import CliRunner

from simpul_city import City
from simpul_cli.app import app
from simpul_cli.keys import NotRotated, create_keys, directory_file, key_file, list_keys, rotate_keys
from simpul_runtime.signing import Keys
from simpul_schema.catalog import SERVICES
from simpul_seal import Directory, KeyRing, decrypt, encrypt, open_section, seal_section, verify

NOW = datetime(2026, 11, 24, tzinfo=UTC)
KEDIRI = Path(__file__).parents[3] / "deploy" / "kediri"
MONTH = timedelta(days=30)
RUN = CliRunner()
_ID = UUID(int=7)


def digests(folder: Path) -> dict[str, str]:
    """Returns the digest of every file."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest() for path in files}


def init(root: Path, *more: str) -> tuple[int, str]:
    directory = root / "directory" / "directory.json"
    found = RUN.invoke(app, ["keys", "init", str(root / "secrets"), "--directory", str(directory), *more])
    return found.exit_code, found.output


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Key files and the directory of a city that began at NOW."""
    create_keys(tmp_path, (*SERVICES, "ylpa"), NOW)
    return tmp_path


def rotated(folder: Path, *services: str, now: datetime = NOW, overlap: timedelta = MONTH) -> Directory:
    rotate_keys(folder, services, directory_file(folder), now, overlap=overlap)
    return Directory.read(directory_file(folder))


def test_keys_are_made_where_the_compose_file_expects_them(tmp_path: Path) -> None:
    code, _ = init(tmp_path)

    assert code == 0
    assert set(digests(tmp_path)) == {
        "directory/directory.json",
        "secrets/vault.key",
        *(f"secrets/{name}.key.json" for name in SERVICES),
    }


def test_private_keys_of_agencies_are_made_on_request_only(tmp_path: Path) -> None:
    code, _ = init(tmp_path, "--all-agencies", "--city-dir", str(KEDIRI))

    assert code == 0
    assert {entry.party for entry in Directory.read(tmp_path / "directory" / "directory.json").entries} == {
        *SERVICES,
        *City.read(KEDIRI).agency_codes,
    }


def test_a_second_run_changes_no_byte_and_names_what_is_there(tmp_path: Path) -> None:
    init(tmp_path)
    before = digests(tmp_path)

    code, output = init(tmp_path)

    assert code == 2
    assert digests(tmp_path) == before
    assert str(tmp_path / "secrets" / "vault.key") in output.replace("\n", "")
    assert "simpul keys rotate" in output.replace("\n", " ")


@pytest.mark.parametrize("left", ["secrets/vault.key", "secrets/notify.key.json", "directory/directory.json"])
def test_one_file_of_an_earlier_city_is_enough_to_write_nothing(tmp_path: Path, left: str) -> None:
    (tmp_path / left).parent.mkdir(parents=True)
    (tmp_path / left).write_text("precious")

    code, output = init(tmp_path)

    assert code == 2
    assert digests(tmp_path) == {left: sha256(b"precious").hexdigest()}
    assert left in output.replace("\n", "")


def test_the_procedure_of_the_earlier_manual_cannot_destroy_the_vault_key(tmp_path: Path) -> None:
    """The earlier manual created keys in a folder below the one in use, and moved them up."""
    init(tmp_path)
    before = digests(tmp_path)

    found = RUN.invoke(app, ["keys", "init", str(tmp_path / "secrets" / "keys")])

    assert found.exit_code == 2
    assert digests(tmp_path) == before


def test_new_keys_count_from_the_middle_of_the_overlap_and_old_ones_to_its_end(folder: Path) -> None:
    old = KeyRing.read(key_file(folder, "routing"))

    directory = rotated(folder, "routing")

    new = KeyRing.read(key_file(folder, "routing"))
    assert new.keyid != old.keyid
    assert directory.current("routing", NOW + MONTH / 2 - timedelta(seconds=1)).keyid == old.keyid
    assert directory.current("routing", NOW + MONTH / 2).keyid == new.keyid
    assert {key.keyid for key in directory.valid_keys("routing", NOW + MONTH * 0.9)} == {new.keyid, old.keyid}
    assert {key.keyid for key in directory.valid_keys("routing", NOW + MONTH)} == {new.keyid}
    assert directory.usable_until("routing", NOW) == NOW + MONTH / 2 + timedelta(days=365)


def test_a_rotation_leaves_every_other_party_as_it_was(folder: Path) -> None:
    before = Directory.read(directory_file(folder))
    files = digests(folder)

    after = rotated(folder, "routing")

    assert [key for key in after.entries if key.party != "routing"] == [
        key for key in before.entries if key.party != "routing"
    ]
    assert {name for name, digest in digests(folder).items() if files[name] != digest} == {
        "routing.key.json",
        "directory.json",
    }


@pytest.mark.parametrize("days", [0, 20, 200, 364])
def test_there_is_no_moment_without_a_key_to_sign_and_to_seal_with(folder: Path, days: int) -> None:
    rotation_at = NOW + timedelta(days=days)
    directory = rotated(folder, "routing", now=rotation_at)
    keys = Keys(KeyRing.read(key_file(folder, "routing")), directory)

    for hours in range(0, 24 * 60, 6):
        moment = rotation_at + timedelta(hours=hours)
        signed = keys.sign(b"{}", moment)
        assert signed
        assert keys.can_sign(moment)
        assert keys.has_usable_key("routing", moment)


def test_what_a_restarted_and_a_running_service_sign_is_accepted_throughout(folder: Path) -> None:
    running = KeyRing.read(key_file(folder, "routing"))
    directory = rotated(folder, "routing")
    restarted = KeyRing.read(key_file(folder, "routing"))

    for days in range(30):
        moment = NOW + timedelta(days=days)
        for ring in (running, restarted):
            signature = Keys(ring, directory).sign(b"{}", moment)
            assert verify(b"{}", signature, directory, moment) == "routing"


def test_what_was_stored_and_sealed_under_old_keys_stays_readable_after_their_end(folder: Path) -> None:
    first = KeyRing.read(key_file(folder, "routing"))
    stored = encrypt(b"facts", first, associated_data="case")
    sealed = seal_section(
        b"facts",
        Directory.read(directory_file(folder)).current("routing", NOW),
        event_id=_ID,
        case_id=_ID,
        section="triage",
    )

    rotated(folder, "routing")
    directory = rotated(folder, "routing", now=NOW + timedelta(days=300))

    newest = KeyRing.read(key_file(folder, "routing"))
    assert len(newest.all_keys) == 3
    assert first.keyid not in {key.keyid for key in directory.valid_keys("routing", NOW + timedelta(days=500))}
    assert decrypt(stored, newest, associated_data="case") == b"facts"
    opened = open_section(sealed["ciphertext"], newest, event_id=_ID, case_id=_ID, section="triage")
    assert opened == b"facts"


def test_a_replica_that_has_not_read_the_new_key_file_reads_what_another_stores(folder: Path) -> None:
    old = KeyRing.read(key_file(folder, "routing"))
    create_now = datetime.now(UTC)
    rotate_keys(folder, ["routing"], directory_file(folder), create_now, overlap=MONTH)
    directory = Directory.read(directory_file(folder))

    stored = Keys(KeyRing.read(key_file(folder, "routing")), directory).encrypt(b"facts", associated_data="case")

    assert Keys(old, directory).decrypt(stored, associated_data="case") == b"facts"


def test_a_second_rotation_changes_nothing_while_new_keys_wait_for_their_day(folder: Path) -> None:
    rotated(folder, "routing")
    before = digests(folder)

    rotated(folder, "routing", now=NOW + timedelta(days=3))

    assert digests(folder) == before


def test_after_a_theft_the_new_keys_count_at_once_and_no_other(folder: Path) -> None:
    rotated(folder, "routing")

    directory = rotated(folder, "routing", overlap=timedelta())

    assert [key.keyid for key in directory.valid_keys("routing", NOW)] == [
        KeyRing.read(key_file(folder, "routing")).keyid
    ]


def test_after_a_theft_the_next_ordinary_rotation_is_not_held_up(folder: Path) -> None:
    rotated(folder, "routing")
    stolen = rotated(folder, "routing", overlap=timedelta())

    renewed = rotated(folder, "routing")

    assert len(renewed.entries) == len(stolen.entries) + 1


def test_keys_that_have_ended_are_renewed_at_once(folder: Path) -> None:
    late = NOW + timedelta(days=400)

    directory = rotated(folder, "routing", now=late)

    assert directory.current("routing", late).keyid == KeyRing.read(key_file(folder, "routing")).keyid


def test_a_trial_run_changes_nothing(folder: Path) -> None:
    before = digests(folder)

    [rotation] = rotate_keys(folder, ["desk"], directory_file(folder), NOW, overlap=MONTH, dry_run=True)

    assert rotation.party == "desk"
    assert digests(folder) == before


def test_a_ring_keeps_its_owner_and_mode_and_leaves_no_other_file(folder: Path) -> None:
    path = key_file(folder, "routing")
    if os.geteuid() == 0:
        os.chown(path, 10001, 10001)
    before, names = path.stat(), set(folder.iterdir())

    rotated(folder, "routing")

    after = path.stat()
    assert (after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode)
    assert set(folder.iterdir()) == names


@pytest.mark.parametrize("broken", ["notify.key.json", "directory.json"])
def test_a_file_that_cannot_be_read_stops_the_rotation_of_all(folder: Path, broken: str) -> None:
    (folder / broken).write_text("{")
    before = digests(folder)

    with pytest.raises(NotRotated, match=broken):
        rotated(folder, *SERVICES)

    assert digests(folder) == before


def test_a_file_of_another_party_is_not_rotated(folder: Path) -> None:
    key_file(folder, "routing").write_bytes(key_file(folder, "intake").read_bytes())

    with pytest.raises(NotRotated, match="holds the keys of intake"):
        rotated(folder, "routing")


def test_the_list_shows_which_key_is_current_and_for_how_long(folder: Path) -> None:
    rotated(folder, "routing")
    directory = Directory.read(directory_file(folder))

    [new, old] = [key for key in list_keys(directory, NOW) if key.party == "routing"]

    assert (new.state, old.state, old.days_left) == ("next", "current", 30)
    assert [key.state for key in list_keys(directory, NOW + MONTH * 0.7) if key.party == "routing"] == [
        "current",
        "old",
    ]
    assert [key.state for key in list_keys(directory, NOW + MONTH) if key.party == "routing"] == ["current", "ended"]


def test_the_command_rotates_all_services_and_names_what_to_do_next(tmp_path: Path) -> None:
    init(tmp_path)
    where = ["--folder", str(tmp_path / "secrets"), "--directory", str(tmp_path / "directory" / "directory.json")]
    vault = (tmp_path / "secrets" / "vault.key").read_bytes()

    rotated_all = RUN.invoke(app, ["keys", "rotate", *where])
    listed = RUN.invoke(app, ["keys", "list", *where])
    unknown = RUN.invoke(app, ["keys", "rotate", "ylpa", *where])

    assert rotated_all.exit_code == 0
    assert "docker compose restart intake routing notify desk" in rotated_all.output.replace("\n", " ")
    assert [listed.output.count(state) for state in ("next", "current")] == [4, 4]
    assert unknown.exit_code == 2
    assert (tmp_path / "secrets" / "vault.key").read_bytes() == vault
