"""The folder of a city's data is created once, completely, and after an interruption at any moment."""

import os
import shutil
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from simpul_agency.command.files import AgencyFiles
from simpul_agency.enrolment import is_certificate_of
from simpul_agreement.commands import app as agreement_commands
from simpul_cli.agency.bulk import enrol_all, requests_in
from simpul_cli.app import app
from simpul_cli.broker_users import USERS
from simpul_cli.deployment.city_files import CityFiles, default_data_folder
from simpul_cli.deployment.refusal import Refusal
from simpul_cli.deployment.summary import Summary
from simpul_cli.prepare import ends_at
from simpul_runtime.database import utc_now
from simpul_seal import KeyRing
from tests.unit.cli.deployment.conftest import Killed, a_setup, run_all

HUB = "uptd-ppa"


def contents(files: CityFiles) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in files.data.rglob("*") if path.is_file()}


def test_a_first_city_decides_by_an_interim_agreement_of_the_hub(files: CityFiles) -> None:
    outcomes = run_all(a_setup(files))

    assert outcomes[-1] == "2026-11, INTERIM: signed by the hub alone, 1 of 9 signatures"
    assert KeyRing.read(files.hub.keys).party == HUB
    assert files.settings()["SIMPUL_CITY"] == str(files.data / "city")
    assert (files.checkout / ".env").resolve() == files.env
    assert default_data_folder(files.checkout, is_demo=False) == files.data


def test_a_second_run_changes_nothing_and_needs_no_answer(files: CityFiles) -> None:
    run_all(a_setup(files))
    before = contents(files)

    run_all(a_setup(files, answers={}))

    assert contents(files) == before
    assert list(a_setup(files, answers={}).plan()) == [f"folder of the city's data: {files.data}"]


def test_a_plan_creates_nothing(files: CityFiles) -> None:
    plan = [str(message) for message in a_setup(files, answers={}).plan()]

    assert not files.data.exists()
    assert len([line for line in plan if line.startswith("would ask")]) == 5
    assert any(line.endswith("secrets/vault.key") for line in plan)


def kill_after(changes: int, patched: pytest.MonkeyPatch) -> None:
    """Ends the run when it would make one more file appear."""
    real_rename, real_open = Path.rename, os.open
    left = [changes]

    def count_change() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Killed

    def rename(path: Path, target: Path) -> Path:
        count_change()
        return real_rename(path, target)

    def open_file(path: str, flags: int, *mode: int, **options: int) -> int:
        if flags & os.O_CREAT:
            count_change()
        return real_open(path, flags, *mode, **options)

    patched.setattr(Path, "rename", rename)
    patched.setattr(os, "open", open_file)


