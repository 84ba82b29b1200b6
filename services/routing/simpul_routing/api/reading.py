"""What can be read by HTTP: a case, its timeline, an agency's worklist."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import FastAPI, HTTPException, Query, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from simpul_routing import repository
from simpul_routing.api.words import change_words, offered_words
from simpul_routing.domain.exclusions import Suggestion
from simpul_routing.errors import CaseUnknown
from simpul_routing.repository import StoredCase
from simpul_routing.stored_facts import StoredFacts, place_of, place_of_note, read
from simpul_runtime.service import Service
from simpul_runtime.signing import Keys
from simpul_schema.references import case_reference, referral_code

AgencyCode = Annotated[str, Query(pattern=r"^[a-z0-9-]{2,60}$", description="code of the agency")]
Limit = Annotated[int, Query(ge=1, le=200, description="lines of a page")]
BEGINNING: Final = (datetime.min.replace(tzinfo=UTC), UUID(int=0))
"""Where a worklist begins."""


def add_reading(web: FastAPI, service: Service, guard: Any) -> None:
    """The routes that change nothing."""
    names = {agency.code: agency.name for agency in service.city.agencies}
    guarded: dict[str, Any] = {"dependencies": [guard], "tags": ["cases"]}

    @web.get("/cases/{case_id}", summary="A case with its rights and referrals", **guarded)
    async def case(case_id: UUID, response: Response) -> dict[str, Any]:
        async with service.engine.connect() as connection:
            found = (await repository.cases_of(connection, [case_id])).get(case_id)
            if found is None:
                raise CaseUnknown
            referrals = await repository.referrals_of(connection, case_id)
            review = await repository.open_review(connection, case_id)
        version = repository.version_of(found, (row["version"] for row in referrals))
        response.headers["ETag"] = f'"{version}"'
        facts = _facts_of(service.keys, case_id, found.situation)
        return _case_out(found) | {
            "referrals": [_referral_out(row, names) for row in referrals],
            "suggested_exclusions": [_suggestion_out(code, one, names) for code, one in facts.suggestions.items()],
            "exclusion_review": _review_out(review.referral_id, review.agency, review.clock.due_at, names)
            if review
            else None,
        }

    @web.get("/cases/{case_id}/timeline", summary="What happened, in plain words", **guarded)
    async def timeline(case_id: UUID, language: Literal["id", "en"] = "id") -> list[dict[str, Any]]:
        async with service.engine.connect() as connection:
            return await timeline_of(connection, service.keys, case_id, names, language)

    @web.get("/suggested-exclusions", summary="Where a person must decide about exclusions, by the deadline", **guarded)
    async def suggested(after: str = "", limit: Limit = 50) -> dict[str, Any]:
        async with service.engine.connect() as connection:
            rows = await repository.open_reviews(connection, _place(after), limit + 1)
        shown = rows[:limit]
        return {
            "cases": [_waiting_out(service.keys, row, names) for row in shown],
            "next": _cursor(shown[-1]["decide_by"], shown[-1]["referral_id"]) if len(rows) > limit else None,
        }

    @web.get("/referrals", summary="An agency's open referrals, by the time an answer is due", **guarded)
    async def worklist(
        agency: AgencyCode, after: str = "", limit: Annotated[int, Query(ge=1, le=200)] = 50
    ) -> dict[str, Any]:
        async with service.engine.connect() as connection:
            rows = await repository.worklist(connection, agency, _place(after), limit + 1)
        shown = rows[:limit]
        return {
            "referrals": [_referral_out(row, names) for row in shown],
            "next": _cursor(shown[-1]["answer_by"], shown[-1]["referral_id"]) if len(rows) > limit else None,
        }


async def timeline_of(
    connection: AsyncConnection, keys: Keys, case_id: UUID, names: Mapping[str, str], language: str
) -> list[dict[str, Any]]:
    """Everything that happened to a case, the earliest first; CaseUnknown when there is none."""
    if case_id not in await repository.cases_of(connection, [case_id]):
        raise CaseUnknown
    referrals = await repository.referrals_of(connection, case_id)
    changes = await repository.transitions_of(connection, case_id)
    place = place_of_note(case_id)
    lines = [(row["offered_at"], 1, offered_words(row, names, language)) for row in referrals]
    for row in changes:
        note = keys.unlock(row["note"], place=place).decode() if row["note"] else ""
        # At the same moment a change comes before the offer that follows from it.
        lines.append((row["at"], 0, change_words(row, note, names, language)))
    return [{"at": at, "words": words} for at, _, words in sorted(lines, key=lambda line: line[:2])]


def _cursor(moment: datetime, referral_id: UUID) -> str:
    return urlsafe_b64encode(f"{moment.isoformat()}|{referral_id}".encode()).decode()


def _place(cursor: str) -> tuple[datetime, UUID]:
    if not cursor:
        return BEGINNING
    try:
        moment, _, referral_id = urlsafe_b64decode(cursor).decode().partition("|")
        place = datetime.fromisoformat(moment).astimezone(UTC), UUID(referral_id)
    except (ValueError, OverflowError) as error:
        words = "Penanda halaman tidak sah; mulai dari awal. / The cursor is not valid; begin again without it."
        raise HTTPException(422, words) from error
    return place


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


def _facts_of(keys: Keys, case_id: UUID, situation: bytes) -> StoredFacts:
    return read(keys.unlock(situation, place=place_of(case_id)))


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
    facts = _facts_of(keys, row["case_id"], row["situation"])
    waiting = [one for one in facts.suggestions.items() if one[0] in facts.pending]
    return {
        "case_id": row["case_id"],
        "reference": case_reference(row["case_id"]),
        "urgency": row["urgency"],
        "asked_at": row["started_at"],
        **_review_out(row["referral_id"], row["agency"], row["decide_by"], names),
        "suggested_exclusions": [_suggestion_out(code, one, names) for code, one in waiting],
    }
