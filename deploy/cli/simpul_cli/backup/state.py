"""What a restored database must show exactly as it was: the audit's head, clocks, open referrals, cases."""

from collections.abc import Mapping
from typing import Any, Final

_COMMON: Final = {
    "audit": "SELECT coalesce((SELECT position || ' ' || encode(hash, 'hex') FROM audit_head), 'empty')",
    "outbox": "SELECT count(*)::text FROM outbox",
    "inbox": "SELECT count(*)::text FROM inbox",
    "parked": "SELECT count(*)::text FROM parked",
}


def _rows(table: str, columns: str, condition: str) -> str:
    """Counts rows and adds up digests of them, so that the order does not matter."""
    digest = f"coalesce(sum(hashtextextended(concat_ws('|', {columns}), 0)), 0)"
    return f"SELECT count(*) || ' ' || {digest} FROM {table} WHERE {condition}"  # noqa: S608 - constants


_OWN: Final[Mapping[str, Mapping[str, str]]] = {
    "intake": {
        "reports": _rows("report", "report_id, case_id", "true"),
        "case_keys": _rows("case_key", "case_id, key_id, encode(wrapped, 'hex')", "true"),
        "legal_holds": _rows("legal_hold", "case_id, reason, reference", "true"),
    },
    "routing": {
        "cases": _rows("case_plan", "case_id, state, version", "true"),
        "clocks": _rows("clock", "service_id, clock, due_at, step, next_at", "stopped_at IS NULL"),
        "open_referrals": _rows("referral", "referral_id, agency, answer_by", "answer_by IS NOT NULL"),
    },
    "notify": {"pending_alerts": _rows("alert", "alert_id, due_at", "state = 'pending'")},
    "desk": {},
}


async def read_state(connection: Any, service: str) -> dict[str, str]:
    """Reads the state of a service's database, as its transaction sees it."""
    await connection.execute("SET LOCAL TIME ZONE 'UTC'")
    questions = {**_COMMON, **_OWN[service]}
    return {name: str(await connection.fetchval(statement)) for name, statement in questions.items()}
