"""What `simpul-agency` does with a store of an earlier and of a newer version."""

import os
import sqlite3
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from simpul_agency.command import doctor
from simpul_agency.drivers import driver_for
from simpul_agency.enrolment import make_keys
from simpul_agency.store import Store
from simpul_agency.store.version import NEWEST, REVISIONS
from simpul_seal import Directory
from tests.support.sandbox import COMMAND

OLD = Path(__file__).with_name("stores") / f"{REVISIONS[0]}.sqlite.sql"
REFERRAL = "00000000-0000-4000-8000-000000001001"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An agency's folder with a store of the first version."""
    ring, public = make_keys("ylpa", datetime.now(UTC))
    ring.write(tmp_path / "keys")
    Directory([public]).write(tmp_path / "directory")
    with sqlite3.connect(tmp_path / "agency.db") as database:
        database.executescript(OLD.read_text())
    database.close()
    return tmp_path


def run(folder: Path, *arguments: str, expected: int = 0) -> str:
    environment = {
        "PATH": os.defpath,
        "HOME": str(folder),
        "COLUMNS": "200",
        "SIMPUL_AGENCY_CODE": "ylpa",
        "SIMPUL_AGENCY_AMQP_URL": "amqp://nobody@127.0.0.1:9/",
        "SIMPUL_AGENCY_KEY_FILE": "keys",
        "SIMPUL_AGENCY_DIRECTORY_FILE": "directory",
        "SIMPUL_AGENCY_STORE_URL": "sqlite:///agency.db",
        "SIMPUL_AGENCY_AUTO_ACCEPT": "true",
    }
    done = subprocess.run(
        [COMMAND, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == expected, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_upgrade_lists_its_steps_and_dry_run_rolls_them_back(folder: Path) -> None:
    tried = run(folder, "upgrade", "--dry-run")
    done = run(folder, "upgrade")
    again = run(folder, "upgrade")

    assert f"still has version {REVISIONS[0]}" in tried
    assert f"has version {NEWEST} now" in done
    assert all(f"{revision}: " in tried for revision in REVISIONS[1:])
    assert "Tables, columns and states" in tried
    assert all(f"{revision}: " in done for revision in REVISIONS[1:])
    assert f"has this program's version, {NEWEST}" in again


def test_every_command_that_opens_the_store_upgrades_it(folder: Path) -> None:
    parked = run(folder, "parked")

    assert all(reason in parked for reason in ("cannot_open", "malformed", "unknown_type", "id_reused"))
    assert f"has this program's version, {NEWEST}" in run(folder, "upgrade", "--dry-run")


@pytest.mark.parametrize("command", ["run", "parked", "verify-delivery", "upgrade", "replay all", f"fhir {REFERRAL}"])
def test_a_store_of_a_newer_version_is_refused_in_a_sentence(folder: Path, command: str) -> None:
    run(folder, "upgrade")
    with sqlite3.connect(folder / "agency.db") as database:
        database.execute("UPDATE simpul_store_version SET version_num = '20991231_later'")
    database.close()

    refused = run(folder, *command.split(), expected=2)

    assert "20991231_later" in refused
    assert "pip install --upgrade simpul-agency" in refused
    assert "Traceback" not in refused


async def test_the_doctor_shows_the_version_and_upgrades_no_store_that_somebody_may_use(folder: Path) -> None:
    url = f"sqlite:///{folder / 'agency.db'}"
    older = await doctor.check_version(Store(driver_for(url)))
    store = Store(driver_for(url))
    await store.open()
    newest = await doctor.check_version(Store(driver_for(url)))
    new = await doctor.check_version(Store(driver_for(f"sqlite:///{folder / 'new.db'}")))
    with sqlite3.connect(folder / "agency.db") as database:
        database.execute("UPDATE simpul_store_version SET version_num = '20991231_later'")
    newer = await doctor.check_version(Store(driver_for(url)))
    database.close()
    await store.close()

    assert (REVISIONS[0] in older.problem, "simpul-agency upgrade" in older.remedy, older.is_warning) == (True,) * 3
    assert (newest.name, newest.problem) == (f"store, version {NEWEST}", "")
    assert new == newest
    assert "newer version" in newer.problem
    assert "pip install --upgrade" in newer.remedy
