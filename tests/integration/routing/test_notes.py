"""Agencies note what others should know; who may hold the section of the dossier that a note adds to may read it."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from simpul_routing.domain.exclusions import SuggestionState
from simpul_routing.errors import CaseUnknown
from simpul_schema import Event
from simpul_schema.messages import CaseErasedV1, ReplyNoteAddedV1
from simpul_schema.messages.reply import CaseNote
from simpul_schema.vocabulary import ActorRole, DossierSection
from simpul_seal import open_section, seal_section
from tests.integration.routing.conftest import Room
from tests.support.actors import UPTD, acting

TEXT = "Wenthilora sleeps at her aunt's."
FACTS: dict[str, Any] = {
    "violence": ["sexual"],
    "sexual_under_72h": "yes",
    "safe_now": "yes",
    "injured": "yes",
    "place": "household",
}


def a_note(room: Room, offer: dict[str, Any], about: str = "narrative", agency: str = "", text: str = TEXT) -> Event:
    event_id, by = uuid4(), agency or offer["agency"]
    content = CaseNote(about=DossierSection(about), text=text).model_dump_json().encode()
    case_id = UUID(offer["case_id"])
    sealed = seal_section(
        content, room.keys.directory.current("routing", room.now), event_id=event_id, case_id=case_id, section="note"
    )
    return ReplyNoteAddedV1.model_validate(
        {
            "id": event_id,
            "source": f"/kediri/agency/{by}",
            "subject": f"referral/{offer['referral_id']}",
            "time": room.now,
            "sequence": "0000000003",
            "correlationid": case_id,
            "data": {"referral_id": offer["referral_id"], "agency": by, "sealed": {"note": sealed}},
        }
    )


async def serving(room: Room) -> tuple[UUID, dict[str, Any]]:
    """A case that three agencies serve, and their services by agency."""
    case = await room.report(**FACTS)
    offers = {}
    for agency in ("uptd-ppa", "rs-rujukan", "ylpa"):
        offers[agency] = room.find_offers(case_id=str(case), agency=agency)[0]
        await room.reply("accepted", offers[agency])
    return case, offers


async def texts(room: Room, case: UUID, agency: str) -> list[str]:
    return [note.text for note in await room.notes.list_notes(case, acting(agency, ActorRole.RESPONDER))]


async def test_a_note_is_read_by_who_may_hold_its_section_and_by_its_author(room: Room) -> None:
    case, offers = await serving(room)

    note = a_note(room, offers["rs-rujukan"], "logistics")
    await room.receive([note])
    await room.receive([note])
    await room.receive([a_note(room, offers["rs-rujukan"], "medical", text="a bruise")])

    assert set(await texts(room, case, "rs-rujukan")) == {TEXT, "a bruise"}
    # Who manages the case has to find the child, and does not need what the hospital found.
    assert await texts(room, case, "uptd-ppa") == [TEXT]
    # An agency that was asked and has not accepted.
    assert await texts(room, case, "polres-ppa") == []
    stored = await room.rows("SELECT content FROM agency_note")
    assert [b"Wenthilora" in bytes(row["content"]) for row in stored] == [False, False]
    assert "Wenthilora" not in str(room.events)
    assert not [one for one in await room.rows("SELECT note FROM case_event") if b"Wenthilora" in bytes(one["note"])]


async def test_a_note_reaches_intake_once_and_sealed_to_it_alone(room: Room) -> None:
    case, offers = await serving(room)
    note = a_note(room, offers["rs-rujukan"], "logistics")

    await room.receive([note])
    await room.receive([note])
    waiting = next(one for one in room.find_offers(case_id=str(case)) if one["agency"] == "polres-ppa")
    await room.receive([a_note(room, waiting)])

    (event,) = [one for one in room.events if one["type"] == "case.note_added.v1"]
    assert [key for key, one in room.sent if one["id"] == event["id"]] == ["case.note_added.v1"]
    sealed = event["data"]["sealed"]["added_note"]
    opened = open_section(
        sealed["ciphertext"], room.rings["intake"], event_id=UUID(event["id"]), case_id=case, section="added_note"
    )
    assert json.loads(opened) == {"about": "logistics", "agency": "rs-rujukan", "text": TEXT}
    assert event["data"]["note_id"] == str(note.id)


async def test_nobody_reads_the_notes_of_a_case_that_is_not_theirs(room: Room) -> None:
    case, offers = await serving(room)
    await room.receive([a_note(room, offers["uptd-ppa"])])

    with pytest.raises(CaseUnknown):
        await texts(room, case, "satgas-kel-bandar-lor")
    await room.triage.exclude_agency(case, await room.version(case), "ylpa", by=UPTD, reason="x")
    with pytest.raises(CaseUnknown):
        await texts(room, case, "ylpa")


async def test_only_an_agency_that_serves_the_case_adds_a_note(room: Room) -> None:
    case, offers = await serving(room)
    waiting = next(one for one in room.find_offers(case_id=str(case)) if one["agency"] == "polres-ppa")
    nothing = offers["ylpa"] | {"referral_id": str(uuid4())}

    for note in (a_note(room, waiting), a_note(room, offers["ylpa"], agency="rs-rujukan"), a_note(room, nothing)):
        await room.receive([note])

    reasons = [refusal["reason"] for refusal in room.find_data("referral.reply_refused.v1")]
    assert reasons == ["not_now", "not_its_referral", "unknown_referral"]
    assert await room.rows("SELECT * FROM agency_note") == []


async def test_a_suspected_agency_reads_no_note_from_after_the_suspicion(room: Room) -> None:
    case, offers = await serving(room)
    await room.receive([a_note(room, offers["uptd-ppa"], "logistics", text="before")])
    assert await texts(room, case, "ylpa") == ["before"]
    room.now += timedelta(hours=1)
    await room.amend(case, suggested_exclusions=["ylpa"])
    await room.receive([a_note(room, offers["uptd-ppa"], "logistics", text="after")])

    assert await texts(room, case, "ylpa") == ["before"]
    await room.triage.decide_suggestion(
        case, await room.version(case), "ylpa", SuggestionState.REJECTED, by=UPTD, reason="a namesake"
    )
    assert await texts(room, case, "ylpa") == ["after", "before"]


def an_erasure(room: Room, case: UUID, *sections: str) -> Event:
    """What intake sends when the vault erased these sections, or without any the whole case."""
    every = [one.value for one in DossierSection]
    return CaseErasedV1.model_validate(
        {
            "id": uuid4(),
            "source": "/kediri/intake",
            "subject": f"erasure/{case}",
            "time": room.now,
            "sequence": "0000000001",
            "correlationid": case,
            "data": {
                "case_id": case,
                "sections": sections or every,
                "is_whole_case": not sections,
                "erased_at": room.now,
            },
        }
    )


async def test_notes_go_with_the_section_that_they_add_to(room: Room) -> None:
    case, offers = await serving(room)
    for about in ("narrative", "logistics"):
        await room.receive([a_note(room, offers["uptd-ppa"], about, text=about)])
    erasure = an_erasure(room, case, "narrative")
    room.now += timedelta(hours=1)
    await room.receive([a_note(room, offers["uptd-ppa"], "narrative", text="later")])

    await room.receive([erasure])

    assert await texts(room, case, "uptd-ppa") == ["later", "logistics"]


async def test_an_erased_case_has_no_note_and_gets_none(room: Room) -> None:
    case, offers = await serving(room)
    other, other_offers = await serving(room)
    await room.receive([a_note(room, offers["uptd-ppa"])])
    await room.receive([a_note(room, other_offers["uptd-ppa"])])

    await room.receive([an_erasure(room, case)])
    await room.receive([an_erasure(room, case)])
    await room.receive([a_note(room, offers["uptd-ppa"])])

    assert await room.rows("SELECT case_id FROM agency_note") == [{"case_id": other}]
    assert [one["reason"] for one in room.find_data("referral.reply_refused.v1")] == ["not_now"]


async def test_notes_of_a_merged_duplicate_continue_in_the_other_case(room: Room) -> None:
    case, offers = await serving(room)
    duplicate = await room.report(**FACTS)
    offer = room.find_offers(case_id=str(duplicate), agency="uptd-ppa")[0]
    await room.reply("accepted", offer)
    await room.receive([a_note(room, offer)])
    await room.end.merge_cases(duplicate, await room.version(duplicate), case, by=UPTD, reason="one child")

    assert await texts(room, case, "uptd-ppa") == [TEXT]
    assert offers
