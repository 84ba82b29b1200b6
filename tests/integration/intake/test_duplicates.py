"""Cases of one child are suspected by tokens, and a complaint centre learns whom to ask and nothing else."""

import asyncio
import json
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import text

from simpul_cli.databases import create_databases
from simpul_dev.backends import Backends
from simpul_intake import repository
from simpul_intake.api import ReportIn
from simpul_intake.domain import DuplicateReason, Report
from simpul_intake.errors import MaybeReportedBefore
from simpul_intake.repository.duplicates import _FIND_CANDIDATES
from simpul_intake.use_cases import Override
from simpul_intake.use_cases.search_duplicates import SEARCH_TIME
from simpul_runtime.database import utc_now
from simpul_runtime.migrations import migrate_async
from tests.integration.intake.conftest import IntakeProcess, Room
from tests.support.reports import a_report

ONE = {"child_name": "Soedjatmika Wenthilora", "birth_date": "12 Maret 2017", "guardian_phone": "080012345678"}
SAME = {"child_name": "Sujatmika Wentilora", "birth_date": "2017-03-12", "guardian_name": "Zamboreth"}
OTHER = {"child_name": "Velqira Tlogoputra", "birth_date": "2011-07-01", "guardian_name": "Hardiono"}


def a_child_report(identity: dict[str, str], centre: str = "", **changes: Any) -> Report:
    body = a_report(complaint_centre="", identity=identity, **changes)
    return ReportIn.model_validate(body).to_report(utc_now(), centre)


async def take(running: IntakeProcess, identity: dict[str, str], **changes: Any) -> UUID:
    taken = await running.take_report(complaint_centre="", identity=identity, **changes)
    return taken.case_id


async def overlap_events(room: Room) -> list[dict[str, Any]]:
    rows = await room.fetch("SELECT body FROM outbox WHERE routing_key = 'overlap.suspected.v1' ORDER BY created_at")
    return [json.loads(row["body"])["data"] for row in rows]


async def find_contact(running: IntakeProcess, report: Report, centre: str, override: Override | None = None) -> str:
    """Returns the agency that the centre's answer names."""
    try:
        return await running.search_duplicates.check_report(report, centre, override)
    except MaybeReportedBefore as refused:
        return refused.agency


async def test_two_reports_of_one_child_are_suspected_once_and_other_children_never(room: Room) -> None:
    running = room.use_cases()
    first, _, second = [await take(running, identity) for identity in (ONE, OTHER, SAME)]

    assert await running.overlaps.search_batch() == 3
    assert await running.overlaps.search_batch() == 0

    [event] = await overlap_events(room)
    assert {event["case_id"], event["other_case_id"]} == {str(first), str(second)}
    assert event["is_likely"]
    assert set(event) == {"case_id", "other_case_id", "is_likely", "suspected_at", "sealed"}


async def test_new_facts_are_searched_again(room: Room) -> None:
    running = room.use_cases()
    first = await take(running, ONE)
    taken = await running.take_report(complaint_centre="", identity={"child_name": "Anak"}, kelurahan="Pojok")
    await running.overlaps.search_batch()
    assert await overlap_events(room) == []

    await running.amend_report(taken.case_id, taken.phrase, identity=SAME)
    assert await running.overlaps.search_batch() == 1

    [event] = await overlap_events(room)
    assert (event["case_id"], event["other_case_id"]) == (str(taken.case_id), str(first))


async def test_a_restarted_intake_searches_what_was_left_and_indexes_what_has_no_tokens(room: Room) -> None:
    running = room.use_cases()
    cases = {await take(running, identity) for identity in (ONE, SAME)}
    await room.fetch("DELETE FROM duplicate_index WHERE case_id = $1", min(cases))

    restarted = room.use_cases()
    assert await restarted.overlaps.index_existing() == 1
    assert await restarted.overlaps.search_batch() == 2

    assert len(await overlap_events(room)) == 1


async def test_no_description_stays_in_memory_for_a_case_that_another_process_searched(room: Room) -> None:
    running, other = room.use_cases(), room.use_cases()
    await take(running, ONE)
    assert await other.overlaps.search_batch() == 1

    assert await running.overlaps.search_batch() == 0

    assert running.overlaps._described == {}


