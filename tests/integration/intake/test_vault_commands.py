"""`simpul vault` on a real database."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from typer.testing import CliRunner

from simpul_cli.app import app
from simpul_intake.erasure import CERTIFICATE
from simpul_intake.retention import add_years
from simpul_intake.vault import KeyFile, retirement_code
from simpul_runtime.database import utc_now
from simpul_schema.references import case_reference
from simpul_seal import verify
from tests.integration.intake.conftest import Room
from tests.support.agreements import VERSION

FILE_NUMBER = "LP/B/12/XI/2026"
BY = ("--by", "operator-1")
COURT = ("--reason", "court_proceedings", "--reference", FILE_NUMBER, *BY)


async def simpul(room: Room, *arguments: str) -> tuple[int, str]:
    """Runs `simpul vault` for intake's database and key file; returns exit code and output in one line."""
    environment = {
        "SIMPUL_DATABASE_URL": room.url,
        "SIMPUL_VAULT_KEY_FILE": str(room.key_path),
        "COLUMNS": "200",
        "TERM": "dumb",
    }
    done = await asyncio.to_thread(CliRunner().invoke, app, ["vault", *arguments], env=environment)
    return done.exit_code, " ".join(done.output.split())


def code_of(key_id: str) -> tuple[str, str]:
    return "--code", retirement_code(key_id)


async def a_sent_case(room: Room) -> UUID:
    case = await room.use_cases().take_report()
    await room.fetch("UPDATE outbox SET published_at = now()")
    return case.case_id


async def test_a_master_key_is_renewed_step_by_step(room: Room) -> None:
    running = room.use_cases()
    case = await running.take_report()
    [old] = [key.key_id for key in KeyFile(room.key_path).keys]

    assert (await simpul(room, "remove-key", old, *code_of(old)))[0] == 2
    planned = await simpul(room, "rotate", "--dry-run")
    assert [key.key_id for key in KeyFile(room.key_path).keys] == [old]
    rotated = await simpul(room, "rotate", "--begins-in", "0")
    new = KeyFile(room.key_path).keys[0].key_id
    assert (planned[0], rotated[0], new in rotated[1], "restart every intake" in rotated[1]) == (0, 0, True, True)
    refused = await simpul(room, "retire", old, *BY)
    assert (refused[0], f"master key {old} still wraps 4 keys" in refused[1]) == (2, True)
    too_early = await simpul(room, "remove-key", old, "--code", "00000000")
    assert (too_early[0], f"`simpul vault retire {old}` shows it" in too_early[1]) == (2, True)
    assert len(KeyFile(room.key_path).keys) == 2

    await running.rewrap.rewrap_keys()

    assert f"{new} │ 4" in (await simpul(room, "status"))[1]
    assert (await simpul(room, "remove-key", new, *code_of(new)))[0] == 2
    assert "--code" not in (await simpul(room, "retire", old, *BY, "--dry-run"))[1]
    retired = await simpul(room, "retire", old, *BY)
    assert (retired[0], f"simpul vault remove-key {old} {' '.join(code_of(old))}" in retired[1]) == (0, True)
    assert (await simpul(room, "remove-key", old, *code_of(old), "--dry-run"))[0] == 0
    assert len(KeyFile(room.key_path).keys) == 2
    assert (await simpul(room, "remove-key", old, *code_of(old)))[0] == 0
    assert [key.key_id for key in KeyFile(room.key_path).keys] == [new]
    assert await room.use_cases().amend_report(case.case_id, case.phrase) == 2


async def test_the_key_that_wraps_stays_until_a_newer_one_counts(room: Room) -> None:
    [current] = [key.key_id for key in KeyFile(room.key_path).keys]
    await simpul(room, "rotate", "--begins-in", "60")
    before = room.key_path.read_text()

    for key in KeyFile(room.key_path).keys:
        refused = await simpul(room, "remove-key", key.key_id, *code_of(key.key_id))
        assert (refused[0], f"{key.key_id} wraps now or will" in refused[1]) == (2, True)

    assert room.key_path.read_text() == before
    assert await KeyFile(room.key_path).current_key_id() == current


