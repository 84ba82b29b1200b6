"""What the floor stores: the rows that a case of the load has in Simpul, with the indexes that find them.

A case has a report with its key and three sections, an index entry for duplicates, three referrals with four services
and their fifteen deadlines, a service plan, ten entries of the history, eleven of the chained audit, and four alerts
with their escalations.
"""

import json
import time
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final, TypeAlias
from uuid import UUID, uuid4

import asyncpg
from aiormq.abc import DeliveredMessage

SEALED: Final = "x" * 500
"""Placeholder for the facts of a referral, so that messages are as long as Simpul's."""
CLOCKS: Final = ("answer", "contact", "start", "complete")
"""The deadlines of a service; the last service of a case lacks one."""
SECTIONS: Final = ("identity", "narrative", "triage")
LOOKUPS: Final = 24
"""Entries of a report in the index of duplicates."""

TABLES: Final = """
    CREATE TABLE report (report_id uuid PRIMARY KEY, case_id uuid NOT NULL UNIQUE, body bytea NOT NULL);
    CREATE TABLE case_key (case_id uuid PRIMARY KEY, wrapped bytea NOT NULL);
    CREATE TABLE section (case_id uuid, name text, ciphertext bytea NOT NULL, PRIMARY KEY (case_id, name));
    CREATE TABLE duplicate_index (case_id uuid PRIMARY KEY, lookup integer[] NOT NULL);
    CREATE INDEX ON duplicate_index USING gin (lookup) WITH (fastupdate = off);
    CREATE TABLE inbox (event_id uuid PRIMARY KEY, subject text NOT NULL, sequence bigint NOT NULL,
        digest bytea NOT NULL, received_at timestamptz DEFAULT now());
    CREATE INDEX ON inbox (subject, sequence);
    CREATE TABLE case_plan (case_id uuid PRIMARY KEY, facts text NOT NULL, decided_at timestamptz DEFAULT now());
    CREATE TABLE referral (referral_id uuid PRIMARY KEY, case_id uuid NOT NULL REFERENCES case_plan,
        agency text NOT NULL, answer_by timestamptz DEFAULT now() + interval '1 day', UNIQUE (case_id, agency));
    CREATE INDEX ON referral (agency, answer_by, referral_id);
    CREATE TABLE referral_service (service_id uuid PRIMARY KEY, referral_id uuid NOT NULL,
        state text NOT NULL DEFAULT 'offered', offered_at timestamptz DEFAULT now(), delivered_at timestamptz);
    CREATE INDEX ON referral_service (referral_id);
    CREATE INDEX ON referral_service (offered_at);
    CREATE TABLE clock (service_id uuid, clock text, next_at timestamptz DEFAULT now() + interval '1 day',
        stopped_at timestamptz, PRIMARY KEY (service_id, clock));
    CREATE INDEX ON clock (next_at) WHERE next_at IS NOT NULL;
    CREATE TABLE service_plan (referral_id uuid PRIMARY KEY, case_id uuid NOT NULL, services text NOT NULL);
    CREATE INDEX ON service_plan (case_id);
    CREATE TABLE case_event (event_id uuid PRIMARY KEY, case_id uuid NOT NULL, kind text NOT NULL,
        payload jsonb NOT NULL, position bigint GENERATED ALWAYS AS IDENTITY);
    CREATE INDEX ON case_event (case_id, position);
    CREATE TABLE audit (position bigint PRIMARY KEY, at timestamptz DEFAULT now(), actor text NOT NULL,
        action text NOT NULL, subject text NOT NULL, digest bytea NOT NULL, hash bytea NOT NULL);
    CREATE INDEX ON audit (subject, position);
    CREATE INDEX ON audit (actor, position);
    CREATE INDEX ON audit (at);
    CREATE TABLE audit_head (position bigint NOT NULL, hash bytea NOT NULL);
    INSERT INTO audit_head VALUES (0, '');
    CREATE TABLE known_service (service_id uuid PRIMARY KEY, urgency text NOT NULL);
    CREATE TABLE escalation (escalation_id uuid PRIMARY KEY, case_id uuid NOT NULL, alert_id uuid NOT NULL UNIQUE,
        due_at timestamptz DEFAULT now() + interval '1 day', alerted_at timestamptz);
    CREATE INDEX ON escalation (due_at);
    CREATE INDEX ON escalation (case_id);
    CREATE TABLE alert (alert_id uuid PRIMARY KEY, referral_id uuid NOT NULL, agency text NOT NULL,
        state text NOT NULL DEFAULT 'pending', due_at timestamptz DEFAULT now(), leased_until timestamptz,
        notification_id uuid, settled_at timestamptz);
    CREATE INDEX ON alert (due_at) WHERE state = 'pending';
    CREATE INDEX ON alert (agency) WHERE state = 'pending';
    CREATE TABLE notification (notification_id uuid PRIMARY KEY, agency text NOT NULL);
    CREATE TABLE delivery (notification_id uuid PRIMARY KEY, accepted_at timestamptz DEFAULT now());
    CREATE TABLE stream (subject text PRIMARY KEY, last bigint NOT NULL);
    CREATE TABLE outbox (message_id uuid PRIMARY KEY, exchange text NOT NULL, routing_key text NOT NULL,
        body bytea NOT NULL, created_at timestamptz DEFAULT now(), published_at timestamptz, number bigint);
    CREATE INDEX ON outbox (created_at) WHERE published_at IS NULL;
    CREATE INDEX ON outbox (created_at) WHERE exchange = 'floor.referrals' AND number IS NULL;
    CREATE SEQUENCE manifest;
"""

