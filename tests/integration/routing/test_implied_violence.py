"""Implied sexual violence: the case is referred, published and replanned as sexual violence."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from simpul_agreement import engine
from simpul_schema.vocabulary import Violence
from tests.integration.routing.conftest import START, Room
from tests.support.actors import UPTD

UNDER_72H = {"sexual_under_72h": "yes"}
PREGNANT_AT_14 = {"pregnant": "yes", "age_band": "from_12_to_14"}
PREGNANT_AT_15 = {"pregnant": "yes", "age_band": "from_15_to_17"}
CALM: dict[str, Any] = {"violence": ["physical"], "kelurahan": "Bujel", "safe_now": "yes", "injured": "no"}


def agencies(room: Room, case: UUID) -> set[str]:
    return {entry["agency"] for entry in room.find_offers(case_id=str(case))}


def services(room: Room, case: UUID) -> set[str]:
    return {entry["service"] for entry in room.find_offers(case_id=str(case))}


async def is_locked(room: Room, case: UUID) -> bool:
    [plan] = await room.rows("SELECT mediation_locked FROM case_plan WHERE case_id = $1", case)
    return bool(plan["mediation_locked"])


@pytest.mark.parametrize(
    ("sign", "service"), [(UNDER_72H, "pep_72h"), (PREGNANT_AT_14, "medical_care")], ids=["under 72h", "pregnant at 14"]
)
async def test_a_report_that_names_physical_violence_only_is_referred_as_sexual(
    room: Room, sign: dict[str, str], service: str
) -> None:
    case = await room.report(**CALM | sign)

    exam = room.find_offer(case, "forensic_exam")
    clocks = await room.rows("SELECT clock, due_at FROM clock WHERE service_id = $1", UUID(exam["service_id"]))
    due = {row["clock"]: row["due_at"] for row in clocks}
    assert agencies(room, case) >= {"polres-ppa", "uptd-ppa", "rs-rujukan"}
    assert services(room, case) >= {"forensic_exam", "psychologist", "accompany_report", service}
    assert await is_locked(room, case)
    assert due["health_window"] == START + timedelta(hours=72)


@pytest.mark.parametrize("facts", [PREGNANT_AT_15, {"pregnant": "yes"}, {"sexual_under_72h": "no"}])
async def test_without_a_sign_neither_police_nor_lock_follow(room: Room, facts: dict[str, str]) -> None:
    case = await room.report(**CALM | facts)

    assert "polres-ppa" not in agencies(room, case)
    assert not await is_locked(room, case)


async def test_every_addressed_agency_reads_what_is_implied_apart_from_what_was_reported(room: Room) -> None:
    case = await room.report(**CALM | UNDER_72H | {"trafficking_sign": "yes"})
    plain = await room.report(**CALM)

    read = [room.open_facts(entry) for entry in room.find_offers(case_id=str(case))]
    assert {facts.violence for facts in read} == {(Violence.PHYSICAL, Violence.SEXUAL, Violence.TRAFFICKING)}
    assert {facts.implied_violence for facts in read} == {(Violence.SEXUAL, Violence.TRAFFICKING)}
    other = room.open_facts(room.find_offers(case_id=str(plain))[0])
    assert (other.violence, other.implied_violence) == ((Violence.PHYSICAL,), ())


async def test_an_age_reported_later_implies_sexual_violence(room: Room) -> None:
    case = await room.report(**CALM | {"pregnant": "yes"})
    before = agencies(room, case)
    await room.amend(case, age_band="from_12_to_14")

    assert "polres-ppa" not in before
    assert "polres-ppa" in {entry["agency"] for entry in room.find_data("case.replanned.v1")[-1]["added"]}
    assert await is_locked(room, case)
    assert room.open_facts(room.find_offer(case, "forensic_exam")).implied_violence == (Violence.SEXUAL,)


async def test_two_cases_of_one_child_imply_together_what_neither_does(room: Room) -> None:
    pregnant = await room.report(**CALM | {"pregnant": "yes"})
    aged = await room.report(**CALM | {"age_band": "from_12_to_14"})
    apart = await is_locked(room, pregnant), await is_locked(room, aged)
    await room.end.merge_cases(aged, await room.version(aged), pregnant, by=UPTD, reason="the same girl")

    assert apart == (False, False)
    assert await is_locked(room, pregnant)
    assert room.open_facts(room.find_offer(pregnant, "forensic_exam")).implied_violence == (Violence.SEXUAL,)


async def test_a_case_decided_before_the_rule_is_caught_when_it_is_decided_again(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before_the_rule:
        before_the_rule.setattr(engine, "normalize_situation", lambda situation: situation)
        case = await room.report(**CALM | PREGNANT_AT_14)
    decided_before = agencies(room, case), await is_locked(room, case)
    await room.amend(case)

    assert ("polres-ppa" in decided_before[0], decided_before[1]) == (False, False)
    assert "polres-ppa" in agencies(room, case)
    assert await is_locked(room, case)
