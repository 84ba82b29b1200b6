"""Queries by HTTP: a case, its timeline, open reviews, and an agency's open referrals."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import FastAPI, HTTPException, Query, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from simpul_routing import repository
from simpul_routing.api.labels import describe_change, describe_offer
from simpul_routing.domain.exclusions import Suggestion
from simpul_routing.errors import CaseUnknown
from simpul_routing.repository import StoredCase
from simpul_routing.stored_facts import StoredFacts, case_context, decode_facts, note_context
from simpul_runtime.service import Service
from simpul_runtime.signing import Keys
from simpul_schema.references import case_reference, referral_code

AgencyCode = Annotated[str, Query(pattern=r"^[a-z0-9-]{2,60}$", description="code of the agency")]
Limit = Annotated[int, Query(ge=1, le=200, description="maximum number of lines")]
FIRST_PAGE: Final = (datetime.min.replace(tzinfo=UTC), UUID(int=0))
"""The position before the first line of a list."""


def add_query_routes(web: FastAPI, service: Service, guard: Any) -> None:
    """Adds the routes that only read."""
    names = {agency.code: agency.name for agency in service.city.agencies}
    guarded: dict[str, Any] = {"dependencies": [guard], "tags": ["cases"]}

    @web.get("/cases/{case_id}", summary="A case with its rights and referrals", **guarded)
    async def case(case_id: UUID, response: Response) -> dict[str, Any]:
        async with service.engine.connect() as connection:
            found = (await repository.load_cases(connection, [case_id])).get(case_id)
            if found is None:
                raise CaseUnknown
            referrals = await repository.list_referrals(connection, case_id)
            review = await repository.find_open_review(connection, case_id)
        version = repository.compute_version(found, (row["version"] for row in referrals))
        response.headers["ETag"] = f'"{version}"'
        facts = _decrypt_facts(service.keys, case_id, found.situation)
        return _case_out(found) | {
            "referrals": [_referral_out(row, names) for row in referrals],
            "suggested_exclusions": [_suggestion_out(code, one, names) for code, one in facts.suggestions.items()],
            "exclusion_review": _review_out(review.referral_id, review.agency, review.clock.due_at, names)
            if review
            else None,
        }

    @web.get("/cases/{case_id}/timeline", summary="The history of a case as sentences", **guarded)
    async def timeline(case_id: UUID, language: Literal["id", "en"] = "id") -> list[dict[str, Any]]:
        async with service.engine.connect() as connection:
            return await build_timeline(connection, service.keys, case_id, names, language)

    @web.get("/suggested-exclusions", summary="Open reviews of suggested exclusions, by deadline", **guarded)
    async def suggested(after: str = "", limit: Limit = 50) -> dict[str, Any]:
        async with service.engine.connect() as connection:
            rows = await repository.list_open_reviews(connection, _decode_cursor(after), limit + 1)
        shown = rows[:limit]
        return {
            "cases": [_waiting_out(service.keys, row, names) for row in shown],
            "next": _encode_cursor(shown[-1]["decide_by"], shown[-1]["referral_id"]) if len(rows) > limit else None,
        }

    @web.get("/referrals", summary="An agency's open referrals, by the time an answer is due", **guarded)
    async def open_referrals(agency: AgencyCode, after: str = "", limit: Limit = 50) -> dict[str, Any]:
        async with service.engine.connect() as connection:
            rows = await repository.list_open_referrals(connection, agency, _decode_cursor(after), limit + 1)
        shown = rows[:limit]
        return {
            "referrals": [_referral_out(row, names) for row in shown],
            "next": _encode_cursor(shown[-1]["answer_by"], shown[-1]["referral_id"]) if len(rows) > limit else None,
        }


async def build_timeline(
    connection: AsyncConnection, keys: Keys, case_id: UUID, names: Mapping[str, str], language: str
) -> list[dict[str, Any]]:
    """Builds the history of a case as sentences, the earliest first. Raises CaseUnknown."""
    if case_id not in await repository.load_cases(connection, [case_id]):
        raise CaseUnknown
    referrals = await repository.list_referrals(connection, case_id)
    changes = await repository.list_transitions(connection, case_id)
    context = note_context(case_id)
    lines = [(row["offered_at"], 1, describe_offer(row, names, language)) for row in referrals]
    for row in changes:
        note = keys.unlock(row["note"], place=context).decode() if row["note"] else ""
        # Of the same time, a change comes before the offers that it caused.
        lines.append((row["at"], 0, describe_change(row, note, names, language)))
    return [{"at": at, "text": text} for at, _, text in sorted(lines, key=lambda line: line[:2])]


def _encode_cursor(moment: datetime, referral_id: UUID) -> str:
    return urlsafe_b64encode(f"{moment.isoformat()}|{referral_id}".encode()).decode()


def _decode_cursor(cursor: str) -> tuple[datetime, UUID]:
    if not cursor:
        return FIRST_PAGE
    try:
        moment, _, referral_id = urlsafe_b64decode(cursor).decode().partition("|")
        position = datetime.fromisoformat(moment).astimezone(UTC), UUID(referral_id)
    except (ValueError, OverflowError) as error:
        detail = "Penanda halaman tidak sah; mulai dari awal. / The cursor is not valid; start without a cursor."
        raise HTTPException(422, detail) from error
    return position


def _case_out(case: StoredCase) -> dict[str, Any]:
    return {
        "case_id": case.case_id,
        "reference": case_reference(case.case_id),
        "state": case.state,
        "urgency": case.urgency,
        "mediation_locked": case.mediation_locked,
        "agreement": case.agreement,
        "decided_at": case.decided_at,
        "ended_as": case.ended_as,
        "ended_at": case.ended_at,
        "merged_into": case.merged_into,
        "rights": {right.value: {"state": entry.state, "reason": entry.reason} for right, entry in case.rights.items()},
    }


def _referral_out(row: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {**row, "code": referral_code(row["referral_id"]), "agency_name": names.get(row["agency"], row["agency"])}


def _decrypt_facts(keys: Keys, case_id: UUID, situation: bytes) -> StoredFacts:
    return decode_facts(keys.unlock(situation, place=case_context(case_id)))


def _suggestion_out(code: str, one: Suggestion, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "agency": code,
        "agency_name": names.get(code, code),
        "state": one.state,
        "suggested_at": one.suggested_at,
        "decided_at": one.decided_at,
        "decided_by": one.decided_by,
    }


def _review_out(referral_id: UUID, agency: str, decide_by: datetime, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "referral_id": referral_id,
        "code": referral_code(referral_id),
        "agency": agency,
        "agency_name": names.get(agency, agency),
        "decide_by": decide_by,
    }


def _waiting_out(keys: Keys, row: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    facts = _decrypt_facts(keys, row["case_id"], row["situation"])
    waiting = [one for one in facts.suggestions.items() if one[0] in facts.pending]
    return {
        "case_id": row["case_id"],
        "reference": case_reference(row["case_id"]),
        "urgency": row["urgency"],
        "requested_at": row["started_at"],
        **_review_out(row["referral_id"], row["agency"], row["decide_by"], names),
        "suggested_exclusions": [_suggestion_out(code, one, names) for code, one in waiting],
    }
