"""Photos and documents of the reporting person: stored sealed, listed in the dossier, read by who holds it alone."""

from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import pytest

from simpul_intake import repository
from simpul_intake.erasure import ErasureReason, HoldReason
from simpul_intake.errors import CaseHeld, FileNotReleased, ReceiptUnknown, ReportClosed
from simpul_intake.received_files import MAX_FILES, FileProblem, FileRefused, UploadedFile
from simpul_intake.retention import Expiry
from simpul_intake.use_cases import EraseCases, ExecuteRetention, FindDueCases
from simpul_intake.use_cases.execute_retention import DueCase
from simpul_runtime.database import utc_now
from simpul_schema.file_requests import FILE_REQUEST_DOMAIN, FILE_SECTION, FileRequest
from simpul_seal import open_section, sign
from tests.integration.intake.test_dossiers import AGENCY, OTHER, City, city
from tests.unit.intake.test_received_files import PLACE, tagged

__all__ = ["city"]
NAME, STORY = "Wenthilora di dapur.png", b"%PDF-1.7 Paksibumi menulis surat ini"
PHOTO, LETTER = UploadedFile(NAME, tagged()), UploadedFile("surat Wenthilora.pdf", STORY)


async def listed(city: City) -> list[dict[str, Any]]:
    """What the newest release lists."""
    release = (await city.sent("dossier.released.v1"))[-1]
    return list(city.open(release, "narrative")["files"])


async def read(
    city: City,
    file_id: str,
    agency: str = AGENCY,
    *,
    signed_by: str = "",
    referral_id: UUID | None = None,
    minutes: int = 0,
) -> bytes:
    """Reads a file as the kit of an agency does."""
    request = FileRequest(
        agency=agency,
        referral_id=referral_id or city.referral_id,
        file_id=UUID(file_id),
        requested_at=utc_now() + timedelta(minutes=minutes),
    )
    body = request.model_dump_json().encode()
    signature = sign(body, city.rings[signed_by or agency], domain=FILE_REQUEST_DOMAIN)
    sealed = (await city.running.files.read_file(body, signature)).sealed
    return open_section(
        sealed.ciphertext, city.rings[agency], event_id=UUID(file_id), case_id=city.case_id, section=FILE_SECTION
    )


async def everything(city: City) -> str:
    tables = await city.room.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return str([await city.room.fetch(f"SELECT * FROM {row['tablename']}") for row in tables])


async def test_files_reach_the_agency_that_holds_the_chronology_and_are_clear_nowhere(city: City) -> None:
    await city.decide("narrative")
    await city.running.files.add_files(city.case_id, city.receipt, [PHOTO, LETTER])
    # Sent again, as a browser does that got no answer.
    await city.running.files.add_files(city.case_id, city.receipt, [PHOTO, LETTER])
    await city.running.dossiers.release_due()

    photo, letter = sorted(await listed(city), key=lambda one: one["media_type"], reverse=True)
    assert (photo["name"], letter["name"]) == ("Wenthilora di dapur.jpg", "surat Wenthilora.pdf")
    assert await read(city, letter["file_id"]) == STORY
    shown = await read(city, photo["file_id"])
    assert (len(shown), sha256(shown).hexdigest()) == (photo["size"], photo["digest"])
    assert PLACE.encode() not in shown
    stored = await everything(city)
    assert not [word for word in ("Wenthilora", "Paksibumi", "dapur", PLACE) if word in stored]
    audited = await city.room.fetch("SELECT action, actor, detail FROM audit ORDER BY position")
    found = [(row["action"], row["actor"], row["detail"]) for row in audited]
    assert found.count(("files.stored", "receipt_holder", "count:2")) == 1
    assert ("file.read", AGENCY, f"file:{letter['file_id']}") in found


async def test_nobody_else_reads_a_file(city: City) -> None:
    await city.running.files.add_files(city.case_id, city.receipt, [LETTER])
    await city.decide("narrative")
    (letter,) = await listed(city)
    file_id = letter["file_id"]

    with pytest.raises(FileNotReleased):
        await read(city, file_id, OTHER)
    with pytest.raises(FileNotReleased):
        await read(city, file_id, AGENCY, signed_by=OTHER)
    with pytest.raises(FileNotReleased):
        await read(city, file_id, referral_id=uuid4())
    with pytest.raises(FileNotReleased):
        await read(city, file_id, minutes=-6)
    with pytest.raises(FileNotReleased):
        await city.running.files.read_file(b"{}", "")
    await city.decide("identity")
    with pytest.raises(FileNotReleased):
        await read(city, file_id)
    assert not await city.room.fetch("SELECT 1 FROM audit WHERE action = 'file.read'")