async def test_a_case_whose_master_key_is_missing_does_not_stop_the_search_of_others(room: Room) -> None:
    running = room.use_cases()
    unreadable, *_ = [await take(running, identity) for identity in (OTHER, ONE, SAME)]
    await room.fetch("UPDATE case_key SET key_id = 'file:missing' WHERE case_id = $1", unreadable)

    assert await room.use_cases().overlaps.search_batch() == 3

    assert len(await overlap_events(room)) == 1


async def test_tokens_of_another_key_are_made_again(room: Room) -> None:
    running = room.use_cases()
    cases = {await take(running, identity) for identity in (ONE, SAME)}
    await running.overlaps.search_batch()
    await room.fetch("DELETE FROM vault_secret WHERE name = 'duplicates'")
    renewed = room.use_cases()

    assert await renewed.overlaps.index_existing() == len(cases)

    versions = await room.fetch("SELECT DISTINCT version FROM duplicate_index")
    assert [row["version"] for row in versions] == [(await renewed.overlaps.load_index()).version]


async def test_an_erased_case_leaves_no_token_and_no_overlap(room: Room) -> None:
    running = room.use_cases()
    cases = [await take(running, identity) for identity in (ONE, SAME)]
    await running.overlaps.search_batch()

    await room.fetch("DELETE FROM section WHERE case_id = $1", cases[0])
    await room.fetch("DELETE FROM case_key WHERE case_id = $1", cases[0])

    [left] = await room.fetch("SELECT case_id FROM duplicate_index")
    assert left["case_id"] == cases[1]
    assert await room.fetch("SELECT FROM suspected_overlap") == []


async def test_tokens_go_with_the_identity_they_were_made_of(room: Room) -> None:
    running = room.use_cases()
    case_id = await take(running, ONE)

    async with room.engine.begin() as connection:
        await repository.delete_sections(connection, case_id, ["identity"])

    assert await room.fetch("SELECT FROM duplicate_index") == []
    assert await room.use_cases().overlaps.index_existing() == 0


async def test_the_tables_show_no_value(room: Room) -> None:
    running = room.use_cases()
    for identity in (ONE, SAME):
        await take(running, identity)
    await running.overlaps.search_batch()
    await find_contact(running, a_child_report(SAME, "ylpa"), "ylpa")

    shown = ""
    for table in ("duplicate_index", "suspected_overlap", "duplicate_search"):
        rows = await room.fetch(f"SELECT t::text AS row FROM {table} t")
        shown += "".join(row["row"] for row in rows).casefold()

    # Long enough that random tokens and ids in hexadecimal digits cannot contain one.
    values = ("wentil", "wenthil", "sujat", "soedjat", "2017-03-12", "080012345678", "zambo")
    assert not any(value in shown for value in values)


async def test_a_centre_learns_which_agency_to_contact_and_may_report_all_the_same(room: Room) -> None:
    running = room.use_cases()
    await take(running, ONE)
    report = a_child_report(SAME, "ylpa")

    with pytest.raises(MaybeReportedBefore) as refused:
        await running.search_duplicates.check_report(report, "ylpa", None)
    override = Override(refused.value.search_id, DuplicateReason.OTHER_CHILD)
    foreign = await find_contact(running, report, "polres-ppa", override)
    accepted = await find_contact(running, report, "ylpa", override)

    assert refused.value.agency == "uptd-ppa"
    assert (foreign, accepted) == ("uptd-ppa", "")
    [search] = await room.fetch("SELECT * FROM duplicate_search WHERE reason <> ''")
    assert (search["centre"], search["outcome"], search["reason"]) == ("ylpa", "maybe", "other_child")


async def test_a_child_in_danger_is_never_held_up(room: Room) -> None:
    running = room.use_cases()
    await take(running, ONE)

    for danger in ({"safe_now": "no"}, {"safe_now": "unknown"}, {"injured": "yes"}, {"suicidal_sign": "yes"}):
        report = a_child_report(SAME, "polres-ppa", **danger)
        answers = await running.search_duplicates.check_report(report, "polres-ppa", None)
        assert answers in {"uptd-ppa", ""}  # without an error in any case; over the budget the answer names nobody


