"""Fills routing's database with a history of years in minutes: most cases have ended, two in a hundred are open."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg

from simpul_agreement.facts import complete_situation
from simpul_routing.domain.facts import CaseFacts, ReportedFacts
from simpul_routing.stored_facts import case_context, encode_clauses, encode_facts, service_context
from simpul_runtime.signing import Keys
from simpul_schema.messages.referral import ReferralFacts
from tests.support.agreements import CITY, HOME

OPEN_SHARE: Final = 50
"""One of this many cases is open."""
SERVICES: Final = (
    ("case_management", "uptd-ppa"), ("outreach", "satgas-kel-bandar-lor"), ("medical_care", "rs-rujukan"),
    ("social_aid", "dinsos-peksos"), ("stay_in_school", "klinik-pendidikan"),
)  # fmt: skip
"""The five referrals of each case, with one service each."""
_CHUNK: Final = 20_000
_RIGHTS: Final = json.dumps({"prompt_response": {"state": "referred", "reason": ""}})
_CASES: Final = (
    "case_id", "state", "urgency", "urgency_from_facts", "mediation_locked", "agreement", "agreement_digest",
    "situation", "rights", "ended_as", "ended_at", "version", "decided_at",
)  # fmt: skip
_REFERRALS: Final = ("referral_id", "case_id", "agency", "offered_at", "answer_by")
_SERVICES: Final = (
    "service_id", "referral_id", "position", "service", "role", "agreement", "clauses", "state", "urgency",
    "reroute_count", "version", "answer_by", "offered_at",
)  # fmt: skip
_CLOCKS: Final = ("service_id", "clock", "started_at", "due_at", "step", "next_at")
_ENDED_REFERRALS: Final = """
    INSERT INTO referral (referral_id, case_id, agency, offered_at)
    SELECT gen_random_uuid(), c.case_id, s.agency, c.decided_at
    FROM case_plan c CROSS JOIN unnest($1::text[]) AS s (agency) WHERE c.ended_at IS NOT NULL
"""
_ENDED: Final = """
    INSERT INTO referral_service (service_id, referral_id, position, service, role, agreement, clauses, state, urgency,
        reroute_count, version, answer_by, offered_at, delivered_at, seen_at, accepted_at, started_at, outcome,
        ended_at)
    SELECT gen_random_uuid(), r.referral_id, 1, s.service, 'lead', c.agreement, decode(repeat('5a', 60), 'hex'),
        'completed', c.urgency, 0, 6, c.decided_at + interval '6 hours', c.decided_at,
        c.decided_at + interval '3 seconds', c.decided_at + interval '1 hour', c.decided_at + interval '2 hours',
        c.decided_at + interval '4 hours', 'served', c.ended_at
    FROM case_plan c JOIN referral r USING (case_id)
        JOIN unnest($1::text[], $2::text[]) AS s (service, agency) USING (agency) WHERE c.ended_at IS NOT NULL
"""
_STOPPED: Final = """
    INSERT INTO clock (service_id, clock, started_at, due_at, step, next_at, stopped_at)
    SELECT service_id, k.clock, offered_at, offered_at + k.within, '50', NULL, offered_at + k.within / 3
    FROM referral_service CROSS JOIN (VALUES ('receipt', interval '5 minutes'), ('answer', interval '6 hours'))
        k (clock, within)
    WHERE ended_at IS NOT NULL
"""
_HISTORY: Final = """
    INSERT INTO case_event (event_id, case_id, referral_id, service_id, kind, actor, payload, at)
    SELECT gen_random_uuid(), r.case_id, r.referral_id, s.service_id, e.kind, r.agency,
        jsonb_strip_nulls(jsonb_build_object(
            'agency', r.agency, 'service', s.service, 'role', e.role, 'before', e.before, 'after', e.after)),
        s.offered_at + e.later
    FROM referral_service s JOIN referral r USING (referral_id) CROSS JOIN (VALUES
        ('referral_offered', 'lead', NULL, NULL, interval '0'),
        ('referral_changed', NULL, 'offered', 'accepted', interval '2 hours'),
        ('referral_changed', NULL, 'accepted', 'in_progress', interval '4 hours'),
        ('referral_changed', NULL, 'in_progress', 'completed', interval '5 hours'))
        e (kind, role, before, after, later)
    WHERE s.ended_at IS NOT NULL OR e.kind = 'referral_offered'
