"""Fills routing's database with a history of years in minutes: most cases have ended, two in a hundred are open."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg

from simpul_agreement.facts import complete_situation
from simpul_routing.stored_facts import (
    ReportedFacts,
    StoredFacts,
    case_context,
    encode_clauses,
    encode_facts,
    referral_context,
)
from simpul_runtime.signing import Keys
from simpul_schema.messages.referral import ReferralFacts
from tests.support.agreements import CITY, HOME

OPEN_SHARE: Final = 50
"""One case in so many is open."""
SERVICES: Final = (
    ("case_management", "uptd-ppa"), ("outreach", "satgas-kel-bandar-lor"), ("medical_care", "rs-rujukan"),
    ("social_aid", "dinsos-peksos"), ("stay_in_school", "klinik-pendidikan"),
)  # fmt: skip
"""What each case asks for: five referrals."""
_CHUNK: Final = 20_000
_RIGHTS: Final = json.dumps({"prompt_response": {"state": "referred", "reason": ""}})
_CASES: Final = (
    "case_id", "state", "urgency", "urgency_from_facts", "mediation_locked", "agreement", "agreement_digest",
    "situation", "rights", "ended_as", "ended_at", "version", "decided_at",
)  # fmt: skip
_REFERRALS: Final = (
    "referral_id", "case_id", "agency", "service", "role", "agreement", "clauses", "state", "urgency", "reroute_count",
    "version", "answer_by", "offered_at",
)  # fmt: skip
_CLOCKS: Final = ("referral_id", "clock", "started_at", "due_at", "step", "next_at")
_ENDED: Final = """
    INSERT INTO referral (referral_id, case_id, agency, service, role, agreement, clauses, state, urgency,
        reroute_count, version, answer_by, offered_at, delivered_at, seen_at, accepted_at, started_at, outcome,
        ended_at)
    SELECT gen_random_uuid(), c.case_id, s.agency, s.service, 'lead', c.agreement, decode(repeat('5a', 60), 'hex'),
        'completed', c.urgency, 0, 6, c.decided_at + interval '6 hours', c.decided_at,
        c.decided_at + interval '3 seconds', c.decided_at + interval '1 hour', c.decided_at + interval '2 hours',
        c.decided_at + interval '4 hours', 'served', c.ended_at
    FROM case_plan c CROSS JOIN unnest($1::text[], $2::text[]) AS s (service, agency) WHERE c.ended_at IS NOT NULL
"""
_STOPPED: Final = """
    INSERT INTO clock (referral_id, clock, started_at, due_at, step, next_at, stopped_at)
    SELECT referral_id, k.clock, offered_at, offered_at + k.within, '50', NULL, offered_at + k.within / 3
    FROM referral CROSS JOIN (VALUES ('receipt', interval '5 minutes'), ('answer', interval '6 hours'))
        k (clock, within)
    WHERE ended_at IS NOT NULL
"""
_TRANSITIONS: Final = """
    INSERT INTO transition (transition_id, case_id, referral_id, agency, actor, before, after, reason, at)
    SELECT gen_random_uuid(), r.case_id, r.referral_id, r.agency, r.agency, t.before, t.after, '',
        r.offered_at + t.later
    FROM referral r CROSS JOIN (VALUES ('offered', 'accepted', interval '2 hours'),
        ('accepted', 'in_progress', interval '4 hours'), ('in_progress', 'completed', interval '5 hours'))
        t (before, after, later)
    WHERE r.ended_at IS NOT NULL