async def test_a_report_that_is_stored_already_is_not_its_own_duplicate(room: Room) -> None:
    running = room.use_cases()
    report_id = str(uuid4())
    await take(running, ONE, report_id=report_id)

    assert await find_contact(running, a_child_report(ONE, "ylpa", report_id=report_id), "ylpa") == ""


async def test_an_excluded_agency_and_a_task_force_elsewhere_learn_nothing(room: Room) -> None:
    running = room.use_cases()
    await take(running, ONE, excluded_agencies=["ylpa"], kelurahan="Bandar Lor")
    report = a_child_report(SAME, kelurahan="Bandar Lor")

    answers = {
        centre: await find_contact(running, report, centre)
        for centre in ("ylpa", "polres-ppa", "satgas-kel-pojok", "satgas-kel-bandar-lor", "satgas-kec-mojoroto")
    }

    assert answers == {
        "ylpa": "",
        "polres-ppa": "uptd-ppa",
        "satgas-kel-pojok": "",
        "satgas-kel-bandar-lor": "uptd-ppa",
        "satgas-kec-mojoroto": "uptd-ppa",
    }


async def test_whoever_a_person_excludes_after_the_report_learns_nothing_and_is_not_named(room: Room) -> None:
    running = room.use_cases()
    case_id = await take(running, ONE)
    report = a_child_report(SAME)
    assert [await find_contact(running, report, one) for one in ("ylpa", "polres-ppa")] == ["uptd-ppa"] * 2

    for agency in ("ylpa", "uptd-ppa"):
        await room.fetch("INSERT INTO excluded_agency VALUES ($1, $2, now())", case_id, agency)

    assert await find_contact(running, report, "ylpa") == ""
    assert await find_contact(running, report, "polres-ppa") == "polres-ppa"


async def test_where_the_hub_must_know_nothing_another_agency_is_named(room: Room) -> None:
    running = room.use_cases()
    await take(running, ONE, excluded_agencies=["uptd-ppa"])

    assert await find_contact(running, a_child_report(SAME, "ylpa"), "ylpa") == "polres-ppa"


async def test_searches_over_the_budget_reveal_nothing_and_hold_nothing_up(room: Room) -> None:
    running = room.use_cases()
    await take(running, ONE)

    answers = [await find_contact(running, a_child_report(SAME, "ylpa"), "ylpa") for _ in range(5)]
    other_centre = await find_contact(running, a_child_report(SAME, "dinsos-peksos"), "dinsos-peksos")

    assert (answers, other_centre) == (["uptd-ppa"] * 3 + ["", ""], "uptd-ppa")
    rows = await room.fetch("SELECT outcome FROM duplicate_search WHERE centre = 'ylpa' ORDER BY searched_at")
    assert [row["outcome"] for row in rows] == ["maybe"] * 3 + ["over_budget"] * 2


async def test_an_answer_takes_the_same_time_whatever_was_found(room: Room) -> None:
    running = room.use_cases()
    await take(running, ONE, excluded_agencies=["ylpa"])
    loop, step, spent = asyncio.get_running_loop(), SEARCH_TIME.total_seconds(), []

    for identity, centre in ((SAME, "ylpa"), (OTHER, "ylpa"), (SAME, "polres-ppa"), ({}, "polres-ppa")):
        started = loop.time()
        await find_contact(running, a_child_report(identity), centre)
        spent.append((loop.time() - started) / step)

    # A multiple of the step, and a little for the end of the task.
    assert all(0 <= steps - int(steps) < 0.8 and steps >= 1 for steps in spent), spent