Row: TypeAlias = tuple[UUID, str, str, bytes]
"""Message id, exchange, routing key, body."""
Entry: TypeAlias = tuple[str, str, str]
"""Actor, action and subject of something that is audited."""
Event: TypeAlias = tuple[str, str, dict[str, Any]]
"""Type, subject and data."""


async def insert(database: asyncpg.Connection, table: str, columns: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Inserts rows by one statement; `columns` are names with their types, such as `case_id uuid, name text`."""
    if rows:
        names, types = zip(*(column.split() for column in columns.split(", ")), strict=True)
        arrays = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(types, 1))
        await database.execute(
            f"INSERT INTO {table} ({', '.join(names)}) SELECT * FROM unnest({arrays})",
            *map(list, zip(*rows, strict=True)),
        )


async def append_audit(database: asyncpg.Connection, entries: Sequence[Entry]) -> None:
    """Appends entries to the chained audit, as the last statement of a transaction."""
    digests = [sha256("|".join(entry).encode()).digest() for entry in entries]
    await database.execute(
        "WITH head AS (UPDATE audit_head SET position = position + $1, hash = sha256(hash || $2)"
        " RETURNING position, hash)"
        " INSERT INTO audit (position, actor, action, subject, digest, hash)"
        " SELECT h.position - $1 + e.number, e.actor, e.action, e.subject, e.digest, h.hash FROM head h"
        " CROSS JOIN unnest($3::text[], $4::text[], $5::text[], $6::bytea[])"
        " WITH ORDINALITY AS e (actor, action, subject, digest, number)",
        len(entries),
        sha256(b"".join(digests)).digest(),
        *map(list, zip(*entries, strict=True)),
        digests,
    )


async def number_events(database: asyncpg.Connection, events: Sequence[Event]) -> list[bytes]:
    """Gives each event its position in the stream of its subject; returns the bodies."""
    counts = Counter(subject for _, subject, _ in events)
    subjects = sorted(counts)
    found = await database.fetch(
        "INSERT INTO stream (subject, last) SELECT * FROM unnest($1::text[], $2::bigint[])"
        " ON CONFLICT (subject) DO UPDATE SET last = stream.last + excluded.last RETURNING subject, last",
        subjects,
        [counts[subject] for subject in subjects],
    )
    last = {subject: highest - counts[subject] for subject, highest in found}
    bodies = []
    for kind, subject, data in events:
        last[subject] += 1
        bodies.append(event_bytes(kind, subject, last[subject], data))
    return bodies


def event_bytes(kind: str, subject: str, sequence: int, data: dict[str, Any]) -> bytes:
    """Builds the body of an event."""
    event = {"id": str(uuid4()), "type": kind, "time": time.time(), "subject": subject, "sequence": sequence}
    return json.dumps(event | {"data": data}).encode()


async def store_outgoing(database: asyncpg.Connection, rows: Sequence[Row]) -> None:
    """Inserts the outbox rows of a transaction."""
    await insert(database, "outbox", "message_id uuid, exchange text, routing_key text, body bytea", rows)


async def store_incoming(
    database: asyncpg.Connection, deliveries: Sequence[DeliveredMessage]
) -> list[tuple[UUID, dict[str, Any]]]:
    """Inserts the inbox rows of a transaction; returns the events that are new."""
    events = {}
    for delivery in deliveries:
        event = json.loads(delivery.body)
        events[UUID(event["id"])] = (event, sha256(delivery.body).digest())
    fresh = await database.fetch(
        "INSERT INTO inbox (event_id, subject, sequence, digest)"
        " SELECT * FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bytea[])"
        " ON CONFLICT DO NOTHING RETURNING event_id",
        list(events),
        [event["subject"] for event, _ in events.values()],
        [event["sequence"] for event, _ in events.values()],
        [digest for _, digest in events.values()],
    )
    return [(row[0], events[row[0]][0]) for row in fresh]