"""


async def load(url: str, keys: Keys, cases: int, now: datetime, say: Callable[[str], None]) -> None:
    """Write that many cases, five referrals each, decided evenly over the ten years before `now`.

    Indexes and keys are taken away while it writes and made again after.
    """
    connection = await asyncpg.connect(url, command_timeout=3600)
    try:
        await connection.execute("SET maintenance_work_mem = '512MB'; SET synchronous_commit = off")
        made_again = await _without_indexes(connection)
        said = 0
        for first in range(0, cases, _CHUNK):
            rows = list(islice(_case_rows(keys, first, cases, now), min(_CHUNK, cases - first)))
            await connection.copy_records_to_table("case_plan", records=rows, columns=_CASES)
            still_open = [(row[0], row[-1]) for row in rows if row[10] is None]
            referrals = [referral for case in still_open for referral in _referral_rows(keys, *case)]
            await connection.copy_records_to_table("referral", records=referrals, columns=_REFERRALS)
            clocks = [clock for referral in referrals for clock in _clock_rows(referral)]
            await connection.copy_records_to_table("clock", records=clocks, columns=_CLOCKS)
            if (first + _CHUNK) * 5 // cases > said:
                said = (first + _CHUNK) * 5 // cases
                say(f"cases: {min(first + _CHUNK, cases):,} of {cases:,}")
        for what, statement, values in (
            ("referrals", _ENDED, ([s for s, _ in SERVICES], [a for _, a in SERVICES])),
            ("deadlines", _STOPPED, ()), ("history", _TRANSITIONS, ()),
        ):  # fmt: skip
            say(f"{what} ...")
            await connection.execute(statement, *values)
        say("indexes ...")
        for statement in made_again:
            await connection.execute(statement)
        await connection.execute("VACUUM ANALYZE case_plan, referral, clock, transition")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()


async def _without_indexes(connection: Any) -> list[str]:
    """Take indexes and keys away; returns the statements that make them again, primary keys first."""
    tables = ["case_plan", "referral", "clock", "transition"]
    constraints = await connection.fetch(
        "SELECT conrelid::regclass::text AS t, conname, contype, pg_get_constraintdef(oid) AS made FROM pg_constraint "
        "WHERE conrelid = ANY($1::regclass[]) AND contype IN ('p', 'f') ORDER BY contype",
        tables,
    )
    indexes = await connection.fetch(
        "SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS made FROM pg_index "
        "WHERE indrelid = ANY($1::regclass[]) AND NOT indisprimary",
        tables,
    )
    again = [f"ALTER TABLE {row['t']} ADD CONSTRAINT {row['conname']} {row['made']}" for row in reversed(constraints)]
    for row in constraints:
        await connection.execute(f"ALTER TABLE {row['t']} DROP CONSTRAINT {row['conname']}")
    for row in indexes:
        await connection.execute(f"DROP INDEX {row['name']}")
    return again + [row["made"] for row in indexes]


def _case_rows(keys: Keys, first: int, cases: int, now: datetime) -> Iterator[tuple[Any, ...]]:
    told = {"violence": ["physical"], "sex": "female", "age_band": "from_6_to_11", "kecamatan": "Mojoroto"}
    answers = ("safe_now", "injured", "sexual_under_72h", "suicidal_sign", "trafficking_sign", "pregnant",
               "disability_need", "in_school")  # fmt: skip
    shared = ReferralFacts.model_validate(told | dict.fromkeys(answers, "unknown") | {"mediation_locked": True})
    told_once = ReportedFacts(complete_situation({"violence": frozenset({"physical"})}), HOME, shared)
    assert HOME.satgas in CITY.agency_codes
    for number in range(first, cases):
        case_id, is_open = uuid4(), number % OPEN_SHARE == 0
        decided_at = now - timedelta(days=3650) * ((cases - number) / cases)
        if is_open:
            # What is open now was reported in the last days.
            decided_at = now - timedelta(hours=12) - timedelta(days=3) * ((cases - number) / cases)
        facts = encode_facts(StoredFacts({str(case_id): told_once}))
        yield (
            case_id, "triage" if is_open else "terminated", "medium", "medium", True, "2026-11", "digest",
            keys.lock(facts, place=case_context(case_id)), _RIGHTS, None if is_open else "completed",
            None if is_open else decided_at + timedelta(hours=9), 1, decided_at,
        )  # fmt: skip


def _referral_rows(keys: Keys, case_id: UUID, decided_at: datetime) -> Iterator[tuple[Any, ...]]:
    for service, agency in SERVICES:
        referral_id = uuid4()
        clauses = keys.lock(encode_clauses(["INT-1"]), place=referral_context(referral_id))
        yield (
            referral_id, case_id, agency, service, "lead", "2026-11", clauses, "offered", "medium", 0, 1,
            decided_at + timedelta(hours=6), decided_at,
        )  # fmt: skip


def _clock_rows(referral: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    offered_at = referral[-1]
    yield referral[0], "receipt", offered_at, offered_at + timedelta(minutes=5), "50", None
    yield (
        referral[0], "answer", offered_at, offered_at + timedelta(hours=6), "50", offered_at + timedelta(hours=3),
    )  # fmt: skip
