"""A note of an agency becomes part of the section that it is about: those who hold it read it, as long as they do."""

from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

from simpul_intake.erasure import ErasureReason
from simpul_intake.use_cases import EraseCases
from simpul_intake.use_cases.keep_notes import MAX_NOTES
from simpul_schema.messages import CaseNoteAddedV1
from simpul_schema.messages.case import AddedNote
from simpul_seal import seal_section
from tests.integration.intake.conftest import FIRST_DAY
from tests.integration.intake.test_dossiers import AGENCY, IDENTITY, OTHER, City, accuse, city, names
from tests.support.handlers import HANDLERS

__all__ = ["city"]

TEXT = "Wenthilora sleeps at her aunt's."


async def note(city: City, about: str, text: str = TEXT, case_id: UUID | None = None, minute: int = 0) -> UUID:
    """Stores a note as routing passes it on; twice, because messages are repeated."""
    event_id, note_id, case_id = uuid4(), uuid4(), case_id or city.case_id
    content = AddedNote.model_validate({"about": about, "agency": "rs-rujukan", "text": text})
    sealed = seal_section(
        content.model_dump_json().encode(),
        city.room.keys.directory.current("intake", FIRST_DAY),
        event_id=event_id,
        case_id=case_id,
        section="added_note",
    )
    event = CaseNoteAddedV1.model_validate(
        {
            "id": event_id,
            "source": "/kediri/routing",
            "subject": f"note/{note_id}",
            "time": FIRST_DAY,
            "sequence": "0000000001",
            "correlationid": case_id,
            "data": {
                "case_id": case_id,
                "note_id": note_id,
                "sealed": {"added_note": sealed},
                "written_at": FIRST_DAY.replace(minute=minute),
            },
        }
    )
    assert CaseNoteAddedV1 in HANDLERS["intake"]
    for _ in range(2):
        async with city.room.transactions.begin() as transaction:
            await city.running.notes.record_notes(transaction, [event])
    await city.running.dossiers.release_due()
    return note_id


def notes_in(city: City, event: dict[str, Any], section: str, agency: str = AGENCY) -> list[tuple[str, str]]:
    return [(one["agency"], one["text"]) for one in city.open(event, section, agency)["notes"]]


async def stored(city: City) -> str:
    tables = await city.room.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return str([await city.room.fetch(f"SELECT * FROM {row['tablename']}") for row in tables])


async def test_a_note_follows_to_those_who_hold_its_section_and_is_clear_nowhere(city: City) -> None:
    other = replace(city, referral_id=uuid4())
    await city.decide("logistics", "school")
    await other.decide("identity", agency=OTHER)

    note_id = await note(city, "logistics")

    *_, added = await city.sent("dossier.released.v1")
    assert (added["data"]["agency"], names(added)) == (AGENCY, [("logistics", 2)])
    assert notes_in(city, added, "logistics") == [("rs-rujukan", TEXT)]
    assert len(await city.sent("dossier.released.v1")) == 3
    assert TEXT not in await stored(city)
    entries = await city.room.fetch("SELECT actor, detail FROM audit WHERE action = 'note.stored'")
    assert [(row["actor"], row["detail"]) for row in entries] == [("rs-rujukan", f"note:{note_id}")]
    # Whoever needs the section later reads the note too, also where the report is silent about it.
    await note(city, "medical", "A bruise on the arm.")
    await other.decide("identity", "medical", agency=OTHER)
    *_, later = await other.sent("dossier.released.v1")
    assert notes_in(other, later, "medical", OTHER) == [("rs-rujukan", "A bruise on the arm.")]


async def test_a_note_is_withdrawn_with_its_section(city: City) -> None:
    await city.decide("legal", "logistics")
    await note(city, "legal")
    await city.decide("logistics")

    (withdrawn,) = await city.sent("dossier.withdrawn.v1")
    assert withdrawn["data"]["sections"] == ["legal"]
    await note(city, "legal", "A second one.")
    assert len(await city.sent("dossier.released.v1")) == 2


async def test_an_accused_agency_gets_no_note_from_after_the_accusation(city: City) -> None:
    await city.decide("logistics", "narrative")
    await note(city, "logistics", "Before.")
    await accuse(city)
    sent = len(await city.sent())

    await note(city, "logistics", "The officer is his cousin.", minute=1)
    await note(city, "medical", "He asked after the child.", minute=2)
    await city.decide("logistics", "narrative", "medical", is_suspected=True)

    # What protects the child reaches it once, without what anybody noted.
    (protecting,) = (await city.sent())[sent:]
    assert names(protecting) == [("medical", 1)]
    assert notes_in(city, protecting, "medical") == []
    await city.decide("logistics", "narrative", "medical", is_cleared=True, cleared_namings=1)
    *_, cleared = await city.sent("dossier.released.v1")
    assert notes_in(city, cleared, "logistics") == [
        ("rs-rujukan", "Before."),
        ("rs-rujukan", "The officer is his cousin."),
    ]
    assert notes_in(city, cleared, "medical") == [("rs-rujukan", "He asked after the child.")]


async def test_notes_to_a_merged_duplicate_are_in_the_dossier_of_the_other(city: City) -> None:
    duplicate = (await city.running.take_report(identity=IDENTITY)).case_id
    await city.decide("logistics")
    await note(city, "logistics", "To the first.", minute=1)
    await note(city, "logistics", "To the duplicate.", duplicate)

    await city.merge(duplicate)
    await city.running.dossiers.release_due()

    *_, combined = await city.sent("dossier.released.v1")
    assert notes_in(city, combined, "logistics") == [
        ("rs-rujukan", "To the duplicate."),
        ("rs-rujukan", "To the first."),
    ]


async def test_the_dossier_holds_the_newest_notes(city: City) -> None:
    await city.decide("school")
    for number in range(MAX_NOTES + 1):
        await note(city, "school", f"Note {number}.", minute=number)

    *_, newest = await city.sent("dossier.released.v1")
    texts = [text for _, text in notes_in(city, newest, "school")]
    assert texts == [f"Note {number}." for number in range(1, MAX_NOTES + 1)]


async def test_notes_are_erased_with_the_case_and_none_is_added_to_it(city: City) -> None:
    await city.decide("logistics")
    await note(city, "logistics")
    async with city.room.engine.begin() as connection:
        await connection.exec_driver_sql("DELETE FROM outbox")

    erased = await EraseCases(city.room.engine).erase_case(city.case_id, ErasureReason.REQUEST, "kepala")
    await city.running.dossiers.release_due()
    await note(city, "logistics", "Too late.")

    assert erased.sections["notes"] == 1
    assert not await city.room.fetch("SELECT 1 FROM dossier_note")
    assert [one["data"]["sections"] for one in await city.sent("dossier.withdrawn.v1")] == [["logistics"]]
