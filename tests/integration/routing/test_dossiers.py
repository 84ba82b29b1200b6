"""Routing decides what an agency may hold, and passes on what intake sends: sealed, numbered, unless excluded."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from simpul_runtime.errors import Unprocessable
from simpul_schema import message_class
from simpul_schema.messages.dossier import DisclosureTerms
from simpul_schema.vocabulary import DisclosureBasis, DossierSection, Service
from simpul_seal import open_section, sign
from tests.integration.routing.conftest import Room
from tests.support.actors import BOARD

AGENCY = "rs-rujukan"


def terms(room: Room, event: dict[str, Any]) -> DisclosureTerms:
    """Opens what an agency may hold, with intake's key."""
    opened = open_section(
        event["data"]["sealed"]["terms"]["ciphertext"],
        room.rings["intake"],
        event_id=UUID(event["id"]),
        case_id=UUID(event["correlationid"]),
        section="terms",
    )
    return DisclosureTerms.model_validate_json(opened)


def decisions(room: Room) -> list[dict[str, Any]]:
    return [event for event in room.events if event["type"] == "disclosure.decided.v1"]


async def from_intake(room: Room, wire_name: str, offer: dict[str, Any], number: int, **data: Any) -> bytes:
    """Lets routing receive an event about a dossier; returns its bytes as intake signed them."""
    message = message_class(wire_name)
    assert message is not None
    moment = "2026-11-27T15:00:06Z"
    event = {
        "specversion": "1.0",
        "id": str(uuid4()),
        "source": "/kediri/intake",
        "type": wire_name,
        "time": moment,
        "subject": f"dossier/{offer['referral_id']}",
        "datacontenttype": "application/json",
        "sequence": f"{number:010d}",
        "correlationid": offer["case_id"],
        "data": {
            "referral_id": offer["referral_id"],
            "case_id": offer["case_id"],
            "agency": offer["agency"],
            "a_field_of_a_later_version": 1,
            "sealed": {},
            **data,
        },
    }
    body = json.dumps(event, indent=1).encode()
    async with room.transaction() as transaction:
        parsed = message.read(event)
        transaction.originals = {parsed.id: (body, sign(body, room.rings["intake"]))}
        await room.handlers[message](transaction, [parsed])
    return body


async def release(room: Room, offer: dict[str, Any], number: int = 1, **data: Any) -> bytes:
    section = {"section": "identity", "revision": 1, "basis": "legal_duty"}
    known = {"sections": [section], "released_at": "2026-11-27T15:00:06Z"}
    return await from_intake(room, "dossier.released.v1", offer, number, **(known | data))


async def withdraw(room: Room, offer: dict[str, Any], number: int = 2, section: str = "identity") -> bytes:
    known = {"confirm_by": "2026-11-30T15:00:06Z", "withdrawn_at": "2026-11-27T15:00:06Z", "sections": [section]}
    return await from_intake(room, "dossier.withdrawn.v1", offer, number, withdrawal_id=str(uuid4()), **known)


async def forwarded(room: Room) -> list[tuple[str, bytes, str]]:
    rows = await room.rows(
        "SELECT routing_key, body, signature FROM outbox WHERE routing_key LIKE '%dossier%' ORDER BY created_at"
    )
    return [(row["routing_key"], row["body"], row["signature"]) for row in rows]


async def test_intake_alone_learns_what_an_accepting_agency_may_hold_and_when_that_ends(room: Room) -> None:
    case = await room.report(violence=["sexual"], sexual_under_72h="yes")
    assert decisions(room) == []
    offer = room.find_offer(case, "pep_72h")
    await room.reply("accepted", offer)
    await room.reply("accepted", offer)
    await room.reply("completed", offer, outcome="served")

    first, last = decisions(room)
    assert first["subject"] == last["subject"] == f"disclosure/{offer['referral_id']}"
    assert (first["sequence"], last["sequence"]) == ("0000000001", "0000000002")
    known = terms(room, first)
    assert set(known.sections) == {DossierSection.IDENTITY, DossierSection.MEDICAL, DossierSection.LOGISTICS}
    assert (known.services, known.basis) == ((Service.PEP_72H,), DisclosureBasis.VITAL_INTEREST)
    assert set(known.clauses) == {"DIS-6", "BAS-V3"}
    assert terms(room, last) == DisclosureTerms(sections=())
    assert not {key for key, _ in room.sent if "disclosure" in key and key.startswith("referral.")}


