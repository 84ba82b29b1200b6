"""Master keys are renewed while intake serves, and databases of the first version stay readable."""

import asyncio
import json
import os
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from simpul_dev.backends import Backends
from simpul_intake.api import ReportIn
from simpul_intake.domain import receipt_phrase
from simpul_intake.use_cases.word_list import read_word_list
from simpul_intake.vault import KeyFile, MasterKey, MasterKeyMissing, create_master_key
from simpul_runtime.database import utc_now
from simpul_runtime.migrations import migrate_async
from simpul_seal.encoding import decode, encode
from tests.integration.intake.conftest import Room, an_empty_database
from tests.support.reports import a_report

FIRST_VERSION = "20261126_signatures"


def add_key(path: Path, key: MasterKey) -> str:
    """Puts a master key into the file and returns its id."""
    path.write_text(f"{path.read_text()}\n{key.to_line()}\n")
    return key.key_id


def a_new_key(**counts: float) -> MasterKey:
    return MasterKey(os.urandom(32), utc_now() + timedelta(**counts))


async def used_keys(room: Room) -> set[str]:
    rows = await room.fetch("SELECT key_id FROM case_key UNION SELECT key_id FROM vault_secret")
    return {row["key_id"] for row in rows}


async def test_keys_are_rewrapped_while_reports_are_taken_and_amended(room: Room) -> None:
    running = room.use_cases()
    cases = [await running.take_report() for _ in range(5)]
    [first_id] = await used_keys(room)

    second_id = add_key(room.key_path, a_new_key(seconds=-1))
    fresh = await running.take_report()
    assert await used_keys(room) == {first_id, second_id}
    assert await running.rewrap.rewrap_keys() == 5

    assert await used_keys(room) == {second_id}
    for case in (*cases, fresh):
        assert await running.amend_report(case.case_id, case.phrase) == 2
    # The old key is needed no more.
    room.key_path.write_text("\n".join(key.to_line() for key in KeyFile(room.key_path).keys if key.key_id == second_id))
    assert await room.use_cases().amend_report(fresh.case_id, fresh.phrase) == 3