def test_a_run_that_is_killed_anywhere_is_completed_by_the_next(
    files: CityFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup, kills = a_setup(files), 0
    for changes in range(30):
        with monkeypatch.context() as patched:
            kill_after(changes, patched)
            try:
                for step in setup.steps()[:-1]:
                    step.run()
            except Killed:
                kills += 1
            else:
                break

    # Each run completes or repeats what the one before left, so later runs get further.
    assert kills >= 5
    assert {path.name for path in files.prepared.secrets.iterdir()} == {
        "intake.key.json",
        "routing.key.json",
        "notify.key.json",
        "desk.key.json",
        "vault.key",
    }
    for service in ("intake", "routing", "notify", "desk"):
        ring = KeyRing.read(files.prepared.secrets / f"{service}.key.json")
        assert ring.keyid in {entry.keyid for entry in files.read_directory().entries}
    assert files.read_directory().valid_keys(HUB, utc_now())


def test_other_signatures_are_collected_from_the_parties_own_machines(files: CityFiles, tmp_path: Path) -> None:
    setup = a_setup(files)
    run_all(setup)
    city, [version] = files.read_city(), setup.versions()
    request = tmp_path / "to-sign.json"
    done = CliRunner().invoke(agreement_commands, ["request", str(version.folder), "--to", str(request)])
    assert done.exit_code == 0, done.output
    for code in version.standing.unsigned_by:
        agency = AgencyFiles(tmp_path / code)
        enrolment, _ = agency.create_keys(city.code, code, utc_now() - timedelta(minutes=1))
        shutil.copy(enrolment, files.enrolment)
        shutil.copy(agency.sign_agreement(request, utc_now(), is_interim=False)[0], files.enrolment)

    assert run_all(setup)[-1] == "2026-11, INTERIM: signed by the hub alone, 1 of 9 signatures"
    waiting = [request for request in setup.requests() if not request.is_enrolled]
    assert any("Compare fingerprints by phone" in str(line) for line in Summary(setup).left_to_do())
    enrol_all(files.read_directory(), waiting, utc_now()).write(files.prepared.directory)

    assert run_all(setup)[-1] == "2026-11, signed by every party"


def test_a_hub_with_keys_of_its_own_signs_elsewhere(files: CityFiles, tmp_path: Path) -> None:
    setup = a_setup(files)
    for step in setup.steps()[:3]:
        step.run()
    hub = AgencyFiles(tmp_path / "hub")
    enrolment, _ = hub.create_keys("kediri", HUB, utc_now())
    shutil.copy(enrolment, files.enrolment)

    with pytest.raises(Refusal, match="put the hub's signature"):
        run_all(setup)

    assert not files.hub.folder.exists()
    request = tmp_path / "to-sign.json"
    CliRunner().invoke(agreement_commands, ["request", str(setup.versions()[0].folder), "--to", str(request)])
    for is_interim in (False, True):
        shutil.copy(hub.sign_agreement(request, utc_now(), is_interim=is_interim)[0], files.enrolment)
    requests = list(requests_in(files.enrolment, files.read_city(), files.read_directory()))
    enrol_all(files.read_directory(), requests, utc_now()).write(files.prepared.directory)
    assert "INTERIM" in run_all(setup)[-1]


def test_a_demonstration_enrols_every_agency(files: CityFiles) -> None:
    outcomes = run_all(a_setup(files, is_demo=True))

    assert "55 of 55 agencies enrolled" in outcomes
    assert files.settings()["COMPOSE_PROFILES"] == "demo"
    assert a_setup(files, is_demo=True).describe_agreement() == outcomes[-1]


def test_a_checkout_of_another_city_is_refused(files: CityFiles) -> None:
    run_all(a_setup(files))

    with pytest.raises(Refusal, match="belongs to another city"):
        CityFiles(files.checkout, files.data.parent / "other").check_link()


def test_two_commands_never_change_a_city_at_once(files: CityFiles) -> None:
    with files.lock(), pytest.raises(Refusal, match="Another command"), CityFiles(files.checkout, files.data).lock():
        pass


def test_new_passwords_replace_what_was_made_and_nothing_that_was_answered(files: CityFiles) -> None:
    run_all(a_setup(files))
    before = files.settings()

    replace(a_setup(files, answers={}), new_passwords=True).create_settings()

    changed = {name for name, value in files.settings().items() if before[name] != value}
    assert changed == {
        "POSTGRES_PASSWORD",
        "POSTGRES_PASSWORD_INTAKE",
        "POSTGRES_PASSWORD_ROUTING",
        "POSTGRES_PASSWORD_NOTIFY",
        "POSTGRES_PASSWORD_DESK",
        "RABBITMQ_PASSWORD",
        "RABBITMQ_PASSWORD_INTAKE",
        "RABBITMQ_PASSWORD_ROUTING",
        "RABBITMQ_PASSWORD_NOTIFY",
        "RABBITMQ_PASSWORD_DESK",
        "RABBITMQ_PASSWORD_OPERATOR",
    }


def test_settings_of_an_older_version_are_completed_and_the_rest_stays(files: CityFiles) -> None:
    run_all(a_setup(files))
    before = files.settings()
    older = [line for line in files.env.read_text().splitlines() if not line.startswith("RABBITMQ_PASSWORD_")]
    files.env.write_text("\n".join(older))
    # As after a restore onto a fresh machine.
    (files.checkout / ".env").unlink()
    command = ["city", "settings", "--checkout", str(files.checkout), "--data", str(files.data), "--language", "en"]

    done = CliRunner().invoke(app, command)
    elsewhere = CliRunner().invoke(app, [*command[:-3], str(files.data / "other"), *command[-2:]])

    after = files.settings()
    assert (done.exit_code, elsewhere.exit_code) == (0, 1)
    assert done.output == f"{files.env} is complete.\n"
    assert after.keys() == before.keys()
    assert {name for name in after if after[name] != before[name]} == {f"RABBITMQ_PASSWORD_{n.upper()}" for n in USERS}
    assert (files.checkout / ".env").resolve() == files.env


def test_a_certificate_that_ends_soon_is_renewed_by_the_next_run(
    files: CityFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "chown", lambda *_: None)
    run_all(a_setup(files))
    certificate = files.prepared.broker_key.with_name("broker.pem")
    before, ends = certificate.read_bytes(), ends_at(certificate)

    def run_at(moment: datetime) -> str:
        return str(replace(a_setup(files, answers={}), now=lambda: moment).create_keys())

    early = run_at(ends - timedelta(days=61))
    unchanged = certificate.read_bytes()
    late = run_at(ends - timedelta(days=59))
    (files.prepared.tls / "authority.key").unlink()

    assert (early, unchanged) == ("there already", before)
    assert late == "the broker's certificate was renewed"
    assert is_certificate_of(certificate.read_text(), files.prepared.broker_key)
    assert ends_at(certificate) - ends > timedelta(days=300)
    with pytest.raises(Refusal, match=r"put .*authority\.key back"):
        run_at(ends_at(certificate) - timedelta(days=1))


def test_lost_keys_are_named_and_not_replaced(files: CityFiles) -> None:
    run_all(a_setup(files))
    (files.prepared.secrets / "vault.key").unlink()
    before = contents(files)

    with pytest.raises(Refusal, match=r"vault\.key missing, .* restore the backup"):
        run_all(a_setup(files))

    assert contents(files) == before
