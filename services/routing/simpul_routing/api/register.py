"""The register of a month by HTTP: what the coordinator enters in the ministry's system, without who the child is."""

from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import FastAPI, Query

from simpul_city import City
from simpul_routing import repository
from simpul_routing.api.authentication import Authentication
from simpul_routing.api.paging import Cursor, Without, decode_cursor, find_next
from simpul_routing.api.recorded_reads import record_reads
from simpul_routing.domain.actors import Actor, ApiAction
from simpul_routing.domain.facts import CaseFacts
from simpul_routing.stored_facts import case_context, decode_facts
from simpul_routing.use_cases import SeeCases
from simpul_runtime.service import Service
from simpul_schema.references import case_reference

_Month = Annotated[str, Query(pattern=r"^20\d\d-(0[1-9]|1[0-2])$", description="such as 2026-11")]
PAGE: Final = 500
"""Cases of one answer; the next ones follow its cursor."""
_OF_SERVICE: Final = ("agency", "service", "state", "outcome")


def add_register_routes(
    web: FastAPI,
    service: Service,
    city: City,
    see_cases: SeeCases,
    authentication: Authentication,
    documented: dict[str, Any],
) -> None:
    """Adds the route."""
    recorded = record_reads(service.engine)

    @web.get("/register", **documented, tags=["indicators"], summary="The cases of a month for the ministry's register")
    async def register(
        by: Annotated[Actor, authentication.permit(ApiAction.READ_REGISTER)],
        month: _Month,
        after: Cursor = "",
        without: Without = None,
    ) -> dict[str, Any]:
        """A row for each case that was decided in the month, without merged and erroneous ones.

        Rows are about single children, although they name none: they are for the coordinator's own register, and no
        statistic.
        """
        first = date.fromisoformat(f"{month}-01")
        end = date(first.year + first.month // 12, first.month % 12 + 1, 1)
        since, until = (datetime.combine(day, time(), city.zone) for day in (first, end))
        async with recorded(by, ApiAction.READ_REGISTER) as connection:
            scope = await see_cases.find_scope(connection, by, without or ())
            rows = await repository.list_registered_cases(
                connection, since, until, scope, decode_cursor(after), PAGE + 1
            )
        cases = [_case_out(row, _read_facts(service, row)) for row in rows[:PAGE]]
        return {"month": month, "cases": cases, "next": find_next(rows, PAGE, "decided_at", "case_id")}


def _read_facts(service: Service, row: Mapping[str, Any]) -> CaseFacts:
    case_id: UUID = row["case_id"]
    return decode_facts(service.keys.decrypt(row["situation"], associated_data=case_context(case_id)))


def _case_out(row: Mapping[str, Any], facts: CaseFacts) -> dict[str, Any]:
    shared = facts.shared.model_dump(mode="json")
    names = (
        "violence",
        "sex",
        "age_band",
        "happened_at",
        "place",
        "event_kecamatan",
        "kecamatan",
        "perpetrator_relation",
        "perpetrator_is_child",
    )
    received = [one.received_at for one in facts.reports.values() if one.received_at]
    return {name: shared[name] for name in names} | {
        "case_id": row["case_id"],
        "reference": case_reference(row["case_id"]),
        "received_at": min(received, default=row["decided_at"]),
        "urgency": row["urgency"],
        "state": row["state"],
        "ended_at": row["ended_at"],
        "services": [{name: one[name] for name in _OF_SERVICE} for one in row["services"]],
    }