async def test_a_search_that_fails_does_not_hold_up_the_report(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    running = room.use_cases()
    await take(running, ONE)

    async def fail(*_: object) -> None:
        raise OSError

    monkeypatch.setattr("simpul_intake.repository.find_candidates", fail)

    assert await find_contact(running, a_child_report(SAME, "ylpa"), "ylpa") == ""


async def test_a_search_reads_the_index_and_not_all_cases(room: Room) -> None:
    running = room.use_cases()
    for _ in range(3):
        await take(running, {**OTHER, "child_name": f"Velqira {uuid4().hex}"})

    async with room.transactions.begin() as transaction:
        explain = text(f"EXPLAIN {_FIND_CANDIDATES.text}").bindparams(*_FIND_CANDIDATES._bindparams.values())
        values = {"version": "1", "case_ids": [uuid4()], "probes": ["1,2,3"], "limit": 32}
        plan = [row[0] for row in await transaction.connection.execute(explain, values)]
    [index] = await room.fetch("SELECT reloptions FROM pg_class WHERE relname = 'duplicate_index_lookup'")

    assert any("Bitmap Index Scan on duplicate_index_lookup" in line for line in plan), plan
    assert index["reloptions"] == ["fastupdate=off"]


async def test_a_case_with_new_tokens_is_searched_again(room: Room) -> None:
    running = room.use_cases()
    first, second = [await take(running, identity) for identity in (ONE, OTHER)]
    index = await running.overlaps.load_index()
    async with room.transactions.begin() as transaction:
        found = await repository.find_unsearched(transaction, index.version, 10)
    description = running.overlaps.describe(a_child_report(SAME))
    async with room.transactions.begin() as transaction:
        tokens = [(first, index.make_tokens(first, description))]
        await repository.write_indexes(transaction, index.version, tokens)

    async with room.transactions.begin() as transaction:
        await repository.mark_searched(transaction, found)

    assert {one.case_id for one in found} == {first, second}
    left = await room.fetch("SELECT case_id FROM duplicate_unsearched")
    assert [row["case_id"] for row in left] == [first]


_STORE_AS_THE_VERSION_BEFORE = """
    INSERT INTO duplicate_index (case_id, version, lookup, comparison) VALUES ($1, $2, $3, $4)
    ON CONFLICT (case_id) DO UPDATE SET version = excluded.version, lookup = excluded.lookup,
        comparison = excluded.comparison, searched_at = NULL"""


async def test_the_version_before_stores_cases_during_an_upgrade_and_they_are_searched_after_it(room: Room) -> None:
    running = room.use_cases()
    _, amended = [await take(running, identity) for identity in (ONE, OTHER)]
    while await running.overlaps.search_batch():
        pass
    index = await running.overlaps.load_index()
    tokens = index.make_tokens(amended, running.overlaps.describe(a_child_report(SAME)))

    # The new version is migrated, and the one before still takes the amendment.
    await room.fetch(_STORE_AS_THE_VERSION_BEFORE, amended, index.version, list(tokens.lookup), tokens.comparison)
    async with room.transactions.begin() as transaction:
        found = await repository.find_unsearched(transaction, index.version, 10)
    async with room.transactions.begin() as transaction:
        await repository.mark_searched(transaction, found)
    async with room.transactions.begin() as transaction:
        left = await repository.find_unsearched(transaction, index.version, 10)

    assert [(one.case_id, one.comparison) for one in found] == [(amended, tokens.comparison)]
    assert left == []


async def test_the_version_before_stores_cases_in_an_upgraded_database(backends: Backends) -> None:
    name = f"unsearched_{uuid4().hex[:8]}"
    await create_databases(backends.postgres_url, {"intake": name})
    url = backends.database_url(name)
    await migrate_async(url, "simpul_intake", "20261129_section_bases")
    database = await asyncpg.connect(url)
    for searched in ("now()", "NULL"):
        await database.execute(
            "WITH key AS (INSERT INTO case_key (case_id, wrapped, key_id) VALUES (gen_random_uuid(), '', '')"
            " RETURNING case_id) INSERT INTO duplicate_index (case_id, version, lookup, comparison, searched_at)"
            f" SELECT case_id, '1', '{{1}}', 'tokens', {searched} FROM key"
        )
    [waiting] = await database.fetch("SELECT case_id FROM duplicate_index WHERE searched_at IS NULL")

    await migrate_async(url, "simpul_intake")

    # It still runs, and stores the case again.
    await database.execute(_STORE_AS_THE_VERSION_BEFORE, waiting["case_id"], "1", [1], b"tokens")
    left = await database.fetch("SELECT case_id FROM duplicate_index WHERE searched_at IS NULL")
    await database.close()
    assert left == [waiting]
