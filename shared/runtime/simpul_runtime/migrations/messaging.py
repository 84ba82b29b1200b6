"""The steps by which each service's migrations create and change its message tables; a change is a new function."""

from alembic import op


def create_20261124() -> None:
    """Creates outbox, stream, inbox and parked. New tables lock nothing that is in use."""
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


def add_held_events() -> None:
    """Creates the table of events that wait until a party has a usable key. It locks nothing that is in use."""
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


def add_signatures() -> None:
    """Adds a signature to each stored body, and renames the reasons for parking.

    New columns without a volatile default rewrite no row. The two updates touch parked messages only.
    """
    op.execute("ALTER TABLE outbox ADD COLUMN signature text")
    op.execute("ALTER TABLE inbox ADD COLUMN signature text")
    op.execute("ALTER TABLE parked ADD COLUMN signature text NOT NULL DEFAULT ''")
    op.execute("UPDATE parked SET reason = 'too_large' WHERE reason = 'oversized'")
    op.execute("UPDATE parked SET reason = 'unauthorized_publisher' WHERE reason = 'not_its_to_say'")


def rename_inbox_states() -> None:
    """Renames the state of inbox messages that wait for their predecessor; updates these rows only."""
    op.execute("UPDATE inbox SET state = 'waiting_for_predecessor' WHERE state = 'waiting'")


def add_audit() -> None:
    """Creates the audit and the head of its chain. It locks nothing that is in use."""
    op.execute("""
        CREATE TABLE audit (
            position bigint PRIMARY KEY,
            block bigint NOT NULL,
            at timestamptz NOT NULL,
            actor text NOT NULL,
            role text NOT NULL,
            action text NOT NULL,
            subject text NOT NULL,
            detail text NOT NULL,
            salt bytea NOT NULL,
            commitment bytea NOT NULL,
            digest bytea NOT NULL,
            hash bytea NOT NULL
        )""")
    op.execute("CREATE INDEX audit_of_subject ON audit (subject, position)")
    op.execute("CREATE INDEX audit_of_actor ON audit (actor, position)")
    op.execute("CREATE INDEX audit_at ON audit (at)")
    op.execute("""
        CREATE TABLE audit_head (
            is_only boolean NOT NULL DEFAULT true PRIMARY KEY CONSTRAINT audit_head_is_only CHECK (is_only),
            position bigint NOT NULL,
            hash bytea NOT NULL
        )""")
    # 32 zero bytes precede the first block.
    op.execute("INSERT INTO audit_head (position, hash) VALUES (0, decode(repeat('00', 32), 'hex'))")


def add_traces() -> None:
    """Adds its trace to each outbox message; a new column without a default rewrites no row."""
    op.execute("ALTER TABLE outbox ADD COLUMN traceparent text")
