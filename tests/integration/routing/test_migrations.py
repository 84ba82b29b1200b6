"""Migrations of a database with cases in it, which can be read afterwards."""

import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest

from simpul_agreement.model import ClockName
from simpul_agreement.rights import Entry
from simpul_cli.databases import create_databases
from simpul_dev.backends import Backends
from simpul_routing import repository
from simpul_routing.api.queries import build_timeline
from simpul_routing.domain.clocks import ReferralClock
from simpul_routing.domain.exclusions import ExclusionReview
from simpul_routing.domain.rights import BY_HAND
from simpul_routing.stored_facts import StoredFacts, case_context, decode_facts, encode_facts
from simpul_runtime.database import engine_for
from simpul_runtime.migrations import migrate_async
from simpul_runtime.outbox import Outbox
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction
from simpul_schema.vocabulary import ReplyRefusal, Right, RightState, Service
from simpul_seal import Directory, generate

NOW = datetime(2026, 11, 24, tzinfo=UTC)


async def test_notes_and_old_stage_names_are_migrated(backends: Backends) -> None:
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
        stored = (await repository.load_cases(opened, [case]))[case]
        lines = await build_timeline(opened, Keys(ring, Directory([public])), case, {}, "en")
    await engine.dispose()
    kept = await connection.fetchrow(
        "SELECT escalated_service, escalated_role FROM referral WHERE referral_id = $1", triage
    )
    everything = str(await connection.fetch("SELECT * FROM transition")) + str(stored)
    await connection.close()
    assert (stored.state.value, stored.has_ended, stored.urgency_from_facts.value) == ("terminated", True, "low")
    assert stored.rights[Right.EDUCATION] == Entry(RightState.NOT_APPLICABLE, BY_HAND)
    assert stored.rights[Right.RESTITUTION] == Entry(RightState.UNANSWERED)
    assert tuple(kept) == ("shelter", "support")
    assert any(line["text"].startswith("Case: terminated") for line in lines)
    assert "Wenthilora" not in everything


async def test_a_case_from_before_suggestions_can_be_read_and_reviewed(
    backends: Backends,
) -> None:
    name = f"before_{uuid4().hex[:8]}"
    await create_databases(backends.postgres_url, {"routing": name})
    url = backends.database_url(name)
    await migrate_async(url, "simpul_routing", "20261124_accounts")
    ring, public = generate("routing", not_before=NOW, not_after=NOW)
    keys, case = Keys(ring, Directory([public])), uuid4()
    older = json.loads(encode_facts(StoredFacts({}, excluded=frozenset({"ylpa"}))))
    del older["suggestions"]
    locked = keys.lock(json.dumps(older).encode(), place=case_context(case))
    connection = await asyncpg.connect(url)
    await connection.execute(
        "INSERT INTO case_plan (case_id, urgency, mediation_locked, decided_at, agreement, agreement_digest, situation)"
        " VALUES ($1, 'low', true, $2, '2026-11', '', $3)",
        case, NOW, locked,
    )  # fmt: skip

    await migrate_async(url, "simpul_routing")

    review = ExclusionReview(uuid4(), case, "uptd-ppa", ReferralClock(ClockName.ANSWER, NOW, NOW + timedelta(hours=6)))
    engine = engine_for(url, connections=1)
    async with engine.begin() as opened:
        transaction = Transaction(opened, NOW, Outbox("kediri", "routing", keys))
        stored = (await repository.load_cases(opened, [case]))[case]
        repository.add_review(transaction, review)
        await transaction.flush()
        found = await repository.find_open_review(opened, case)
    await engine.dispose()
    facts = decode_facts(keys.unlock(stored.situation, place=case_context(case)))
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute(
            "INSERT INTO exclusion_review (referral_id, case_id, agency, started_at, due_at)"
            " SELECT gen_random_uuid(), case_id, agency, started_at, due_at FROM exclusion_review"
        )
    await connection.close()
    assert (facts.origin.excluded, facts.pending) == (frozenset({"ylpa"}), frozenset())
    assert facts.add_suggestions(["ylpa", "polres-ppa"], NOW).pending == {"polres-ppa"}
    assert found == review


async def test_codes_that_were_renamed_are_renamed_in_the_rows_of_older_cases(backends: Backends) -> None:
    name = f"before_{uuid4().hex[:8]}"
    await create_databases(backends.postgres_url, {"routing": name})
    url = backends.database_url(name)
    await migrate_async(url, "simpul_routing", "20261126_exclusions")
    case, declined, triage, first_event, second_event = (uuid4() for _ in range(5))
    connection = await asyncpg.connect(url)
    await connection.execute(
        "INSERT INTO case_plan (case_id, urgency, mediation_locked, decided_at) VALUES ($1, 'low', true, $2)", case, NOW
    )
    for referral, service, reroutes, origin, raised in (
        (declined, "intake", 0, None, None), (triage, "manual_triage", 1, declined, "intake"),
    ):  # fmt: skip
        await connection.execute(
            "INSERT INTO referral (referral_id, case_id, agency, service, role, state, answer_by, offered_at, clauses,"
            " hand_overs, handed_over_from, raised_service, raised_role)"
            " VALUES ($1, $2, 'uptd-ppa', $3, 'lead', 'offered', $4, $4, '', $5, $6, $7, $8)",
            referral, case, service, NOW, reroutes, origin, raised, raised and "lead",
        )  # fmt: skip
    await connection.execute(
        "INSERT INTO transition (transition_id, case_id, agency, actor, before, after, reason, at)"
        " VALUES (gen_random_uuid(), $1, '', 'uptd-ppa', 'triage', 'triage', 'twin_merged', $2)",
        case, NOW,
    )  # fmt: skip
    for event_id, reason in ((first_event, "handed_over"), (second_event, "not_now")):
        await connection.execute(
            "INSERT INTO refused_reply (event_id, referral_id, agency, reason) VALUES ($1, $2, 'ylpa', $3)",
            event_id, declined, reason,
        )  # fmt: skip

    await migrate_async(url, "simpul_routing")

    ring, public = generate("routing", not_before=NOW, not_after=NOW)
    engine = engine_for(url, connections=1)
    async with engine.begin() as opened:
        transaction = Transaction(opened, NOW, Outbox("kediri", "routing", Keys(ring, Directory([public]))))
        stored = await repository.load_referrals_for_update(transaction, [declined, triage])
        lines = await build_timeline(opened, Keys(ring, Directory([public])), case, {}, "en")
    await engine.dispose()
    reasons = [row["reason"] for row in await connection.fetch("SELECT reason FROM refused_reply ORDER BY reason")]
    await connection.close()
    assert stored[declined].service is stored[triage].outstanding_service.service is Service.CASE_MANAGEMENT
    assert (stored[triage].reroute_count, stored[triage].rerouted_from) == (1, declined)
    assert reasons == [ReplyRefusal.NOT_NOW, ReplyRefusal.REROUTED]
    assert any("A duplicate case was merged" in line["text"] for line in lines)
