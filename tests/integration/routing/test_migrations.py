"""A database with cases in it is brought to the newest revision, and what stood in it can be read."""

import json
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg

from simpul_cli.backends import Backends
from simpul_cli.databases import create_databases
from simpul_routing import repository
from simpul_routing.api.reading import timeline_of
from simpul_routing.domain.rights import BY_HAND, Entry
from simpul_runtime.database import engine_for
from simpul_runtime.migrations import migrate_async
from simpul_runtime.signing import Keys
from simpul_schema.vocabulary import Right, RightState
from simpul_seal import Directory, generate

NOW = datetime(2026, 11, 24, tzinfo=UTC)


async def test_what_people_wrote_and_the_old_words_for_stages_are_taken_over(backends: Backends) -> None:
    name = f"before_{uuid4().hex[:8]}"
    await create_databases(backends.postgres_url, {"routing": name})
    url = backends.database_url(name)
    await migrate_async(url, "simpul_routing", "20261124_lifecycle")
    case, raised, triage = uuid4(), uuid4(), uuid4()
    rights = {"education": {"state": "not_applicable", "reason": "Wenthilora is at home"}}
    connection = await asyncpg.connect(url)
    await connection.execute(
        "INSERT INTO case_plan (case_id, urgency, mediation_locked, decided_at, rights, ended_as, ended_at)"
        " VALUES ($1, 'low', true, $2, $3, 'closed', $2)",
        case, NOW, json.dumps(rights),
    )  # fmt: skip
    for referral, service, follows in ((raised, "shelter", None), (triage, "manual_triage", raised)):
        await connection.execute(
            "INSERT INTO referral (referral_id, case_id, agency, service, role, state, answer_by, offered_at,"
            " handed_over_from) VALUES ($1, $2, 'uptd-ppa', $3, 'support', 'offered', $4, $4, $5)",
            referral, case, service, NOW, follows,
        )  # fmt: skip
    await connection.execute(
        "INSERT INTO transition (transition_id, case_id, agency, actor, before, after, reason, at)"
        " VALUES (gen_random_uuid(), $1, '', 'uptd-ppa', 'open', 'closed', 'Wenthilora moved away', $2)",
        case, NOW,
    )  # fmt: skip

    await migrate_async(url, "simpul_routing")

    ring, public = generate("routing", not_before=NOW, not_after=NOW)
    engine = engine_for(url, connections=1)
    async with engine.connect() as opened:
        stored = (await repository.cases_of(opened, [case]))[case]
        lines = await timeline_of(opened, Keys(ring, Directory([public])), case, {}, "en")
    await engine.dispose()
    kept = await connection.fetchrow("SELECT raised_service, raised_role FROM referral WHERE referral_id = $1", triage)
    everything = str(await connection.fetch("SELECT * FROM transition")) + str(stored)
    await connection.close()
    assert (stored.state.value, stored.has_ended, stored.urgency_from_facts.value) == ("terminated", True, "low")
    assert stored.rights[Right.EDUCATION] == Entry(RightState.NOT_APPLICABLE, BY_HAND)
    assert stored.rights[Right.RESTITUTION] == Entry(RightState.UNANSWERED)
    assert tuple(kept) == ("shelter", "support")
    assert any(line["words"].startswith("Case: terminated") for line in lines)
    assert "Wenthilora" not in everything
