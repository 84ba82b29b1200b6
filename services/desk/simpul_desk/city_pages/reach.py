"""How alerts reached people: for a lead of the own agency, for a coordinator of every one; as a page and as a file."""

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, Request, Response

from simpul_agreement import AgreementMissing, Versions
from simpul_agreement.model import Agreement
from simpul_desk.access import Actor, Role, User, require
from simpul_desk.city_pages.pages import CityPages
from simpul_desk.rendering import page_language
from simpul_desk.service_api import NotifyApi
from simpul_runtime.database import utc_now
from simpul_schema.translations import gettext_noop
from simpul_schema.vocabulary import AlertChannel

REACH: Final = "/reach"
GROUPS: Final[Mapping[str, str]] = {
    "agency": gettext_noop("by agency"),
    "responder": gettext_noop("by person"),
    "provider": gettext_noop("by provider"),
}
"""What figures are divided by -> what people call it."""
_MONTH: Final = re.compile(r"20\d\d-(0[1-9]|1[0-2])")
_Reader = Annotated[User, Depends(require(Role.COORDINATOR, Role.AGENCY_LEAD))]


def add_reach_pages(
    web: FastAPI, pages: CityPages, notify: NotifyApi, find_agreement: Callable[[], Agreement | None]
) -> None:
    """Adds the routes; the agreement names whom escalations reach besides agencies."""

    def name_parties(language: str) -> Mapping[str, str]:
        agreement = find_agreement()
        parties = agreement.parties if agreement else ()
        return {one.code: one.name.in_language(language) for one in parties} | dict(pages.agency_names)

    @web.get(REACH, include_in_schema=False)
    async def reach(request: Request, user: _Reader, month: str = "", by: str = "agency") -> Response:
        month, by = _read_question(month, by)
        columns, rows = await read_report(notify, user, month, by)
        parties = group_by_party([dict(zip(columns, row, strict=True)) for row in rows])
        return pages.render(
            request,
            "city/reach.html",
            month=month,
            by=by,
            groups=GROUPS,
            parties=parties,
            party_names=name_parties(page_language(request)),
            AlertChannel=AlertChannel,
        )

    @web.get(f"{REACH}/report.csv", include_in_schema=False)
    async def as_file(user: _Reader, month: str = "", by: str = "agency") -> Response:
        month, by = _read_question(month, by)
        columns, rows = await read_report(notify, user, month, by)
        content = io.StringIO()
        csv.writer(content).writerows([columns, *rows])
        name = f"simpul-reach-{by}{'-' if month else ''}{month}.csv"
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        return Response(content.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


def find_active_agreement(versions: Versions) -> Agreement | None:
    """Finds the agreement that decides new cases; None while none is active."""
    try:
        return versions.active(utc_now()).agreement
    except AgreementMissing:
        return None


def _read_question(month: str, by: str) -> tuple[str, str]:
    """Returns month and division as notify takes them; what it would refuse becomes the usual report."""
    return month if _MONTH.fullmatch(month) else "", by if by in GROUPS else "agency"


async def read_report(notify: NotifyApi, user: User, month: str, by: str) -> tuple[list[str], list[list[str]]]:
    """Reads columns and rows as far as a person may: a coordinator everybody's, a lead those of their agencies."""
    answers = [(await notify.get(actor, REACH, month=month, by=by)).content for actor in _actors_of(user)]
    return answers[0]["columns"], [row for answer in answers for row in answer["rows"]]


def _actors_of(user: User) -> list[Actor]:
    if Role.COORDINATOR in user.city_roles:
        return [user.act_as(Role.COORDINATOR)]
    return [user.act_in(agency) for agency in sorted(user.agencies_as(Role.AGENCY_LEAD))]


def group_by_party(rows: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """Returns for each month and party the row of its events and those of its messages, the newest month first."""
    parts = []
    for (month, party), of_party in groupby(rows, key=lambda row: (row["month"], row["party"])):
        listed = list(of_party)
        parts.append(
            {
                "month": month,
                "party": party,
                "events": next((row for row in listed if row["events"]), None),
                "messages": [row for row in listed if row["messages"]],
            }
        )
    return sorted(parts, key=lambda part: part["month"], reverse=True)