"""


async def load(url: str, keys: Keys, cases: int, now: datetime, report: Callable[[str], None]) -> None:
    """Writes cases with five referrals each, decided evenly over the ten years before `now`.

    Indexes and keys are dropped while it writes and created again afterwards.
    """
    connection = await asyncpg.connect(url, command_timeout=3600)
    try:
        await connection.execute("SET maintenance_work_mem = '512MB'; SET synchronous_commit = off")
        made_again = await _without_indexes(connection)
        reported = 0
        for first in range(0, cases, _CHUNK):
            rows = list(islice(_case_rows(keys, first, cases, now), min(_CHUNK, cases - first)))
            await connection.copy_records_to_table("case_plan", records=rows, columns=_CASES)
            still_open = [(row[0], row[-1]) for row in rows if row[10] is None]
            referrals = [referral for case in still_open for referral in _referral_rows(*case)]
            await connection.copy_records_to_table("referral", records=referrals, columns=_REFERRALS)
            services = [_service_row(keys, referral) for referral in referrals]
            await connection.copy_records_to_table("referral_service", records=services, columns=_SERVICES)
            clocks = [clock for service in services for clock in _clock_rows(service)]
            await connection.copy_records_to_table("clock", records=clocks, columns=_CLOCKS)
            if (first + _CHUNK) * 5 // cases > reported:
                reported = (first + _CHUNK) * 5 // cases
                report(f"cases: {min(first + _CHUNK, cases):,} of {cases:,}")
        for what, statement, values in (
            ("referrals", _ENDED_REFERRALS, ([a for _, a in SERVICES],)),
            ("services", _ENDED, ([s for s, _ in SERVICES], [a for _, a in SERVICES])),
            ("deadlines", _STOPPED, ()), ("history", _HISTORY, ()),
        ):  # fmt: skip
            report(f"{what} ...")
            await connection.execute(statement, *values)
        report("indexes ...")
        for statement in made_again:
            await connection.execute(statement)
        await connection.execute("VACUUM ANALYZE case_plan, referral, referral_service, clock, case_event")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()


async def _without_indexes(connection: Any) -> list[str]:
    """Drops indexes and keys; returns the statements that create them again, primary keys first."""
    tables = ["case_plan", "referral", "referral_service", "clock", "case_event"]
    constraints = await connection.fetch(
        "SELECT conrelid::regclass::text AS t, conname, contype, pg_get_constraintdef(oid) AS made FROM pg_constraint "
        "WHERE conrelid = ANY($1::regclass[]) AND contype IN ('p', 'f', 'u') ORDER BY contype",
        tables,
    )
    indexes = await connection.fetch(
        "SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS made FROM pg_index "
        "WHERE indrelid = ANY($1::regclass[])"
        " AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = indexrelid)",
        tables,
    )
    again = [f"ALTER TABLE {row['t']} ADD CONSTRAINT {row['conname']} {row['made']}" for row in reversed(constraints)]
    for row in constraints:
        await connection.execute(f"ALTER TABLE {row['t']} DROP CONSTRAINT {row['conname']}")
    for row in indexes:
        await connection.execute(f"DROP INDEX {row['name']}")
    return again + [row["made"] for row in indexes]


def _case_rows(keys: Keys, first: int, cases: int, now: datetime) -> Iterator[tuple[Any, ...]]:
    triage = {"violence": ["physical"], "sex": "female", "age_band": "from_6_to_11", "kecamatan": "Mojoroto"}
    answers = (
        "safe_now",
        "injured",
        "sexual_under_72h",
        "suicidal_sign",
        "trafficking_sign",
        "pregnant",
        "disability_need",
        "in_school",
    )
    shared = ReferralFacts.model_validate(triage | dict.fromkeys(answers, "unknown") | {"mediation_locked": True})
    shared_facts = ReportedFacts(complete_situation({"violence": frozenset({"physical"})}), HOME, shared)
    assert HOME.satgas in CITY.agency_codes
    for number in range(first, cases):
        case_id, is_open = uuid4(), number % OPEN_SHARE == 0
        decided_at = now - timedelta(days=3650) * ((cases - number) / cases)
        if is_open:
            # An open case was reported in the last days.
            decided_at = now - timedelta(hours=12) - timedelta(days=3) * ((cases - number) / cases)
        facts = encode_facts(CaseFacts({str(case_id): shared_facts}))
        yield (
            case_id,
            "triage" if is_open else "terminated",
            "medium",
            "medium",
            True,
            "2026-11",
            "digest",
            keys.encrypt(facts, associated_data=case_context(case_id)),
            _RIGHTS,
            None if is_open else "completed",
            None if is_open else decided_at + timedelta(hours=9),
            1,
            decided_at,
        )


def _referral_rows(case_id: UUID, decided_at: datetime) -> Iterator[tuple[Any, ...]]:
    for _, agency in SERVICES:
        yield uuid4(), case_id, agency, decided_at, decided_at + timedelta(hours=6)


def _service_row(keys: Keys, referral: tuple[Any, ...]) -> tuple[Any, ...]:
    referral_id, _, agency, offered_at, answer_by = referral
    service, service_id = next(service for service, code in SERVICES if code == agency), uuid4()
    clauses = keys.encrypt(encode_clauses(["INT-1"]), associated_data=service_context(service_id))
    return (
        service_id,
        referral_id,
        1,
        service,
        "lead",
        "2026-11",
        clauses,
        "offered",
        "medium",
        0,
        1,
        answer_by,
        offered_at,
    )


def _clock_rows(service: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    offered_at = service[-1]
    yield service[0], "receipt", offered_at, offered_at + timedelta(minutes=5), "50", None
    yield (service[0], "answer", offered_at, offered_at + timedelta(hours=6), "50", offered_at + timedelta(hours=3))
