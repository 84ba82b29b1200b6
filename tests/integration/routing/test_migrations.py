"""Migrations of a database with cases in it, which can be read afterwards."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from simpul_agreement import Versions
from simpul_agreement.model import ClockName
from simpul_agreement.rights import Entry
from simpul_cli.databases import create_databases
from simpul_dev.backends import Backends
from simpul_routing import repository
from simpul_routing.api.paging import FIRST_PAGE
from simpul_routing.api.queries import build_timeline
from simpul_routing.domain.case_events import (
    AnsweredRight,
    CaseEventKind,
    ChangedReferral,
    ChangedState,
    OfferedReferral,
    RefusedMediation,
    Replanned,
)
from simpul_routing.domain.case_lifecycle import CaseAction, CaseState
from simpul_routing.domain.clocks import ReferralClock
from simpul_routing.domain.exclusions import ExclusionReview
from simpul_routing.domain.facts import CaseFacts
from simpul_routing.domain.lifecycle import ReplyKind, ServiceState
from simpul_routing.domain.rights import BY_HAND
from simpul_routing.repository import CaseFiles, Scope
from simpul_routing.stored_facts import case_context, encode_clauses, encode_facts, note_context
from simpul_routing.use_cases import JudgeReplies
from simpul_runtime.database import create_engine
from simpul_runtime.inbox.storage import load_due_events
from simpul_runtime.migrations import migrate_async
from simpul_runtime.outbox import Outbox
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction
from simpul_schema.messages import ReplyReferralAcceptedV1
from simpul_schema.vocabulary import (
    CaseEnd,
    DeclineReason,
    ReferralRole,
    ReplanReason,
    ReplyRefusal,
    Right,
    RightState,
    Service,
)
from simpul_seal import Directory, generate
from tests.support.agreements import CITY

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def answer_under(referral_id: UUID) -> ReplyReferralAcceptedV1:
    """Builds an answer of `uptd-ppa` that names no service, under the id of a referral of the earlier version."""
    return ReplyReferralAcceptedV1.model_validate(
        {
            "id": uuid4(),
            "source": "/kediri/agency/uptd-ppa",
            "subject": f"referral/{referral_id}",
            "time": NOW,
            "sequence": "0000000001",
            "correlationid": uuid4(),
            "data": {"referral_id": referral_id, "agency": "uptd-ppa"},
        }
    )


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
        case,
        NOW,
        json.dumps(rights),
    )
    for referral, service, follows in ((raised, "shelter", None), (triage, "manual_triage", raised)):
        await connection.execute(
            "INSERT INTO referral (referral_id, case_id, agency, service, role, state, answer_by, offered_at,"
            " handed_over_from) VALUES ($1, $2, 'uptd-ppa', $3, 'support', 'offered', $4, $4, $5)",
            referral,
            case,
            service,
            NOW,
            follows,
        )
    await connection.execute(
        "INSERT INTO transition (transition_id, case_id, agency, actor, before, after, reason, at)"
        " VALUES (gen_random_uuid(), $1, '', 'uptd-ppa', 'open', 'closed', 'Wenthilora moved away', $2)",
        case,
        NOW,
    )

    await migrate_async(url, "simpul_routing")

    ring, public = generate("routing", not_before=NOW, not_after=NOW)
    engine = create_engine(url, connections=1)
    async with engine.connect() as opened:
        keys = Keys(ring, Directory([public]))
        stored = (await repository.find_cases(opened, keys, [case]))[case]
        lines = await build_timeline(opened, keys, case, {}, "en")
    await engine.dispose()
    kept = await connection.fetchrow(
        "SELECT escalated_service, escalated_role FROM referral_service WHERE service_id = $1", triage
    )
    everything = str(await connection.fetch("SELECT * FROM case_event")) + str(stored)
    await connection.close()
    assert (stored.state.value, stored.has_ended, stored.urgency_from_facts.value) == ("terminated", True, "low")
    assert stored.rights[Right.EDUCATION] == Entry(RightState.NOT_APPLICABLE, BY_HAND)
    assert stored.rights[Right.RESTITUTION] == Entry(RightState.UNANSWERED)
    assert tuple(kept) == ("shelter", "support")
    assert any(line["text"].startswith("Case: terminated") for line in lines)
    assert "Wenthilora" not in everything


async def test_a_case_from_before_suggestions_can_be_read_and_reviewed(backends: Backends, tmp_path: Path) -> None:
    name = f"before_{uuid4().hex[:8]}"
    await create_databases(backends.postgres_url, {"routing": name})
    url = backends.database_url(name)
    await migrate_async(url, "simpul_routing", "20261124_accounts")
    ring, public = generate("routing", not_before=NOW, not_after=NOW)
    keys, case = Keys(ring, Directory([public])), uuid4()
    older = json.loads(encode_facts(CaseFacts({}, excluded=frozenset({"ylpa"}))))
    del older["suggestions"]
    locked = keys.encrypt(json.dumps(older).encode(), associated_data=case_context(case))
    connection = await asyncpg.connect(url)
    await connection.execute(
        "INSERT INTO case_plan (case_id, urgency, mediation_locked, decided_at, agreement, agreement_digest, situation)"
        " VALUES ($1, 'low', true, $2, '2026-11', '', $3)",
        case,
        NOW,
        locked,
    )

    await migrate_async(url, "simpul_routing")

    review = ExclusionReview(uuid4(), case, "uptd-ppa", ReferralClock(ClockName.ANSWER, NOW, NOW + timedelta(hours=6)))
    engine = create_engine(url, connections=1)
    async with engine.begin() as opened:
        transaction = Transaction(opened, NOW, Outbox("kediri", "routing", keys))
        files = CaseFiles(Versions(tmp_path, CITY, keys.directory), CITY, keys)
        file = (await files.load_for_update(transaction, [case]))[case]
        file.review = review
        await files.save(transaction, [file])
        await transaction.flush()
        found = await repository.find_open_review(opened, case)
    await engine.dispose()
    facts = file.facts
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute(
            "INSERT INTO exclusion_review (referral_id, case_id, agency, started_at, due_at)"
            " SELECT gen_random_uuid(), case_id, agency, started_at, due_at FROM exclusion_review"
        )
    await connection.close()
    assert (facts.origin.excluded, facts.pending) == (frozenset({"ylpa"}), frozenset())
    assert facts.add_suggestions(["ylpa", "polres-ppa"], NOW).pending == {"polres-ppa"}
    assert found == review


async def test_codes_that_were_renamed_are_renamed_in_the_rows_of_older_cases(
    backends: Backends, tmp_path: Path
) -> None:
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
        (declined, "intake", 0, None, None),
        (triage, "manual_triage", 1, declined, "intake"),
    ):
        await connection.execute(
            "INSERT INTO referral (referral_id, case_id, agency, service, role, state, answer_by, offered_at, clauses,"
            " hand_overs, handed_over_from, raised_service, raised_role)"
            " VALUES ($1, $2, 'uptd-ppa', $3, 'lead', 'offered', $4, $4, '', $5, $6, $7, $8)",
            referral,
            case,
            service,
            NOW,
            reroutes,
            origin,
            raised,
            raised and "lead",
        )
    await connection.execute(
        "INSERT INTO transition (transition_id, case_id, agency, actor, before, after, reason, at)"
        " VALUES (gen_random_uuid(), $1, '', 'uptd-ppa', 'triage', 'triage', 'twin_merged', $2)",
        case,
        NOW,
    )
    for event_id, reason in ((first_event, "handed_over"), (second_event, "not_now")):
        await connection.execute(
            "INSERT INTO refused_reply (event_id, referral_id, agency, reason) VALUES ($1, $2, 'ylpa', $3)",
            event_id,
            declined,
            reason,
        )

    await migrate_async(url, "simpul_routing")

    ring, public = generate("routing", not_before=NOW, not_after=NOW)
    engine = create_engine(url, connections=1)
    async with engine.begin() as opened:
        keys = Keys(ring, Directory([public]))
        transaction = Transaction(opened, NOW, Outbox("kediri", "routing", keys))
        files = CaseFiles(Versions(tmp_path, CITY, keys.directory), CITY, keys)
        file = (await files.load_for_update(transaction, [case]))[case]
        stored = {service.service_id: service for service in file.services}
        lines = await build_timeline(opened, keys, case, {}, "en")
    await engine.dispose()
    reasons = [row["reason"] for row in await connection.fetch("SELECT reason FROM refused_reply ORDER BY reason")]
    await connection.close()
    assert stored[declined].service is stored[triage].outstanding_service.service is Service.CASE_MANAGEMENT
    assert (stored[triage].reroute_count, stored[triage].rerouted_from) == (1, declined)
    assert reasons == [ReplyRefusal.NOT_NOW, ReplyRefusal.REROUTED]
    assert any("A duplicate case was merged" in line["text"] for line in lines)


async def test_manifests_of_the_older_wire_name_leave_the_outbox(backends: Backends) -> None:
    name = f"before_{uuid4().hex[:8]}"
    await create_databases(backends.postgres_url, {"routing": name})
    url = backends.database_url(name)
    await migrate_async(url, "simpul_routing", "20261126_signatures")
    connection = await asyncpg.connect(url)
    for number, key in ((0, "referral.ylpa.heartbeat.v1"), (1, "referral.ylpa.legal_aid.low.offered.v1")):
        await connection.execute(
            "INSERT INTO outbox (message_id, exchange, routing_key, body, event_id, correlation_id, due_at, number)"
            " VALUES (gen_random_uuid(), 'simpul.referrals', $1, '', gen_random_uuid(), gen_random_uuid(), now(), $2)",
            key,
            number,
        )

    await migrate_async(url, "simpul_routing")

    keys = [row["routing_key"] for row in await connection.fetch("SELECT routing_key FROM outbox")]
    await connection.close()
    assert keys == ["referral.ylpa.legal_aid.low.offered.v1"]


async def test_a_waiting_request_of_the_older_wire_name_is_done_and_holds_up_nothing(backends: Backends) -> None:
    name = f"before_{uuid4().hex[:8]}"
    await create_databases(backends.postgres_url, {"routing": name})
    url = backends.database_url(name)
    await migrate_async(url, "simpul_routing", "20261126_overlaps")
    connection = await asyncpg.connect(url)
    rows = (
        (1, "reply.window.requested.v1", "retrying"),
        (2, "reply.window.requested.v1", "waiting_for_predecessor"),
        (3, "reply.referral.accepted.v1", "waiting_for_predecessor"),
    )
    for sequence, wire_name, state in rows:
        await connection.execute(
            "INSERT INTO inbox (source, event_id, type, subject, sequence, digest, state, reason, body, due_at)"
            " VALUES ('/kediri/ylpa', gen_random_uuid(), $1, 'agency/ylpa', $2, '', $3, 'unknown_type', '{}', now())",
            wire_name,
            sequence,
            state,
        )

    await migrate_async(url, "simpul_routing")

    stored = await connection.fetch("SELECT state, body IS NULL AS is_empty FROM inbox ORDER BY sequence")
    await connection.close()
    engine = create_engine(url, connections=1)
    async with engine.connect() as opened:
        due = await load_due_events(opened, 10)
    await engine.dispose()
    assert [tuple(row) for row in stored] == [("done", True), ("done", True), ("waiting_for_predecessor", False)]
    assert [event.type for event in due] == ["reply.referral.accepted.v1"]


async def test_the_history_of_older_cases_becomes_typed_events(backends: Backends) -> None:
    name = f"before_{uuid4().hex[:8]}"
    await create_databases(backends.postgres_url, {"routing": name})
    url = backends.database_url(name)
    await migrate_async(url, "simpul_routing", "20261126_inbox_states")
    ring, public = generate("routing", not_before=NOW, not_after=NOW + timedelta(days=1))
    keys, case, referral, event = Keys(ring, Directory([public])), uuid4(), uuid4(), uuid4()
    note = keys.encrypt(b"Wenthilora moved away", associated_data=note_context(case))
    connection = await asyncpg.connect(url)
    await connection.execute(
        "INSERT INTO case_plan (case_id, urgency, mediation_locked, decided_at) VALUES ($1, 'low', true, $2)", case, NOW
    )
    await connection.execute(
        "INSERT INTO referral (referral_id, case_id, agency, service, role, state, answer_by, offered_at)"
        " VALUES ($1, $2, 'dinsos-peksos', 'shelter', 'lead', 'rerouted', $3, $3)",
        referral,
        case,
        NOW,
    )
    rows: list[tuple[Any, ...]] = [
        (None, "", "routing", "received", "triage", "decided", b""),
        (referral, "dinsos-peksos", "dinsos-peksos", "offered", "accepted", "", b""),
        (None, "", "routing", "triage", "assessment", "accepted", b""),
        (referral, "dinsos-peksos", "dinsos-peksos", "accepted", "declined", "no_capacity", b""),
        (referral, "dinsos-peksos", "routing", "declined", "rerouted", "uptd-ppa", b""),
        (None, "", "uptd-ppa", "assessment", "assessment", "urgency_changed", note),
        (None, "", "uptd-ppa", "restitution:unanswered", "restitution:refused_by_victim", "by_hand", b""),
        (None, "", "ylpa", "assessment", "assessment", "mediation_refused", b""),
        (None, "", "uptd-ppa", "assessment", "terminated", "transferred", b""),
        (None, "", "routing", "terminated", "reopened", "facts_amended", b""),
    ]
    for minutes, row in enumerate(rows):
        await connection.execute(
            "INSERT INTO transition (transition_id, case_id, referral_id, agency, actor, before, after, reason, note,"
            " causation_id, at) VALUES (gen_random_uuid(), $1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            case,
            *row,
            event,
            NOW + timedelta(minutes=minutes),
        )

    await migrate_async(url, "simpul_routing")
    await connection.close()

    engine = create_engine(url, connections=1)
    async with engine.connect() as opened:
        found = [stored.event for stored in await repository.list_case_events(opened, keys, case)]
        lines = [line["text"] for line in await build_timeline(opened, keys, case, {}, "en")]
    await engine.dispose()
    shelter = "dinsos-peksos", Service.SHELTER
    assert [entry.payload for entry in found] == [
        ChangedState(CaseState.RECEIVED, CaseState.TRIAGE, CaseAction.DECIDED),
        OfferedReferral(*shelter, ReferralRole.LEAD),
        ChangedReferral(*shelter, ServiceState.OFFERED, ServiceState.ACCEPTED),
        ChangedState(CaseState.TRIAGE, CaseState.ASSESSMENT, CaseAction.ACCEPTED),
        ChangedReferral(
            *shelter, ServiceState.ACCEPTED, ServiceState.DECLINED, decline_reason=DeclineReason.NO_CAPACITY
        ),
        ChangedReferral(*shelter, ServiceState.DECLINED, ServiceState.REROUTED, next_agency="uptd-ppa"),
        Replanned(ReplanReason.URGENCY_CHANGED),
        AnsweredRight(Right.RESTITUTION, RightState.UNANSWERED, RightState.REFUSED_BY_VICTIM),
        RefusedMediation(),
        ChangedState(CaseState.ASSESSMENT, CaseState.TERMINATED, CaseAction.CLOSED, CaseEnd.TRANSFERRED),
        ChangedState(
            CaseState.TERMINATED, CaseState.REOPENED, CaseAction.REOPENED, replan_reason=ReplanReason.FACTS_AMENDED
        ),
    ]
    assert [entry.cause for entry in found if entry.kind is not CaseEventKind.REFERRAL_OFFERED] == [event] * len(rows)
    assert lines[4:7] == [
        "Shelter: dinsos-peksos: cannot be served (No capacity)",
        "Shelter: dinsos-peksos: rerouted (uptd-ppa)",
        "Case: The urgency was changed, uptd-ppa: Wenthilora moved away",
    ]


async def test_referrals_of_one_case_and_agency_become_the_services_of_one(backends: Backends, tmp_path: Path) -> None:
    name = f"before_{uuid4().hex[:8]}"
    await create_databases(backends.postgres_url, {"routing": name})
    url = backends.database_url(name)
    await migrate_async(url, "simpul_routing", "20261126_window_requests")
    ring, public = generate("routing", not_before=NOW, not_after=NOW + timedelta(days=1))
    keys, case, duplicate = Keys(ring, Directory([public])), uuid4(), uuid4()
    first, second, ended, elsewhere, never, refused = (uuid4() for _ in range(6))
    connection = await asyncpg.connect(url)
    for case_id, into in ((case, None), (duplicate, case)):
        facts = keys.encrypt(encode_facts(CaseFacts({})), associated_data=case_context(case_id))
        await connection.execute(
            "INSERT INTO case_plan (case_id, state, urgency, urgency_from_facts, mediation_locked, decided_at,"
            " agreement, agreement_digest, situation, merged_into)"
            " VALUES ($1, 'triage', 'low', 'low', true, $2, 'x', '', $3, $4)",
            case_id,
            NOW,
            facts,
            into,
        )
    rows: list[tuple[Any, ...]] = [
        (second, case, "uptd-ppa", "counselling", "offered", 2, None),
        (first, case, "uptd-ppa", "case_management", "accepted", 1, None),
        (ended, case, "uptd-ppa", "psychologist", "completed", 3, NOW),
        (elsewhere, case, "ylpa", "legal_aid", "seen", 1, None),
        (never, duplicate, "uptd-ppa", "manual_triage", "declined", 1, None),
    ]
    for referral, case_id, agency, service, state, hours, ended_at in rows:
        clauses = keys.encrypt(encode_clauses([f"of {service}"]), associated_data=f"referral/{referral}")
        await connection.execute(
            "INSERT INTO referral (referral_id, case_id, agency, service, role, agreement, clauses, state, urgency,"
            " answer_by, offered_at, ended_at) VALUES ($1, $2, $3, $4, 'lead', 'x', $5, $6, 'low', $7, $7, $8)",
            referral,
            case_id,
            agency,
            service,
            clauses,
            state,
            NOW + timedelta(hours=hours),
            ended_at,
        )
        await connection.execute(
            "INSERT INTO clock (referral_id, clock, started_at, due_at, step) VALUES ($1, 'answer', $2, $2, '50')",
            referral,
            NOW,
        )
        if referral != never:
            await connection.execute(
                "INSERT INTO case_event (event_id, case_id, referral_id, kind, actor, payload, at)"
                " VALUES (gen_random_uuid(), $1, $2, 'referral_offered', 'routing', $3, $4)",
                case_id,
                referral,
                json.dumps({"agency": agency, "service": service, "role": "lead"}),
                NOW,
            )
    await connection.execute(
        "INSERT INTO refused_reply (event_id, referral_id, agency, reason) VALUES ($1, $2, 'uptd-ppa', 'not_now')",
        refused,
        second,
    )

    await migrate_async(url, "simpul_routing")

    engine = create_engine(url, connections=1)
    async with engine.begin() as opened:
        transaction = Transaction(opened, NOW, Outbox("kediri", "routing", keys))
        files = CaseFiles(Versions(tmp_path, CITY, keys.directory), CITY, keys)
        file = (await files.load_for_update(transaction, [case]))[case]
        [waiting] = await repository.list_open_referrals(opened, "uptd-ppa", FIRST_PAGE, 10, Scope())
        lines = [line["text"] for line in await build_timeline(opened, keys, case, {}, "en")]
    answers = [answer_under(former) for former in (second, elsewhere, uuid4())]
    async with engine.begin() as opened:
        transaction = Transaction(opened, NOW, Outbox("kediri", "routing", keys))
        await JudgeReplies(files).judge_replies(transaction, ReplyKind.ACCEPTED, answers)
        await transaction.flush()
    await engine.dispose()
    kept = await connection.fetchrow("SELECT referral_id, service_ids FROM refused_reply WHERE event_id = $1", refused)
    refusals = await connection.fetch("SELECT event_id, reason FROM refused_reply WHERE event_id <> $1", refused)
    states = await connection.fetch("SELECT service_id, state FROM referral_service")
    events = await connection.fetch(
        "SELECT DISTINCT referral_id, service_id FROM case_event WHERE kind = 'referral_offered'"
    )
    await connection.close()
    of_hub = file.referrals[first]
    assert {key: list(one.services) for key, one in file.referrals.items()} == {
        first: [first, second, ended],
        elsewhere: [elsewhere],
        never: [never],
    }
    assert [one.position for one in of_hub.services.values()] == [1, 2, 3]
    assert [list(one.clauses) for one in of_hub.services.values()] == [
        ["of case_management"],
        ["of counselling"],
        ["of psychologist"],
    ]
    assert all(ClockName.ANSWER in one.clocks for one in file.services)
    assert (of_hub.offered_at, of_hub.answer_by) == (NOW + timedelta(hours=1), NOW + timedelta(hours=2))
    assert (file.referrals[never].offered_at, file.referrals[never].case_id) == (None, duplicate)
    assert (waiting.referral_id, waiting.answer_by) == (first, NOW + timedelta(hours=2))
    assert {one["service"] for one in waiting.services} == {"case_management", "counselling"}
    assert (kept["referral_id"], kept["service_ids"]) == (first, [second])
    assert {tuple(row) for row in states} == {
        (first, "accepted"), (second, "accepted"), (ended, "completed"), (elsewhere, "seen"), (never, "declined"),
    }  # fmt: skip
    assert {tuple(row) for row in refusals} == {
        (answers[1].id, "not_its_referral"),
        (answers[2].id, "unknown_referral"),
    }
    assert {tuple(row) for row in events} == {(first, first), (first, second), (first, ended), (elsewhere, elsewhere)}
    # The earlier version kept no order of what happened at one moment.
    assert sorted(
        ", ".join(sorted(line.partition(": ")[0].split(", "))) + line.partition(":")[2] for line in lines
    ) == [
        "Case management (lead), Counselling (lead), Psychologist (lead) sent to uptd-ppa",
        "Legal aid (lead) sent to ylpa",
    ]


async def test_cases_with_a_review_or_an_open_question_before_the_upgrade_are_looked_at_once(
    backends: Backends,
) -> None:
    name = f"before_{uuid4().hex[:8]}"
    await create_databases(backends.postgres_url, {"routing": name})
    url = backends.database_url(name)
    await migrate_async(url, "simpul_routing", "20261211_withdrawn_questions")
    reviewed, known, *questioned = [uuid4() for _ in range(5)]
    connection = await asyncpg.connect(url)
    for case in (reviewed, reviewed, known):
        await connection.execute(
            "INSERT INTO exclusion_review (referral_id, case_id, agency, started_at, due_at, closed_at)"
            " VALUES (gen_random_uuid(), $1, 'uptd-ppa', $2, $2, $2)",
            case,
            NOW,
        )
    for case, answered_at, withdrawn_at in zip(questioned, (None, NOW, None), (None, None, NOW), strict=True):
        await connection.execute(
            "INSERT INTO agency_question (question_id, case_id, referral_id, agency, addressee, content, sent_at,"
            " answered_at, withdrawn_at) VALUES ($1, $1, $1, 'ylpa', 'uptd-ppa', '', $2, $3, $4)",
            case,
            NOW,
            answered_at,
            withdrawn_at,
        )
    await connection.execute("INSERT INTO earlier_disclosure VALUES ($1, $2)", known, NOW)

    await migrate_async(url, "simpul_routing")

    waiting = await connection.fetch("SELECT case_id FROM earlier_disclosure")
    await connection.close()
    assert sorted(row["case_id"] for row in waiting) == sorted([reviewed, known, questioned[0]])


async def test_cases_of_which_an_agency_serves_already_wait_for_a_decision_about_the_dossier(
    backends: Backends,
) -> None:
    name = f"before_{uuid4().hex[:8]}"
    await create_databases(backends.postgres_url, {"routing": name})
    url = backends.database_url(name)
    await migrate_async(url, "simpul_routing", "20261127_working_time")
    states = ["accepted", "scheduled", "unattended", "in_progress", "offered", "seen", "declined", "completed"]
    cases = {state: uuid4() for state in states}
    connection = await asyncpg.connect(url)
    for state, case in cases.items():
        await connection.execute(
            "INSERT INTO case_plan (case_id, state, urgency, urgency_from_facts, mediation_locked, decided_at, rights,"
            " agreement, agreement_digest, situation) VALUES ($1, 'triage', 'low', 'low', true, $2, '{}', 'x', '', '')",
            case,
            NOW,
        )
        await connection.execute("INSERT INTO referral (referral_id, case_id, agency) VALUES ($1, $1, 'ylpa')", case)
        await connection.execute(
            "INSERT INTO referral_service (service_id, referral_id, position, service, role, agreement, clauses, state,"
            " answer_by, urgency, offered_at) VALUES ($1, $1, 1, 'legal_aid', 'lead', 'x', '', $2, $3, 'low', $3)",
            case,
            state,
            NOW,
        )

    await migrate_async(url, "simpul_routing")

    waiting = {row["case_id"] for row in await connection.fetch("SELECT case_id FROM earlier_disclosure")}
    await connection.close()
    assert waiting == {cases[state] for state in states[:4]}
