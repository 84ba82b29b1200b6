"""What an operator does in notify's database: try again, find whom to call, record a call."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import asyncpg

from simpul_notify.domain.contact_rules import ContactRules, find_hindrance
from simpul_notify.domain.reach_checks import CONFIRM_WITHIN
from simpul_notify.domain.responders import Responder, Roster
from simpul_notify.domain.roster_changes import RosterChange
from simpul_notify.reach_report import Period, read_report
from simpul_notify.repository import reach, reach_checks, roster_changes
from simpul_notify.repository.needs import is_needed
from simpul_notify.repository.reach import GroupBy, LoggedAlert
from simpul_runtime.database import create_engine, utc_now
from simpul_schema.references import read_code, referral_code
from simpul_schema.vocabulary import AlertChannel, Urgency

SCRIPT: Final = """
What to say, and nothing else:
  "Selamat siang, ini Simpul. Rujukan KODE menunggu jawaban lembaga Anda. Mohon dibuka di aplikasi sekarang."
Do not name anybody, the matter or the address, and leave no voice message.
Then: simpul notify called KODE"""
"""For the person who calls; whoever answers the phone may be anybody."""

_RETRY: Final = """
    UPDATE alert SET due_at = now() WHERE state = 'pending' AND due_at > now()
        AND ($1 = '' OR split_part(channel, '/', 1) = $1)
        AND attempts > 0 AND (leased_until IS NULL OR leased_until <= now())
"""
# Urgent matters about which a provider took no message, or whose messages were all given up, for five minutes.
_FIND_CALLS: Final = f"""
    SELECT a.referral_id, a.party, min(a.created_at) AS since, min(a.deadline) AS deadline,
        extract(epoch FROM now() - min(a.created_at)) AS seconds
    FROM alert a WHERE a.urgency = 'high' AND a.step <> 3
    GROUP BY a.referral_id, a.party
    HAVING bool_or(a.state IN ('pending', 'failed')) AND NOT bool_or(a.state = 'sent' OR a.acknowledged_at IS NOT NULL)
        AND min(a.created_at) FILTER (WHERE a.state IN ('pending', 'failed')) < now() - interval '5 minutes'
        AND EXISTS (SELECT FROM alert i
            WHERE i.referral_id = a.referral_id AND i.party = a.party AND {is_needed("i")})
    ORDER BY since
"""  # noqa: S608 - constants
_RECORD_CALL: Final = """
    UPDATE alert SET acknowledged_at = now(), settled_at = coalesce(settled_at, now()),
        reason = CASE WHEN state = 'pending' THEN 'acknowledged' ELSE reason END,
        state = CASE WHEN state = 'pending' THEN 'suppressed' ELSE state END
    WHERE referral_id BETWEEN $1 AND $2 AND state IN ('pending', 'failed') AND acknowledged_at IS NULL
"""
_END_ESCALATIONS: Final = """
    UPDATE escalation SET state = 'ended', due_at = NULL, ended_at = now()
    WHERE referral_id BETWEEN $1 AND $2 AND state <> 'ended'
"""


@dataclass(frozen=True, slots=True)
class Call:
    """A party that must be called about a referral."""

    code: str
    party: str
    minutes: int
    deadline: str
    """In the time zone of this machine."""


async def retry_alerts(database_url: str, channel: str) -> int:
    """Makes what a provider did not take due now; returns the number of alerts."""
    return await _execute(database_url, _RETRY, channel)


async def find_calls(database_url: str) -> list[Call]:
    """Finds urgent referrals about which nobody was reached for five minutes."""
    connection = await asyncpg.connect(database_url)
    try:
        rows = await connection.fetch(_FIND_CALLS)
    finally:
        await connection.close()
    return [
        Call(
            referral_code(row["referral_id"]),
            row["party"],
            int(row["seconds"] // 60),
            row["deadline"].astimezone().strftime("%d/%m %H.%M %Z"),
        )
        for row in rows
    ]


async def find_roster_changes(database_url: str) -> list[RosterChange]:
    """Finds the absences and shifts that leads entered at the desk."""
    engine = create_engine(database_url, connections=1)
    try:
        async with engine.connect() as connection:
            return await roster_changes.find_changes(connection, utc_now())
    finally:
        await engine.dispose()


async def find_reach_checks(database_url: str) -> list[reach_checks.ReachCheck]:
    """Finds what came of the last weekly message to each number and address, once its time is over."""
    engine = create_engine(database_url, connections=1)
    try:
        async with engine.connect() as connection:
            return await reach_checks.find_checks(connection, utc_now() - CONFIRM_WITHIN)
    finally:
        await engine.dispose()


async def read_reach(database_url: str, period: Period, by: GroupBy, zone: ZoneInfo) -> list[list[str]]:
    """Reads the report of reach."""
    engine = create_engine(database_url, connections=1)
    try:
        async with engine.connect() as connection:
            return await read_report(connection, period, by, zone)
    finally:
        await engine.dispose()


async def find_log(database_url: str, code: str) -> list[LoggedAlert]:
    """Finds every alert about a referral; none for an unknown code."""
    named = read_code(code)
    if named is None or named.kind != "referral":
        return []
    engine = create_engine(database_url, connections=1)
    try:
        async with engine.connect() as connection:
            return await reach.find_log(connection, named.first, named.last)
    finally:
        await engine.dispose()


async def record_call(database_url: str, code: str) -> int:
    """Ends the alerts of a referral that reached nobody; returns their number, 0 for an unknown code."""
    named = read_code(code)
    if named is None or named.kind != "referral":
        return 0
    connection = await asyncpg.connect(database_url)
    try:
        async with connection.transaction():
            ended = await connection.execute(_RECORD_CALL, named.first, named.last)
            await connection.execute(_END_ESCALATIONS, named.first, named.last)
    finally:
        await connection.close()
    return int(ended.split()[-1])


async def _execute(database_url: str, statement: str, *values: object) -> int:
    connection = await asyncpg.connect(database_url)
    try:
        return int((await connection.execute(statement, *values)).split()[-1])
    finally:
        await connection.close()


def find_people_to_call(roster: Roster, party: str, rules: ContactRules, now: datetime) -> list[str]:
    """Returns whom to call for a party: the reference and number of each person on duty, then of its leads.

    Somebody outside the own safe hours is named with their beginning and without a number, and what the city never uses
    is left out. Where nobody may be called now, the people of the coordinating agency follow.
    """
    people = [*roster.on_duty.get(party, ()), *roster.leads.get(party, ())]
    found = [_describe(person, rules, now) for person in people]
    if not any(number for _, number in found):
        coordinators = roster.on_duty.get(roster.coordinator, ()) if party != roster.coordinator else ()
        found += [_describe(person, rules, now) for person in coordinators]
    return [f"{reference} {number}" if number else reference for reference, number in found]


def _describe(person: Responder, rules: ContactRules, now: datetime) -> tuple[str, str]:
    """Returns a person's reference and the numbers that may be called now; without one, the reference says why."""
    numbers, waits = [], "without a number"
    for recipient, address in person.addresses.items():
        if recipient.channel is not AlertChannel.SMS:
            continue
        hindrance = find_hindrance(rules, address, Urgency.HIGH, safe_hours=person.safe_hours, recent=(), now=now)
        if hindrance is None:
            numbers.append(address)
        elif hindrance.until:
            waits = f"not before {hindrance.until.astimezone(rules.zone).strftime('%H.%M %Z')}"
    return (person.reference, ", ".join(numbers)) if numbers else (f"{person.reference} ({waits})", "")