async def test_a_case_is_held_released_and_erased(room: Room) -> None:
    case = str(await a_sent_case(room))
    assert (await simpul(room, "hold", case, *COURT))[0] == 0
    assert FILE_NUMBER in (await simpul(room, "holds"))[1]

    refused = await simpul(room, "erase", case, "--reason", "request", *BY)

    assert refused[0] == 2
    assert refused[1].startswith(f"case {case} is held (court_proceedings {FILE_NUMBER})")
    assert (await simpul(room, "release", case, *COURT))[0] == 0
    planned = await simpul(room, "erase", case, "--reason", "request", *BY, "--dry-run")
    assert f"{case}: would erase identity (1), narrative (1), triage (1)" in planned[1]
    erased = await simpul(room, "erase", case, "--reason", "request", *BY)
    assert (erased[0], f"{case}: erased identity" in erased[1], "have routing erase its copy" in erased[1]) == (
        0,
        True,
        True,
    )
    assert "every holder has" in (await simpul(room, "confirm", case, "routing", *BY))[1]
    assert (await simpul(room, "erase", case, "--reason", "request", *BY))[0] == 2


async def test_a_case_is_named_by_the_code_that_people_quote(room: Room) -> None:
    case = await a_sent_case(room)
    code = case_reference(case)

    held = await simpul(room, "hold", code.lower(), *COURT)
    released = await simpul(room, "release", code.replace("-", ""), *COURT)
    erased = await simpul(room, "erase", code, "--reason", "court_order", *BY)
    certificate = await simpul(room, "certificate", code)

    assert [done[0] for done in (held, released, erased, certificate)] == [0, 0, 0, 0]
    assert json.loads(certificate[1])["case_id"] == str(case)
    for wrong, reason in (
        ("R-7K3Q2M", "is neither an id nor the code of a case; write it like K-7K3Q-2M9F"),
        ("the girl", "is neither an id nor the code of a case"),
        (case_reference(UUID(int=case.int ^ 1 << 127)), "stands for no case in this database"),
    ):
        refused = await simpul(room, "hold", wrong, *COURT)
        assert (refused[0], f"{wrong} {reason}" in refused[1]) == (2, True)


async def test_a_certificate_is_signed_by_intake(room: Room, tmp_path: Path) -> None:
    case = str(await a_sent_case(room))
    room.keys.ring.write(tmp_path / "intake.key.json")
    await simpul(room, "erase", case, "--reason", "court_order", *BY)

    _, printed = await simpul(room, "certificate", case, "--key-file", str(tmp_path / "intake.key.json"))

    document = json.loads(printed)
    signer = verify(
        document["signed"].encode(), document["signature"], room.keys.directory, utc_now(), domain=CERTIFICATE
    )
    assert signer == "intake"
    assert json.loads(document["signed"])["case_id"] == case
    assert json.loads((await simpul(room, "certificate", case))[1]) == json.loads(document["signed"])


async def test_what_the_agreement_no_longer_keeps_is_listed(room: Room) -> None:
    case, recent = await a_sent_case(room), await a_sent_case(room)
    for case_id, ended_at in ((case, add_years(utc_now(), -5)), (recent, utc_now() - timedelta(days=1))):
        await room.fetch("INSERT INTO case_end (case_id, sequence, ended_at) VALUES ($1, 3, $2)", case_id, ended_at)

    code, listed = await simpul(room, "due", str(VERSION))

    assert (code, f"{case}" in listed, "the whole case" in listed, f"{recent}" in listed) == (0, True, True, False)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("erase", str(uuid4()), "--reason", "request", *BY), "the vault has no case"),
        (("certificate", str(uuid4())), "was not erased"),
        (("confirm", str(uuid4()), "routing", *BY), "was not erased"),
        (("release", str(uuid4()), *COURT), "has no such hold"),
        (("remove-key", "file:0000", "--code", "00000000"), "has no master key file:0000"),
        (("rotate", "--file", "absent.key"), "absent.key cannot be read"),
        (("erase", str(uuid4()), "--reason", "request", "--by", "Wenthilora Paksibumi"), "an account is a word"),
        (
            ("hold", str(uuid4()), "--reason", "complaint", "--reference", "Wenthilora Paksibumi", *BY),
            "a reference is the number of a file",
        ),
    ],
)  # fmt: skip
async def test_a_refusal_is_one_sentence(room: Room, arguments: tuple[str, ...], expected: str) -> None:
    code, shown = await simpul(room, *arguments)

    assert code == 2
    assert expected in shown
    assert "Traceback" not in shown