async def test_what_intake_sends_is_passed_on_unchanged_and_numbered(room: Room) -> None:
    case = await room.report(violence=["sexual"], sexual_under_72h="yes")
    offer = room.find_offer(case, "pep_72h")

    released = await release(room, offer)
    withdrawn = await withdraw(room, offer)

    assert [(key, body) for key, body, _ in await forwarded(room)] == [
        ("referral.rs-rujukan.dossier.released.v1", released),
        ("referral.rs-rujukan.dossier.withdrawn.v1", withdrawn),
    ]
    await room.manifests.publish_manifests()
    listed = [
        entry["event_id"]
        for event in room.find_events_sent_to(AGENCY)
        if event["type"] == "agency.manifest.v1"
        for entry in event["data"]["events"]
    ]
    assert {json.loads(released)["id"], json.loads(withdrawn)["id"]} <= set(listed)


async def test_an_excluded_agency_gets_no_dossier_but_must_delete_the_one_it_has(room: Room) -> None:
    case = await room.report(violence=["sexual"], sexual_under_72h="yes")
    offer = room.find_offer(case, "pep_72h")
    await room.reply("accepted", offer)
    await room.triage.exclude_agency(case, await room.version(case), AGENCY, by=BOARD, reason="his brother works there")

    await release(room, offer)
    withdrawn = await withdraw(room, offer)

    assert [body for _, body, _ in await forwarded(room)] == [withdrawn]
    # Intake learns it, too: nothing may be held any more.
    assert terms(room, decisions(room)[-1]) == DisclosureTerms(sections=())


async def test_a_dossier_for_another_agency_than_that_of_the_referral_is_refused(room: Room) -> None:
    case = await room.report(violence=["sexual"], sexual_under_72h="yes")
    offer = room.find_offer(case, "pep_72h")

    with pytest.raises(Unprocessable):
        await release(room, offer | {"agency": "ylpa"})

    assert await forwarded(room) == []


async def test_a_withdrawn_release_is_neither_kept_nor_sent_again(room: Room) -> None:
    case = await room.report(violence=["sexual"], sexual_under_72h="yes")
    offer = room.find_offer(case, "pep_72h")
    await release(room, offer)
    await room.rows("UPDATE outbox SET published_at = now() - interval '1 hour'")
    await room.manifests.publish_manifests()

    await withdraw(room, offer)

    assert [len(body) > 0 for _, body, _ in await forwarded(room)] == [False, True]
    assert await count_withheld_on_resend(room) == 1
    again = await room.rows("SELECT routing_key FROM outbox WHERE last_error = 'sent_again' AND body = ''")
    assert again == []


async def count_withheld_on_resend(room: Room) -> int:
    """Lets the agency request a resend of everything; returns how many events routing withholds."""
    await room.rows("UPDATE outbox SET published_at = now() - interval '1 hour'")
    await room.manifests.publish_manifests()
    request = message_class("reply.resend.requested.v1")
    assert request is not None
    room.sent.clear()
    await room.receive(
        [
            request.read(
                {
                    "id": uuid4(),
                    "source": f"/kediri/agency/{AGENCY}",
                    "subject": f"agency/{AGENCY}",
                    "time": room.now,
                    "sequence": "0000000001",
                    "correlationid": uuid4(),
                    "data": {"agency": AGENCY, "first_manifest_number": 1},
                }
            )
        ]
    )
    await room.manifests.answer_resend_requests()
    [answer] = [event for event in room.find_events_sent_to(AGENCY) if event["type"] == "agency.manifest.v1"]
    return [entry["is_withheld"] for entry in answer["data"]["events"]].count(True)


