"""The message tables as migrations of each service create them; a change is a new function, never an edit."""

from alembic import op


def create_20261124() -> None:
    """Outbox, stream, inbox, parked. New tables, so no lock on anything in use."""
    op.execute("""
        CREATE TABLE outbox (
            message_id uuid PRIMARY KEY,
            exchange text NOT NULL,
            routing_key text NOT NULL,
            body bytea NOT NULL,
            event_id uuid NOT NULL,
            correlation_id uuid NOT NULL,
            attempts smallint NOT NULL DEFAULT 0,
            due_at timestamptz NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now(),
            published_at timestamptz,
            last_error text
        )""")
    op.execute("CREATE INDEX outbox_pending ON outbox (due_at) WHERE published_at IS NULL")
    op.execute("CREATE TABLE stream (subject text PRIMARY KEY, last bigint NOT NULL)")
    op.execute("""
        CREATE TABLE inbox (
            source text NOT NULL,
            event_id uuid NOT NULL,
            type text NOT NULL,
            subject text NOT NULL,
            sequence bigint NOT NULL,
            digest bytea NOT NULL,
            state text NOT NULL,
            attempts smallint NOT NULL DEFAULT 0,
            due_at timestamptz,
            reason text,
            body bytea,
            received_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (source, event_id)
        )""")
    op.execute("CREATE INDEX inbox_stream ON inbox (subject, source, sequence)")
    op.execute("CREATE INDEX inbox_unfinished ON inbox (due_at) WHERE state <> 'done'")
    op.execute("""
        CREATE TABLE parked (
            digest bytea PRIMARY KEY,
            reason text NOT NULL,
            detail text NOT NULL DEFAULT '',
            exchange text NOT NULL DEFAULT '',
            routing_key text NOT NULL DEFAULT '',
            body bytea NOT NULL,
            times integer NOT NULL DEFAULT 1,
            first_at timestamptz NOT NULL DEFAULT now(),
            last_at timestamptz NOT NULL DEFAULT now(),
            replay_at timestamptz
        )""")
    op.execute("CREATE INDEX parked_for_replay ON parked (replay_at) WHERE replay_at IS NOT NULL")


def number_what_agencies_were_sent() -> None:
    """A number for each row that went to an agency.

    A new column without a default: nothing is rewritten. The indexes are built under a lock that lets reads go on.
    """
    op.execute("ALTER TABLE outbox ADD COLUMN number bigint")
    op.execute("""
        CREATE INDEX outbox_unnumbered ON outbox (created_at)
        WHERE exchange = 'simpul.referrals' AND number IS NULL""")
    op.execute("CREATE INDEX outbox_heartbeats ON outbox (created_at) WHERE number = 0")
    op.execute("""
        CREATE INDEX outbox_numbered ON outbox (split_part(routing_key, '.', 2), number)
        WHERE exchange = 'simpul.referrals' AND number > 0""")
    op.execute("""
        CREATE INDEX outbox_numbered_at ON outbox (split_part(routing_key, '.', 2), created_at)
        WHERE exchange = 'simpul.referrals' AND number > 0""")


def hold_what_cannot_be_sealed() -> None:
    """Events that wait until a party has a usable key. A new table, so no lock on anything in use."""
    op.execute("""
        CREATE TABLE held_event (
            position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            waits_for text NOT NULL,
            exchange text NOT NULL,
            routing_key text NOT NULL,
            agency text NOT NULL,
            subject text NOT NULL,
            sequence bigint NOT NULL,
            event_id uuid NOT NULL,
            case_id uuid NOT NULL,
            content bytea NOT NULL,
            held_at timestamptz NOT NULL DEFAULT now()
        )""")
    op.execute("CREATE INDEX held_event_stream ON held_event (subject, exchange)")
    op.execute("CREATE INDEX held_event_party ON held_event (waits_for, position)")


def keep_signatures_beside_bodies() -> None:
    """A signature for each stored body, and one set of reasons for services and agencies.

    New columns without a volatile default: nothing is rewritten. The two updates touch parked messages only.
    """
    op.execute("ALTER TABLE outbox ADD COLUMN signature text")
    op.execute("ALTER TABLE inbox ADD COLUMN signature text")
    op.execute("ALTER TABLE parked ADD COLUMN signature text NOT NULL DEFAULT ''")
    op.execute("UPDATE parked SET reason = 'too_large' WHERE reason = 'oversized'")
    op.execute("UPDATE parked SET reason = 'unauthorized_publisher' WHERE reason = 'not_its_to_say'")