async def test_a_rewrap_that_was_cut_off_continues(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    running = room.use_cases()
    for _ in range(5):
        await running.take_report()
    second_id = add_key(room.key_path, a_new_key(seconds=-1))
    monkeypatch.setattr("simpul_intake.use_cases.rewrap_keys.BATCH_SIZE", 2)
    find, batches = running.rewrap._find_batch, 0

    async def find_once() -> list[object]:
        nonlocal batches
        batches += 1
        if batches > 1:
            raise OSError
        return list(await find())

    monkeypatch.setattr(running.rewrap, "_find_batch", find_once)
    with pytest.raises(OSError):  # noqa: PT011 - raised above
        await running.rewrap.rewrap_keys()

    assert await room.use_cases().rewrap.rewrap_keys() == 3
    assert await used_keys(room) == {second_id}


async def test_a_key_wraps_from_its_moment_and_unwraps_before(room: Room) -> None:
    running = room.use_cases()
    [before] = [key.key_id for key in KeyFile(room.key_path).keys]
    later = a_new_key(hours=1)
    add_key(room.key_path, later)

    case = await running.take_report()
    assert await used_keys(room) == {before}

    two_hours_later = KeyFile(room.key_path, now=lambda: utc_now() + timedelta(hours=2))
    assert await room.use_cases(two_hours_later).rewrap.rewrap_keys() == 1
    assert await running.amend_report(case.case_id, case.phrase) == 2


async def test_a_key_that_begins_to_wrap_during_a_rewrap_ends_it_all_the_same(room: Room) -> None:
    running = room.use_cases()
    for _ in range(3):
        await running.take_report()
    second, third = a_new_key(hours=1), a_new_key(hours=2)
    add_key(room.key_path, second)
    add_key(room.key_path, third)
    moments = iter([timedelta(hours=1), timedelta(hours=1)])
    renewing = KeyFile(room.key_path, now=lambda: utc_now() + next(moments, timedelta(hours=3)))

    renewed = room.use_cases(renewing)
    async with asyncio.timeout(90):
        for _ in range(2):
            await renewed.rewrap.check_keys()

    assert await used_keys(room) == {third.key_id}


async def test_a_missing_master_key_is_named_once_and_holds_up_no_other(room: Room) -> None:
    running = room.use_cases()
    cases = [await running.take_report() for _ in range(4)]
    await room.fetch("UPDATE case_key SET key_id = 'file:lost' WHERE case_id = $1", cases[0].case_id)
    second_id = add_key(room.key_path, a_new_key(seconds=-1))

    await running.rewrap.check_keys()

    [problem] = running.rewrap.problems()
    assert "file:lost" in problem
    assert await used_keys(room) == {"file:lost", second_id}


async def test_a_wrong_key_file_is_one_sentence_with_the_missing_id(room: Room) -> None:
    case = await room.use_cases().take_report()
    [needed] = await used_keys(room)
    room.key_path.unlink()
    create_master_key(room.key_path)
    wrong = room.use_cases()

    await wrong.rewrap.check_keys()

    [problem] = wrong.rewrap.problems()
    assert needed in problem
    with pytest.raises(MasterKeyMissing, match=needed):
        await wrong.amend_report(case.case_id, case.phrase)
    with pytest.raises(MasterKeyMissing, match=needed):
        await wrong.take_report()


async def test_an_unreadable_key_holds_up_no_other(room: Room) -> None:
    running = room.use_cases()
    cases = [await running.take_report() for _ in range(4)]
    await room.fetch("UPDATE case_key SET wrapped = '\\x00' WHERE case_id = $1", cases[1].case_id)
    second_id = add_key(room.key_path, a_new_key(seconds=-1))

    assert await running.rewrap.rewrap_keys() == 3

    left = await room.fetch("SELECT case_id FROM case_key WHERE key_id <> $1", second_id)
    assert [row["case_id"] for row in left] == [cases[1].case_id]


class FirstVersion:
    """Writes what the first version of intake wrote: one master key and no ids."""

    def __init__(self, master_key: bytes) -> None:
        self._master_key = master_key

    def derive(self, purpose: bytes) -> bytes:
        return HKDFExpand(SHA256(), 32, b"simpul-vault/1|" + purpose).derive(self._master_key)

    @staticmethod
    def encrypt(key: bytes, clear: bytes, associated_data: bytes) -> bytes:
        nonce = os.urandom(12)
        return nonce + AESGCM(key).encrypt(nonce, clear, associated_data)

    async def store(self, url: str) -> tuple[UUID, str]:
        """Stores a case; returns its id and its receipt."""
        case_id = uuid4()
        report = ReportIn.model_validate(a_report()).to_report(utc_now(), "uptd-ppa")
        data_key = os.urandom(32)
        wrapped = self.encrypt(self.derive(b"wrapping"), data_key, b"case-key|" + case_id.bytes)
        connection = await asyncpg.connect(url)
        await connection.execute(
            "INSERT INTO report (report_id, case_id, content_mac, received_at) VALUES ($1, $2, $3, now())",
            report.report_id,
            case_id,
            b"mac",
        )
        await connection.execute("INSERT INTO case_key (case_id, wrapped) VALUES ($1, $2)", case_id, wrapped)
        for name, content in report.sections().items():
            clear = json.dumps(content).encode()
            await connection.execute(
                "INSERT INTO section (case_id, name, revision, ciphertext) VALUES ($1, $2, 1, $3)",
                case_id,
                name,
                self.encrypt(data_key, clear, f"section|{case_id}|{name}|1".encode()),
            )
        await connection.close()
        return case_id, receipt_phrase(report.report_id, 0, self.derive(b"receipts"), read_word_list())


async def test_a_database_of_the_first_version_is_rewrapped_and_keeps_its_receipts(
    backends: Backends, tmp_path: Path
) -> None:
    url = await an_empty_database(backends)
    await migrate_async(url, "simpul_intake", FIRST_VERSION)
    secret = os.urandom(32)
    (tmp_path / "vault.key").write_text(encode(secret))
    cases = [await FirstVersion(secret).store(url) for _ in range(3)]

    await migrate_async(url, "simpul_intake")

    room = Room(url, tmp_path / "vault.key")
    upgraded = room.use_cases()
    assert await upgraded.amend_report(*cases[0]) == 2
    await upgraded.rewrap.check_keys()
    assert upgraded.rewrap.problems() == []
    assert await used_keys(room) == {MasterKey(decode(room.key_path.read_text())).key_id}
    for case in cases[1:]:
        assert await room.use_cases().amend_report(*case) == 2
    await room.engine.dispose()


async def test_a_database_of_the_first_version_needs_the_key_it_began_with(backends: Backends, tmp_path: Path) -> None:
    url = await an_empty_database(backends)
    await migrate_async(url, "simpul_intake", FIRST_VERSION)
    await FirstVersion(os.urandom(32)).store(url)
    await migrate_async(url, "simpul_intake")
    create_master_key(tmp_path / "vault.key")
    room = Room(url, tmp_path / "vault.key")

    process = room.use_cases()
    await process.rewrap.check_keys()

    [problem] = process.rewrap.problems()
    assert "with which it began" in problem
    assert await room.fetch("SELECT name FROM vault_secret") == []
    await room.engine.dispose()