async def test_a_release_withdrawn_by_several_events_is_neither_kept_nor_sent_again(room: Room) -> None:
    case = await room.report(violence=["sexual"], sexual_under_72h="yes")
    offer = room.find_offer(case, "pep_72h")
    sections = [{"section": name, "revision": 1, "basis": "legal_duty"} for name in ("identity", "medical")]
    await release(room, offer, sections=sections)
    await room.rows("UPDATE outbox SET published_at = now() - interval '1 hour'")

    await withdraw(room, offer, 2, "identity")
    kept = [len(body) > 0 for _, body, _ in await forwarded(room)]
    await withdraw(room, offer, 3, "medical")

    assert kept == [True, True]
    assert [len(body) > 0 for _, body, _ in await forwarded(room)] == [False, True, True]
    assert await count_withheld_on_resend(room) == 1


async def test_a_release_that_was_still_on_its_way_at_the_withdrawal_is_not_sent_again(room: Room) -> None:
    case = await room.report(violence=["sexual"], sexual_under_72h="yes")
    offer = room.find_offer(case, "pep_72h")
    await release(room, offer)

    await withdraw(room, offer)

    # It is published before its withdrawal, so it keeps its content for now.
    assert [len(body) > 0 for _, body, _ in await forwarded(room)] == [True, True]
    assert await count_withheld_on_resend(room) == 1
    assert [len(body) > 0 for _, body, _ in await forwarded(room)] == [False, True]


async def test_a_release_waits_while_its_case_cannot_be_decrypted(room: Room) -> None:
    case = await room.report(violence=["sexual"], sexual_under_72h="yes")
    offer = room.find_offer(case, "pep_72h")
    facts = (await room.rows("SELECT situation FROM case_plan WHERE case_id = $1", case))[0]["situation"]
    await room.rows("UPDATE case_plan SET situation = 'damaged' WHERE case_id = $1", case)

    with pytest.raises(Exception, match=r".*") as refused:
        await release(room, offer)
    dropped = await forwarded(room)
    await room.rows("UPDATE case_plan SET situation = $2 WHERE case_id = $1", case, facts)
    sent = await release(room, offer)

    assert not isinstance(refused.value, Unprocessable)
    assert dropped == []
    assert [body for _, body, _ in await forwarded(room)] == [sent]


async def test_a_case_from_before_the_upgrade_is_decided_about_once(room: Room) -> None:
    by_case = {await room.report(violence=["sexual"], sexual_under_72h="yes"): "" for _ in range(3)}
    for case in by_case:
        await room.reply("accepted", room.find_offer(case, "pep_72h"))
    unreadable, merged, into = by_case
    await room.end.merge_cases(merged, await room.version(merged), into, by=BOARD, reason="one child")
    await room.rows("INSERT INTO earlier_disclosure SELECT case_id, $1 FROM case_plan", room.now)
    [kept] = await room.rows("SELECT situation FROM case_plan WHERE case_id = $1", unreadable)
    await room.rows("UPDATE case_plan SET situation = '' WHERE case_id = $1", unreadable)
    before = len(decisions(room))

    await room.earlier_disclosures.decide_due(room.now)

    # Both waiting cases continue in one file, whose agencies are decided about for each.
    again = decisions(room)[before:]
    assert {one["data"]["agency"] for one in again} == {AGENCY}
    assert {DossierSection.IDENTITY, DossierSection.MEDICAL, DossierSection.LOGISTICS} == {
        section for one in again for section in terms(room, one).sections
    }
    [waiting] = await room.rows("SELECT case_id, due_at > $1 AS later FROM earlier_disclosure", room.now)
    assert waiting == {"case_id": unreadable, "later": True}
    await room.rows("UPDATE case_plan SET situation = $2 WHERE case_id = $1", unreadable, kept["situation"])
    before = len(decisions(room))
    await room.earlier_disclosures.decide_due(room.now)
    assert len(decisions(room)) == before
    room.now += timedelta(hours=1)
    await room.earlier_disclosures.decide_due(room.now)
    assert [one["correlationid"] for one in decisions(room)[before:]] == [str(unreadable)]
    assert await room.rows("SELECT * FROM earlier_disclosure") == []
