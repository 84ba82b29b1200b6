"""Lists by HTTP: cases, and services that wait for a person to triage them."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final

from fastapi import FastAPI, Query

from simpul_city import City
from simpul_routing import repository
from simpul_routing.api.authentication import Authentication
from simpul_routing.api.paging import CaseIds, Cursor, Limit, Without, decode_cursor, find_next
from simpul_routing.api.recorded_reads import record_reads
from simpul_routing.domain.actors import Actor, ApiAction
from simpul_routing.use_cases import SeeCases
from simpul_runtime.database import utc_now
from simpul_runtime.service import Service
from simpul_schema.references import case_reference, referral_code
from simpul_schema.vocabulary import Urgency


class Order(StrEnum):
    """By what a list of cases is ordered."""

    DECIDED = "decided"
    DEADLINE = "deadline"


class Which(StrEnum):
    """Which cases a list shows."""

    OPEN = "open"
    ENDED = "ended"
    ALL = "all"


_IS_OPEN: Final[Mapping[Which, bool | None]] = {Which.OPEN: True, Which.ENDED: False, Which.ALL: None}


def add_list_routes(
    web: FastAPI,
    service: Service,
    city: City,
    see_cases: SeeCases,
    authentication: Authentication,
    documented: dict[str, Any],
) -> None:
    """Adds the lists of cases and of manual triages."""
    names = {agency.code: agency.name for agency in city.agencies}
    permit = authentication.permit
    guarded: dict[str, Any] = {**documented, "tags": ["cases"]}

    recorded = record_reads(service.engine)

    @web.get("/cases", summary="Cases that the person may know of, with what is due next in each", **guarded)
    async def cases(
        by: Annotated[Actor, permit(ApiAction.LIST_CASES)],
        which: Annotated[Which, Query(description="open, ended or all cases")] = Which.OPEN,
        urgency: Urgency | None = None,
        order: Annotated[
            Order, Query(description="the oldest first, or the earliest deadline, so that late ones are first")
        ] = Order.DECIDED,
        ids: Annotated[CaseIds | None, Query(description="only these cases, by id, separated by commas")] = None,
        after: Cursor = "",
        limit: Limit = 50,
        without: Without = None,
    ) -> dict[str, Any]:
        position = decode_cursor(after)
        async with recorded(by, ApiAction.LIST_CASES) as connection:
            scope = await see_cases.find_scope(connection, by, without or ())
            chosen: dict[str, Any] = {"is_open": _IS_OPEN[which], "urgency": urgency, "ids": ids}
            by_deadline = order is Order.DEADLINE
            rows = await repository.list_cases(
                connection, position, limit + 1, scope, **chosen, is_by_deadline=by_deadline
            )
            total = await repository.count_cases(connection, scope, **chosen)
        return {
            "cases": [_case_out(row, utc_now()) for row in rows[:limit]],
            "total": total,
            "next": find_next(rows, limit, "position", "case_id"),
        }

    @web.get("/triage", summary="Services that a person must triage, by the time an answer is due", **guarded)
    async def triage(
        by: Annotated[Actor, permit(ApiAction.LIST_TRIAGE)],
        after: Cursor = "",
        limit: Limit = 50,
        without: Without = None,
    ) -> dict[str, Any]:
        position = decode_cursor(after)
        async with recorded(by, ApiAction.LIST_TRIAGE) as connection:
            scope = await see_cases.find_scope(connection, by, without or ())
            rows = await repository.list_open_triage(connection, position, limit + 1, scope)
            total = await repository.count_open_triage(connection, scope)
        return {
            "triage": [
                {
                    **row,
                    "reference": case_reference(row["case_id"]),
                    "code": referral_code(row["referral_id"]),
                    "agency_name": names.get(row["agency"], row["agency"]),
                }
                for row in rows[:limit]
            ],
            "total": total,
            "next": find_next(rows, limit, "answer_by", "service_id"),
        }


def _case_out(row: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """A case in a list, with the state of each right and what is due next.

    `next_due` is a clock, `service_plan` or `exclusion_review`.
    """
    due_at = row["next_due_at"]
    return {
        **{name: value for name, value in row.items() if name != "position"},
        "reference": case_reference(row["case_id"]),
        "rights": {right.value: entry.state for right, entry in row["rights"].items()},
        "is_late": due_at is not None and due_at < now,
    }
