"""The auditor's page: who saw and did what at the desk, as a list, as CSV, and whether the record is intact."""

import csv
import io
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Annotated, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.types import Uuid

from simpul_city import City
from simpul_desk.access import Role, User, require
from simpul_desk.rendering import page_language, render
from simpul_desk.wording import Wording
from simpul_runtime.audit import AuditEntry, AuditFilter, append_entries, find_entries, stream_entries, verify_audit
from simpul_runtime.database import utc_now
from simpul_schema.names import subject_of_referral
from simpul_schema.references import case_reference, referral_code
from simpul_schema.translations import gettext_noop

AUDIT: Final = "/audit"
PAGE: Final = 100
"""Entries on a page."""
CSV_COLUMNS: Final = ("position", "at", "person", "actor", "role", "action", "subject", "detail")
ACTION_GROUPS: Final[Mapping[str, str]] = {
    "": gettext_noop("everything"),
    "login": gettext_noop("logins"),
    "login.failed": gettext_noop("failed logins"),
    "account.": gettext_noop("changes of accounts"),
    "report.": gettext_noop("reports filed"),
    "referral.": gettext_noop("referrals read"),
    "dossier.": gettext_noop("identities read"),
    "paper.": gettext_noop("printed papers"),
    "reply.": gettext_noop("answers of agencies"),
    "conflict.": gettext_noop("declared conflicts"),
    "emergency.": gettext_noop("emergency access"),
    "audit.": gettext_noop("readings of this record"),
}
"""Code, or start of codes -> what people call it."""
_FORMULA: Final = ("=", "+", "-", "@", "\t")
"""Begins what a spreadsheet calculates."""
_REFERRALS: Final = text("SELECT referral_id FROM board WHERE case_id = ANY(:case_ids)").bindparams(
    bindparam("case_ids", type_=ARRAY(Uuid))
)
_NAMES: Final = text("SELECT account_id, name, login_name FROM account ORDER BY name, login_name")
_Auditor = Annotated[User, Depends(require(Role.AUDITOR))]
_Given = Annotated[str, Query(max_length=200)]


@dataclass(frozen=True)
class AuditQuestion:
    """What an auditor asks for, as the form has it."""

    person: _Given = ""
    """Account, because a login name may be a mail address, which no address shows; empty for everybody."""
    action: _Given = ""
    subject: _Given = ""
    """`case/<uuid>`, `referral/<uuid>` or `account/<uuid>`, as the list shows it."""
    first_day: _Given = ""
    last_day: _Given = ""

    def to_filter(self, zone: ZoneInfo) -> AuditFilter:
        """Converts to a filter; a person, action or day that does not exist matches nothing or everything alike."""
        since, last = _read_day(self.first_day, zone), _read_day(self.last_day, zone)
        action = self.action if self.action in ACTION_GROUPS else ""
        return AuditFilter(self.person, action, self.subject.strip(), since, last + timedelta(days=1) if last else None)


@dataclass(frozen=True)
class People:
    """The people of the desk."""

    names: Mapping[str, str] = field(repr=False)
    """Account -> name."""
    login_names: Mapping[str, str] = field(repr=False)
    """Account -> login name, in the order of names."""


def add_audit_pages(web: FastAPI, engine: AsyncEngine, city: City) -> None:
    """Registers the routes."""

    @web.get(AUDIT, include_in_schema=False)
    async def audit(
        request: Request, user: _Auditor, question: Annotated[AuditQuestion, Depends()], after: int = 0
    ) -> Response:
        async with engine.begin() as connection:
            people = await load_people(connection)
            wanted = question.to_filter(city.zone)
            found = await find_entries(connection, wanted, after=after, limit=PAGE)
            hidden = await find_hidden_subjects(connection, user)
            await _record(connection, user, "audit.read")
        shown = [entry for entry in found.entries if entry.subject not in hidden]
        return render(
            request,
            "audit.html",
            question=question,
            entries=shown,
            total=found.total,
            next_after=found.next_after,
            people=people,
            groups=ACTION_GROUPS,
            show_subject=show_subject,
            wording=Wording(page_language(request), city.zone, utc_now()),
            query=_keep(request),
        )

    @web.get(f"{AUDIT}/record.csv", include_in_schema=False)
    async def export(user: _Auditor, question: Annotated[AuditQuestion, Depends()]) -> StreamingResponse:
        async with engine.begin() as connection:
            people = await load_people(connection)
            hidden = await find_hidden_subjects(connection, user)
            await _record(connection, user, "audit.exported")
        lines = write_lines(engine, question.to_filter(city.zone), people, hidden)
        headers = {"content-disposition": 'attachment; filename="simpul-audit.csv"'}
        return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=headers)

    @web.post(f"{AUDIT}/verification", include_in_schema=False)
    async def verify(request: Request, user: _Auditor) -> Response:
        async with engine.begin() as connection:
            found = await verify_audit(connection)
            await _record(connection, user, "audit.verified")
        return render(request, "audit_verification.html", found=found)


async def load_people(connection: AsyncConnection) -> People:
    """Loads the people of the desk, whether their accounts are open or closed."""
    rows = (await connection.execute(_NAMES)).all()
    return People(
        {str(row.account_id): row.name for row in rows}, {str(row.account_id): row.login_name for row in rows}
    )


async def find_hidden_subjects(connection: AsyncConnection, user: User) -> frozenset[str]:
    """Finds the cases that are kept from the auditor, and their referrals, as the record names them."""
    found = await connection.execute(_REFERRALS, {"case_ids": list(user.excluded_cases)})
    referrals = frozenset(subject_of_referral(referral_id) for referral_id in found.scalars())
    return referrals | {f"case/{case_id}" for case_id in user.excluded_cases}


def show_subject(subject: str) -> str:
    """Returns what an entry is about as people call it."""
    kind, _, identifier = subject.partition("/")
    if kind == "case":
        return case_reference(UUID(identifier))
    if kind == "referral":
        return referral_code(UUID(identifier))
    return ""


async def write_lines(
    engine: AsyncEngine, wanted: AuditFilter, people: People, hidden: Collection[str]
) -> AsyncIterator[str]:
    """Yields the entries as lines of CSV, which a spreadsheet takes for text and never for a formula."""
    yield _write_line(CSV_COLUMNS)
    async with engine.connect() as connection:
        async for entry in stream_entries(connection, wanted):
            if entry.subject not in hidden:
                yield _write_line(
                    (
                        str(entry.position),
                        entry.at.isoformat(),
                        people.names.get(entry.actor, ""),
                        entry.actor,
                        entry.role,
                        entry.action,
                        entry.subject,
                        entry.detail,
                    )
                )


def _write_line(values: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow([f"'{value}" if value.startswith(_FORMULA) else value for value in values])
    return line.getvalue()


def _read_day(given: str, zone: ZoneInfo) -> datetime | None:
    try:
        return datetime.combine(date.fromisoformat(given), time(), zone)
    except ValueError:
        return None


def _keep(request: Request) -> str:
    """Returns the question of an address, for the next page and the export."""
    return str(request.url.remove_query_params("after").query)


async def _record(connection: AsyncConnection, user: User, action: str) -> None:
    await append_entries(connection, [AuditEntry(action, "", str(user.id), Role.AUDITOR.value)], utc_now())
