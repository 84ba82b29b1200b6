"""Publishes what the doctor found to the desk, which shows it to operators and coordinators."""

import json
import re
from datetime import datetime
from typing import Final

import asyncpg

from simpul_cli.doctor.examination import Examination
from simpul_schema.translations import LANGUAGES

_CREDENTIALS: Final = re.compile(r"//\S*@")
"""Up to the last @, because a password may have one, or a slash."""
_STORE: Final = """
    INSERT INTO examination (checked_at, findings, skipped) VALUES ($1, $2::text::jsonb, $3)
    ON CONFLICT (is_only) DO UPDATE
    SET checked_at = excluded.checked_at, findings = excluded.findings, skipped = excluded.skipped
"""


async def publish_examination(found: Examination, database_url: str, now: datetime) -> None:
    """Stores an examination in the desk's database; it replaces the one before."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(_STORE, now, json.dumps(describe_findings(found)), found.skipped)
    finally:
        await connection.close()


def describe_findings(found: Examination) -> list[dict[str, object]]:
    """Describes each finding in every language; an address loses its user and password, should one be in it."""
    return [
        {
            "code": finding.code,
            "severity": finding.severity.name.lower(),
            "cause": {one: _CREDENTIALS.sub("//", finding.cause.in_language(one)) for one in LANGUAGES},
            "remedy": _CREDENTIALS.sub("//", finding.remedy),
        }
        for finding in found.findings
    ]