async def test_an_accused_agency_reads_no_file_from_after_the_accusation(city: City) -> None:
    await city.decide("narrative")
    await city.running.files.add_files(city.case_id, city.receipt, [LETTER])
    await city.running.dossiers.release_due()
    (before,) = await listed(city)
    await city.running.amend_report(city.case_id, city.receipt, excluded_agencies=[AGENCY])
    await city.running.files.add_files(city.case_id, city.receipt, [PHOTO])
    await city.running.dossiers.release_due()

    assert await listed(city) == [before]
    assert await read(city, before["file_id"]) == STORY
    (after,) = await city.room.fetch(
        "SELECT file_id::text FROM reporter_file WHERE file_id::text <> $1", before["file_id"]
    )
    with pytest.raises(FileNotReleased):
        await read(city, after["file_id"])


async def test_a_report_takes_a_limited_number_all_or_none_and_none_when_closed(city: City) -> None:
    files = [UploadedFile(f"{n}.pdf", b"%PDF-1.7" + bytes([n])) for n in range(MAX_FILES + 1)]
    with pytest.raises(FileRefused) as refused:
        await city.running.files.add_files(city.case_id, city.receipt, files)
    assert refused.value.problem is FileProblem.TOO_MANY
    assert not await city.room.fetch("SELECT 1 FROM reporter_file")
    await city.running.files.add_files(city.case_id, city.receipt, files[1:])

    with pytest.raises(FileRefused):
        await city.running.files.add_files(city.case_id, city.receipt, files[:1])
    with pytest.raises(ReceiptUnknown):
        await city.running.files.add_files(city.case_id, "salah", files[:1])
    await city.room.fetch("INSERT INTO case_end (case_id, sequence, ended_at) VALUES ($1, 1, now())", city.case_id)
    with pytest.raises(ReportClosed):
        await city.running.files.add_files(city.case_id, city.receipt, files[:1])


async def test_an_erased_case_has_no_file_and_a_legal_hold_keeps_it(city: City) -> None:
    await city.running.files.add_files(city.case_id, city.receipt, [LETTER])
    erase = EraseCases(city.room.engine)
    await erase.place_hold(city.case_id, HoldReason.COURT_PROCEEDINGS, "12/2026", "kepala")
    with pytest.raises(CaseHeld):
        await erase.erase_case(city.case_id, ErasureReason.REQUEST, "kepala")
    assert len(await city.room.fetch("SELECT 1 FROM reporter_file")) == 1
    await erase.release_hold(city.case_id, HoldReason.COURT_PROCEEDINGS, "12/2026", "kepala")
    await city.room.fetch("UPDATE outbox SET published_at = now()")

    erased = await erase.erase_case(city.case_id, ErasureReason.REQUEST, "kepala")

    assert erased.sections["files"] == 1
    assert not await city.room.fetch("SELECT 1 FROM reporter_file")


@pytest.mark.parametrize(("expired", "left"), [("identity", 1), ("narrative", 0)])
async def test_files_are_kept_as_long_as_the_chronology(city: City, expired: str, left: int) -> None:
    await city.decide("narrative")
    await city.running.files.add_files(city.case_id, city.receipt, [LETTER])
    await city.running.dossiers.release_due()
    (letter,) = await listed(city)
    await city.room.fetch("INSERT INTO case_end (case_id, sequence, ended_at) VALUES ($1, 1, now())", city.case_id)
    async with city.room.engine.connect() as connection:
        (case,) = await repository.find_ended_cases(connection, utc_now(), UUID(int=0), 2)
    due = DueCase(case, Expiry(frozenset({expired}), is_whole_case=False))

    retention = ExecuteRetention(city.room.engine, city.running.vault, FindDueCases(city.room.engine, lambda _: None))  # type: ignore[arg-type,return-value]
    assert await retention._erase_sections(due)

    assert len(await city.room.fetch("SELECT 1 FROM reporter_file")) == left
    if left:
        # Under the new key of the case.
        assert await read(city, letter["file_id"]) == STORY
