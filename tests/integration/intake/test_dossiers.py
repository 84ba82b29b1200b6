"""Intake releases what routing lets an agency hold, and withdraws the rest; each is audited in its transaction."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from simpul_intake.dossier import TIME_TO_DELETE
from simpul_intake.erasure import ErasureReason
from simpul_intake.use_cases import EraseCases, record_merged_cases
from simpul_intake.vault import KeyServiceUnavailable, WrappedKey
from simpul_runtime.errors import Unprocessable
from simpul_runtime.outbox import Outbox
from simpul_runtime.transaction import Transactions
from simpul_schema import message_class
from simpul_schema.messages import CaseMergedV1
from simpul_schema.names import subject_of_disclosure, subject_of_dossier
from simpul_seal import Directory, KeyRing, NotForUs, generate, open_section, seal_section
from tests.integration.intake.conftest import FIRST_DAY, LAST_DAY, IntakeProcess, Room
from tests.support.handlers import HANDLERS

NAME, SCHOOL = "Wenthilora Paksibumi", "SD Kertasari Nampu"
IDENTITY = {"child_name": NAME, "school": SCHOOL, "address": "Gang Melintang 7"}
AGENCY, OTHER = "uptd-ppa", "dinsos-peksos"


@dataclass
class City:
    """Intake with one case, and what routing and two agencies say about it."""

    room: Room
    running: IntakeProcess
    rings: dict[str, KeyRing]
    case_id: UUID
    receipt: str
    referral_id: UUID = field(default_factory=uuid4)
    decided: int = 0

    async def decide(
        self,
        *sections: str,
        basis: str = "public_task",
        agency: str = AGENCY,
        number: int = 0,
        bases: dict[str, str] | None = None,
        **suspicion: int,
    ) -> None:
        """Lets an agency hold these sections, and carries it out."""
        self.decided = number or self.decided + 1
        event_id = uuid4()
        terms: dict[str, Any] = {
            "sections": sections,
            "basis": basis if sections else None,
            "services": ["case_management"],
        }
        terms |= {"bases": bases or {}, **suspicion}
        sealed = seal_section(
            json.dumps(terms).encode(),
            self.room.keys.directory.current("intake", FIRST_DAY),
            event_id=event_id,
            case_id=self.case_id,
            section="terms",
        )
        await self.receive(
            "disclosure.decided.v1",
            "/kediri/routing",
            subject_of_disclosure(self.referral_id),
            event_id=event_id,
            number=self.decided,
            agency=agency,
            decided_at="2026-11-27T15:00:05Z",
            sealed={"terms": sealed},
            case_id=str(self.case_id),
        )
        await self.running.dossiers.release_due()

    async def confirm(self, withdrawal_id: str, agency: str = AGENCY, source: str = AGENCY) -> None:
        """Confirms a deletion as an agency."""
        await self.receive(
            "reply.dossier.deleted.v1",
            f"/kediri/agency/{source}",
            subject_of_dossier(self.referral_id),
            agency=agency,
            withdrawal_id=withdrawal_id,
        )

    async def merge(self, duplicate: UUID) -> None:
        """Merges another case of the same child into this one."""
        merged = CaseMergedV1.model_validate(
            {
                "id": uuid4(),
                "source": "/kediri/routing",
                "subject": f"case/{duplicate}",
                "time": "2026-11-27T15:00:05Z",
                "sequence": "0000000004",
                "correlationid": duplicate,
                "data": {"case_id": duplicate, "into": self.case_id, "merged_at": "2026-11-27T15:00:05Z"},
            }
        )
        async with self.room.transactions.begin() as transaction:
            await record_merged_cases(transaction, [merged])

    async def receive(
        self, wire_name: str, source: str, subject: str, *, event_id: UUID | None = None, number: int = 1, **data: Any
    ) -> None:
        message = message_class(wire_name)
        assert message is not None
        event = message.read(
            {
                "id": event_id or uuid4(),
                "source": source,
                "subject": subject,
                "time": "2026-11-27T15:00:05Z",
                "sequence": f"{number:010d}",
                "correlationid": self.case_id,
                "data": {"referral_id": str(self.referral_id), **data},
            }
        )
        handlers = {
            "disclosure.decided.v1": self.running.dossiers.record_decisions,
            "reply.dossier.deleted.v1": self.running.dossiers.record_deletions,
        }
        assert message in HANDLERS["intake"]
        async with self.room.transactions.begin() as transaction:
            await handlers[wire_name](transaction, [event])  # type: ignore[operator]

    async def sent(self, wire_name: str = "") -> list[dict[str, Any]]:
        """Returns the events of a type that intake published about the dossier, in order."""
        rows = await self.room.fetch("SELECT body FROM outbox ORDER BY created_at, body")
        events = [json.loads(row["body"]) for row in rows]
        found = [event for event in events if event["type"].startswith(wire_name or "dossier.")]
        return sorted(found, key=lambda event: event["sequence"])

    def open(self, event: dict[str, Any], section: str, agency: str = AGENCY) -> dict[str, Any]:
        opened = open_section(
            event["data"]["sealed"][section]["ciphertext"],
            self.rings[agency],
            event_id=UUID(event["id"]),
            case_id=self.case_id,
            section=section,
        )
        return dict(json.loads(opened))

    async def audited(self) -> list[tuple[str, str]]:
        rows = await self.room.fetch("SELECT action, detail FROM audit WHERE action LIKE 'dossier.%' ORDER BY position")
        return [(row["action"], row["detail"]) for row in rows]


@pytest.fixture
async def city(room: Room) -> City:
    pairs = {party: generate(party, not_before=FIRST_DAY, not_after=LAST_DAY) for party in (AGENCY, OTHER)}
    rings = {party: ring for party, (ring, _) in pairs.items()}
    known = room.keys.directory.entries
    room.keys = replace(room.keys, directory=Directory([*known, *(public for _, public in pairs.values())]))
    room.transactions = Transactions(room.engine, Outbox("kediri", "intake", room.keys), lambda _: None)
    running = room.use_cases()
    case = await running.take_report(identity=IDENTITY, narrative={"chronology": "It began at school."})
    return City(room, running, rings, case.case_id, case.phrase)


def names(event: dict[str, Any]) -> list[tuple[str, int]]:
    return [(one["section"], one["revision"]) for one in event["data"]["sections"]]


async def test_an_agency_that_accepted_learns_what_its_services_need_sealed_to_it_alone(city: City) -> None:
    assert await city.sent() == []

    await city.decide("identity", "logistics")

    [release] = await city.sent()
    assert (release["type"], release["subject"]) == ("dossier.released.v1", f"dossier/{city.referral_id}")
    assert names(release) == [("identity", 1), ("logistics", 1)]
    assert release["data"]["sealed"].keys() == {"identity", "logistics"}
    assert city.open(release, "identity")["child_name"] == NAME
    assert city.open(release, "logistics")["address"] == "Gang Melintang 7"
    with pytest.raises(NotForUs):
        city.open(release, "identity", OTHER)
    assert NAME not in json.dumps(release)
    assert await city.audited() == [("dossier.released", "uptd-ppa:public_task:identity,logistics")]


async def test_each_section_is_released_on_its_own_basis_and_again_when_that_changes(city: City) -> None:
    before = {"identity": "guardian_consent", "logistics": "legal_duty"}
    await city.decide(*before, bases=before)
    await city.decide(*before, bases=before | {"identity": "public_task"})

    first, second = await city.sent()
    assert {one["section"]: one["basis"] for one in first["data"]["sections"]} == before
    assert [(one["section"], one["revision"], one["basis"]) for one in second["data"]["sections"]] == [
        ("identity", 2, "public_task")
    ]
    assert (await city.audited())[0] == ("dossier.released", "uptd-ppa:guardian_consent,legal_duty:identity,logistics")


async def test_what_the_version_before_wrote_while_the_database_was_upgraded_is_carried_out(city: City) -> None:
    await city.decide("identity", "logistics", basis="guardian_consent")
    write = "UPDATE disclosure SET sections = $1, basis = $2, due_at = now()"

    await city.room.fetch(write, ["identity"], "public_task")
    await city.running.dossiers.release_due()
    await city.room.fetch(write, [], None)
    await city.running.dossiers.release_due()
    await city.decide("identity", basis="legal_duty")

    again, last = (await city.sent("dossier.released.v1"))[1:]
    assert [[(one["section"], one["basis"]) for one in event["data"]["sections"]] for event in (again, last)] == [
        [("identity", "public_task")],
        [("identity", "legal_duty")],
    ]
    withdrawn = [event["data"]["sections"] for event in await city.sent("dossier.withdrawn.v1")]
    assert withdrawn == [["logistics"], ["identity"]]


async def test_an_upgrade_from_a_version_without_notes_sends_no_unchanged_section_again(city: City) -> None:
    sections = ("identity", "narrative", "medical", "legal", "school", "logistics")
    await city.decide(*sections)
    [release] = await city.sent()
    secrets = await city.running.secrets.load()
    for section, _ in names(release):
        content = {name: value for name, value in city.open(release, section).items() if name != "notes"}
        written = f"dossier|{section}|public_task|{json.dumps(content, sort_keys=True)}"
        digest = secrets.compute_mac(written.encode())
        await city.room.fetch("UPDATE held_section SET digest = $1 WHERE section = $2", digest, section)

    await city.room.fetch("UPDATE disclosure SET due_at = now()")
    await city.running.dossiers.release_due()

    assert len(names(release)) > 2
    assert await city.sent() == [release]


async def test_a_repeated_decision_sends_nothing_and_an_older_one_changes_nothing(city: City) -> None:
    await city.decide("identity")
    await city.decide("identity", number=1)
    await city.decide("identity", "narrative", number=3)
    await city.decide(number=2)

    assert [names(event) for event in await city.sent()] == [[("identity", 1)], [("narrative", 1)]]


async def test_amended_facts_follow_to_those_who_hold_the_section(city: City) -> None:
    await city.decide("identity", "narrative")
    await city.running.amend_report(city.case_id, city.receipt, identity={"child_name": "Wenthilora Paksibumi Ayu"})
    await city.running.dossiers.release_due()
    await city.running.amend_report(city.case_id, city.receipt, in_school="yes")
    await city.running.dossiers.release_due()

    first, second = await city.sent()
    assert names(second) == [("identity", 2)]
    assert city.open(second, "identity")["child_name"] == "Wenthilora Paksibumi Ayu"
    assert city.open(first, "narrative")["chronology"] == "It began at school."


async def accuse(city: City, text: str = "The officer is his cousin.") -> None:
    """Adds an accusation against an agency, which names it."""
    await city.running.amend_report(
        city.case_id, city.receipt, excluded_agencies=[AGENCY], narrative={"chronology": text}
    )
    await city.running.dossiers.release_due()


async def test_an_accusation_reaches_its_agency_only_after_a_person_has_cleared_it(city: City) -> None:
    await city.decide("identity", "narrative", "medical")
    # Routing has not decided about the amendment yet.
    await accuse(city)
    await city.decide("identity", "narrative", "medical", is_suspected=True)
    await accuse(city, "And his brother works there.")

    assert len(await city.sent()) == 1
    await city.decide("identity", "narrative", "medical", cleared_namings=2)
    *_, cleared = await city.sent()
    assert names(cleared) == [("narrative", 2), ("medical", 2)]
    assert city.open(cleared, "narrative")["chronology"] == "And his brother works there."
    # A decision is about what was known before.
    await accuse(city, "He was seen there again.")
    await city.decide("identity", "narrative", "medical", cleared_namings=2)
    assert (await city.sent())[-1] == cleared


async def test_a_suspected_agency_that_begins_to_protect_the_child_gets_no_text_that_accuses_it(city: City) -> None:
    await accuse(city)
    await city.decide("identity", "narrative", "legal", is_suspected=True)

    assert [names(event) for event in await city.sent()] == [[("identity", 1)]]


async def test_a_suspected_agency_that_is_excluded_loses_what_it_holds(city: City) -> None:
    await city.decide("identity", "narrative")
    await accuse(city)
    await city.decide()

    assert [event["type"] for event in await city.sent()] == ["dossier.released.v1", "dossier.withdrawn.v1"]


async def test_what_an_agency_may_no_longer_hold_is_withdrawn_and_its_deletion_confirmed(city: City) -> None:
    await city.decide("identity", "narrative")
    await city.decide("identity")
    await city.decide()

    partly, wholly = await city.sent("dossier.withdrawn.v1")
    assert (partly["data"]["sections"], wholly["data"]["sections"]) == (["narrative"], ["identity"])
    assert "basis" not in json.dumps(wholly)
    await city.confirm(partly["data"]["withdrawal_id"])
    await city.confirm(partly["data"]["withdrawal_id"])
    rows = await city.room.fetch("SELECT section, deleted_at FROM held_section ORDER BY section")
    assert [(row["section"], row["deleted_at"] is not None) for row in rows] == [
        ("identity", False),
        ("narrative", True),
    ]
    assert (await city.audited())[-1] == ("dossier.deleted", "narrative")


async def test_another_agency_cannot_confirm_for_the_one_that_holds_it(city: City) -> None:
    await city.decide("identity")
    await city.decide()
    [withdrawn] = await city.sent("dossier.withdrawn.v1")

    with pytest.raises(Unprocessable):
        await city.confirm(withdrawn["data"]["withdrawal_id"], agency=AGENCY, source=OTHER)
    await city.confirm(withdrawn["data"]["withdrawal_id"], agency=OTHER, source=OTHER)

    [row] = await city.room.fetch("SELECT deleted_at FROM held_section")
    assert row["deleted_at"] is None


async def test_a_section_is_released_again_when_the_agency_accepts_another_service(city: City) -> None:
    await city.decide("identity")
    await city.decide()
    await city.decide("identity")

    released = await city.sent("dossier.released.v1")
    assert [names(event) for event in released] == [[("identity", 1)], [("identity", 2)]]


async def test_an_overdue_confirmation_is_escalated_to_the_operator(city: City) -> None:
    await city.decide("identity")
    await city.decide()
    await city.running.dossiers.watch_deletions()
    assert city.running.dossiers.find_warnings() == []

    await city.room.fetch(
        "UPDATE held_section SET confirm_by = confirm_by - CAST($1 AS interval) - interval '1 minute'", TIME_TO_DELETE
    )
    await city.running.dossiers.watch_deletions()

    [warning] = city.running.dossiers.find_warnings()
    assert warning.startswith("uptd-ppa has not confirmed that it deleted 1 withdrawn dossiers")


async def test_an_erased_case_is_withdrawn_from_its_holders_who_complete_the_certificate(city: City) -> None:
    await city.decide("identity")
    await city.room.fetch("UPDATE outbox SET published_at = now()")
    erase = EraseCases(city.room.engine)

    erased = await erase.erase_case(city.case_id, ErasureReason.REQUEST, "op")
    await city.running.dossiers.release_due()

    assert [holder.name for holder in erased.holders] == ["intake", "routing", AGENCY]
    [withdrawn] = await city.sent("dossier.withdrawn.v1")
    await city.confirm(withdrawn["data"]["withdrawal_id"])
    after = await erase.load_erased_case(city.case_id)
    assert next(one for one in after.holders if one.name == AGENCY).confirmed_by == AGENCY


async def test_a_case_that_cannot_be_opened_delays_no_other_and_is_tried_again(city: City) -> None:
    other = await city.running.take_report(identity={"child_name": "Anak Lain"})
    await city.room.fetch("UPDATE section SET ciphertext = 'x' WHERE case_id = $1", city.case_id)
    await city.decide("identity")
    assert await city.sent() == []

    city.case_id, city.referral_id, city.decided = other.case_id, uuid4(), 0
    await city.decide("identity")

    assert len(await city.sent()) == 1
    [row] = await city.room.fetch("SELECT due_at > now() AS later FROM disclosure WHERE due_at IS NOT NULL")
    assert row["later"]


async def test_a_withdrawal_does_not_wait_for_the_key_service(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    await city.decide("identity", "narrative")

    async def be_away(key: object) -> bytes:
        raise KeyServiceUnavailable(str(type(key)))

    monkeypatch.setattr(city.running.vault, "unwrap", be_away)
    await city.decide("identity")
    await city.decide()

    withdrawn = [event["data"]["sections"] for event in await city.sent("dossier.withdrawn.v1")]
    assert withdrawn == [["narrative"], ["identity"]]


async def test_the_report_of_a_merged_duplicate_is_added_to_the_dossier(city: City) -> None:
    duplicate = await city.running.take_report(
        identity={
            "child_name": "Wentilora Paksibumi",
            "school": SCHOOL.upper(),
            "guardian_phone": "0812 000 111",
            "address": "Jalan Lain 3",
        },
        narrative={"chronology": "She came to us on Monday."},
        suspect_has_phone="yes",
    )
    await city.decide("identity", "narrative", "school", "logistics")

    await city.merge(duplicate.case_id)
    await city.running.dossiers.release_due()
    await city.running.amend_report(
        duplicate.case_id, duplicate.phrase, narrative={"chronology": "He waits at the gate."}
    )
    await city.running.dossiers.release_due()

    _, again, amended = await city.sent("dossier.released.v1")
    assert names(again) == [("identity", 2), ("narrative", 2), ("logistics", 2)]
    assert city.open(again, "identity")["child_name"] == f"{NAME}; Wentilora Paksibumi"
    logistics = city.open(again, "logistics")
    assert (logistics["guardian_phone"], logistics["address"]) == ("", "Gang Melintang 7; Jalan Lain 3")
    assert names(amended) == [("narrative", 3)]
    assert city.open(amended, "narrative")["chronology"].split("\n\n") == [
        "It began at school.",
        "He waits at the gate.",
    ]


async def test_a_merge_while_keys_are_unwrapped_is_not_lost(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    duplicate = await city.running.take_report(narrative={"chronology": "He waits at the gate."})
    unwrap_all = city.running.vault.unwrap_all

    async def merge_meanwhile(keys: Sequence[WrappedKey]) -> list[bytes]:
        if len(keys) == 1:
            await city.merge(duplicate.case_id)
        return await unwrap_all(keys)

    monkeypatch.setattr(city.running.vault, "unwrap_all", merge_meanwhile)
    await city.decide("narrative")
    await city.running.dossiers.release_due()

    newest = (await city.sent("dossier.released.v1"))[-1]
    assert city.open(newest, "narrative")["chronology"].split("\n\n") == [
        "It began at school.",
        "He waits at the gate.",
    ]
