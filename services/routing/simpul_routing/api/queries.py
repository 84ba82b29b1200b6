"""Queries by HTTP: a case, its timeline, open reviews, and an agency's open referrals."""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Depends, FastAPI, Query, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from simpul_agreement import AgreementMissing, Versions
from simpul_city import City
from simpul_routing import repository
from simpul_routing.api.authentication import Authentication
from simpul_routing.api.codes import Codes
from simpul_routing.api.labels import describe_events
from simpul_routing.api.paging import Cursor, Limit, Without, decode_cursor, encode_cursor, find_next
from simpul_routing.api.recorded_reads import record_reads
from simpul_routing.api.timeline import group_events, leave_out_for_print, leave_out_load
from simpul_routing.consent_texts import ConsentTexts
from simpul_routing.domain.actors import READ_FACTS, Actor, ApiAction, is_permitted, may_know_load
from simpul_routing.domain.case import Case, compute_version
from simpul_routing.domain.case_events import CaseEventKind
from simpul_routing.domain.clocks import CLOCKS_OF_REFERRAL, ReferralClock, find_referral_clocks
from simpul_routing.domain.consents import Consent, find_givers
from simpul_routing.domain.exclusions import Suggestion, SuggestionState
from simpul_routing.domain.facts import CaseFacts
from simpul_routing.domain.lifecycle import ServiceState
from simpul_routing.domain.referral import find_referral_state
from simpul_routing.domain.rights import AWAITS_DECISION, group_left_out
from simpul_routing.domain.service_plan import ServicePlan
from simpul_routing.domain.transfer import Transfer
from simpul_routing.repository import ReferralView
from simpul_routing.stored_facts import case_context, decode_facts, note_context
from simpul_routing.use_cases import SeeCases
from simpul_runtime.database import utc_now
from simpul_runtime.service import Service
from simpul_runtime.signing import Keys
from simpul_schema.names import subject_of_case
from simpul_schema.references import case_reference, referral_code
from simpul_schema.vocabulary import Right
from simpul_schema.vocabulary import Service as Need

AgencyCode = Annotated[str, Query(pattern=r"^[a-z0-9-]{2,60}$", description="code of the agency")]


def add_query_routes(
    web: FastAPI,
    service: Service,
    city: City,
    versions: Versions,
    see_cases: SeeCases,
    authentication: Authentication,
    codes: Codes,
    consent_texts: ConsentTexts,
    documented: dict[str, Any],
) -> None:
    """Adds the routes that only read."""
    names = {agency.code: agency.name for agency in city.agencies}
    guarded: dict[str, Any] = {**documented, "tags": ["cases"]}
    permit, find_case = authentication.permit, Depends(codes.find_case)
    recorded = record_reads(service.engine)

    @web.get("/cases/{case_id}", summary="A case with its rights and referrals", **guarded)
    async def case(
        by: Annotated[Actor, permit(ApiAction.READ_CASE)],
        case_id: Annotated[UUID, find_case],
        response: Response,
        without: Without = None,
    ) -> dict[str, Any]:
        async with recorded(by, ApiAction.READ_CASE, subject_of_case(case_id)) as connection:
            found = await see_cases.find_case(connection, case_id, by)
            scope = await see_cases.find_scope(connection, by, without or ())
            referrals = await repository.list_referrals(connection, case_id)
            clocks = await repository.list_clocks(connection, case_id)
            review = await repository.find_open_review(connection, case_id)
            plan = await repository.find_open_plan(connection, service.keys, case_id)
            transfers = await repository.list_transfers(connection, service.keys, case_id)
            overlaps = await repository.list_overlaps_of_case(connection, case_id, scope)
        version = compute_version(found, (one["version"] for referral in referrals for one in referral.services))
        response.headers["ETag"] = f'"{version}"'
        facts = found.facts
        decides = review.agency if review else ""
        may_know = see_cases.may_know_of_suggestions(by, facts.pending, decides)
        return _case_out(found, _find_left_out(found, versions), may_know=may_know) | {
            "referrals": [
                _referral_out(referral, names) | _deadlines_out(referral, clocks, utc_now()) for referral in referrals
            ],
            "suggested_exclusions": [
                _suggestion_out(code, one, names) for code, one in see_cases.list_known_suggestions(by, facts, decides)
            ],
            "is_reporter_cut_off": see_cases.is_reporter_cut_off(by, found, decides),
            "suspected_overlaps": [_overlap_out(service.keys, row) for row in overlaps],
            "exclusion_review": _review_out(review.referral_id, review.agency, review.clock.due_at, names)
            if review and may_know
            else None,
            "service_plan": _open_plan_out(plan, names) if plan else None,
            "transfers": [transfer_out(one, by) for one in transfers],
            "facts": _facts_out(facts) if by.role in READ_FACTS else None,
        }

    @web.get("/cases/{case_id}/timeline", summary="The history of a case as sentences", **guarded)
    async def timeline(
        by: Annotated[Actor, permit(ApiAction.READ_TIMELINE)],
        case_id: Annotated[UUID, find_case],
        language: Literal["id", "en"] = "id",
        for_print: Annotated[
            bool, Query(description="without what people wrote, and without suspected agencies, because paper travels")
        ] = False,
    ) -> list[dict[str, Any]]:
        async with recorded(by, ApiAction.READ_TIMELINE, subject_of_case(case_id)) as connection:
            facts = (await see_cases.find_case(connection, case_id, by)).facts
            hidden = see_cases.find_hidden_events(by, facts)
            return await build_timeline(
                connection,
                service.keys,
                case_id,
                names,
                language,
                hidden,
                may_know_load=partial(may_know_load, by),
                for_print=for_print,
            )

    @web.get("/consent-texts", summary="The texts by which people consent: version -> language -> text", **guarded)
    async def list_consent_texts(
        by: Annotated[Actor, permit(ApiAction.LIST_CONSENTS)],
    ) -> Mapping[str, Mapping[str, str]]:
        async with recorded(by, ApiAction.LIST_CONSENTS):
            return consent_texts.versions

    @web.get("/cases/{case_id}/consents", summary="Who consented to what, in which words, and until when", **guarded)
    async def list_consents(
        by: Annotated[Actor, permit(ApiAction.LIST_CONSENTS)], case_id: Annotated[UUID, find_case]
    ) -> list[dict[str, Any]]:
        async with recorded(by, ApiAction.LIST_CONSENTS, subject_of_case(case_id)) as connection:
            found = await see_cases.find_case(connection, case_id, by)
            return [_consent_out(one) for one in found.facts.consents]

    @web.get("/cases/{case_id}/consent-givers", summary="Whom to ask for a consent, and whom not", **guarded)
    async def show_consent_givers(
        by: Annotated[Actor, permit(ApiAction.LIST_CONSENTS)], case_id: Annotated[UUID, find_case]
    ) -> dict[str, Any]:
        async with recorded(by, ApiAction.LIST_CONSENTS, subject_of_case(case_id)) as connection:
            givers = find_givers((await see_cases.find_case(connection, case_id, by)).facts.situation)
            return {"needs_assent": givers.needs_assent, "refused_guardians": sorted(givers.refused_guardians)}

    @web.get("/suggested-exclusions", summary="Open reviews of suggested exclusions, by deadline", **guarded)
    async def suggested(
        by: Annotated[Actor, permit(ApiAction.LIST_SUGGESTED_EXCLUSIONS)],
        after: Cursor = "",
        limit: Limit = 50,
        without: Without = None,
    ) -> dict[str, Any]:
        async with recorded(by, ApiAction.LIST_SUGGESTED_EXCLUSIONS) as connection:
            scope = await see_cases.find_scope(connection, by, without or ())
            rows = await repository.list_open_reviews(connection, decode_cursor(after), limit + 1, scope)
            total = await repository.count_open_reviews(connection, scope)
        read = [(row, _decrypt_facts(service.keys, row["case_id"], row["situation"])) for row in rows[:limit]]
        return {
            "cases": [
                _waiting_out(row, see_cases.list_known_suggestions(by, facts, row["agency"]), names)
                for row, facts in read
            ],
            "total": total,
            "next": find_next(rows, limit, "decide_by", "referral_id"),
        }

    @web.get("/suspected-overlaps", summary="Cases that may be about the same child, the oldest first", **guarded)
    async def suspected_overlaps(
        by: Annotated[Actor, permit(ApiAction.LIST_OVERLAPS)],
        after: Cursor = "",
        limit: Limit = 50,
        without: Without = None,
    ) -> dict[str, Any]:
        async with recorded(by, ApiAction.LIST_OVERLAPS) as connection:
            scope = await see_cases.find_scope(connection, by, without or ())
            rows = await repository.list_open_overlaps(connection, decode_cursor(after), limit + 1, scope)
            total = await repository.count_open_overlaps(connection, scope)
        shown = rows[:limit]
        return {
            "overlaps": [
                {
                    **row,
                    "reference": case_reference(row["case_id"]),
                    "other_reference": case_reference(row["other_case_id"]),
                }
                for row in shown
            ],
            "total": total,
            "next": find_next(rows, limit, "suspected_at", "overlap_id"),
        }

    @web.get("/referrals", summary="An agency's referrals with open services, by the next deadline", **guarded)
    async def open_referrals(
        by: Annotated[Actor, permit(ApiAction.LIST_REFERRALS)],
        agency: AgencyCode,
        after: Cursor = "",
        limit: Limit = 50,
        without: Without = None,
    ) -> dict[str, Any]:
        async with recorded(by, ApiAction.LIST_REFERRALS) as connection:
            scope = await see_cases.find_scope(connection, by, without or ())
            rows = await repository.list_open_referrals(connection, agency, decode_cursor(after), limit + 1, scope)
            total = await repository.count_open_referrals(connection, agency, scope)
        shown = rows[:limit]
        return {
            "referrals": [_referral_out(referral, names) for referral in shown],
            "total": total,
            "next": _cursor_after(shown[-1]) if len(rows) > limit else None,
        }


def _knows_no_load(_: str) -> bool:
    return False


async def build_timeline(
    connection: AsyncConnection,
    keys: Keys,
    case_id: UUID,
    names: Mapping[str, str],
    language: str,
    hidden: AbstractSet[CaseEventKind] = frozenset(),
    *,
    may_know_load: Callable[[str], bool] = _knows_no_load,
    for_print: bool = False,
) -> list[dict[str, Any]]:
    """Builds the history of a case as sentences, the earliest first, without events of a `hidden` kind.

    Only the load of agencies that the reader `may_know_load` of is shown.
    """
    stored = await repository.list_case_events(connection, keys, case_id)
    found = leave_out_load([one for one in stored if one.event.kind not in hidden], may_know_load)
    if for_print:
        found = leave_out_for_print(found)
    return [
        {
            "at": group[0].at,
            "text": describe_events([stored.event for stored in group], names, language),
            "actor": group[0].event.actor,
            "agency": group[0].event.actor_agency or None,
            "role": group[0].event.actor_role,
        }
        for group in group_events(found)
    ]


def _cursor_after(referral: ReferralView) -> str | None:
    return encode_cursor(referral.answer_by, referral.referral_id) if referral.answer_by else None


def _find_left_out(case: Case, versions: Versions) -> Mapping[Right, list[Need]]:
    """Finds what was left out of the case's plans, by right; nothing while the version of the agreement is missing."""
    try:
        right_of = versions.of(case.agreement).agreement.right_of
    except AgreementMissing:
        return {}
    return group_left_out(case.facts.left_out, right_of)


def _case_out(case: Case, left_out: Mapping[Right, list[Need]], *, may_know: bool) -> dict[str, Any]:
    """A case; who must not know of suggested exclusions does not learn that a right waits for a decision about one."""
    hidden = "" if may_know else AWAITS_DECISION
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
        "rights": {
            right.value: {
                "state": entry.state,
                "reason": "" if entry.reason == hidden else entry.reason,
                "left_out": left_out.get(right, []),
            }
            for right, entry in case.ledger.items()
        },
    }


def _facts_out(facts: CaseFacts) -> dict[str, Any]:
    """What every addressed agency learns too, as far as a decision about the case needs it."""
    shared = facts.shared
    return {
        "violence": shared.violence,
        "age_band": shared.age_band,
        "safe_now": shared.safe_now,
    }


def _referral_out(referral: ReferralView, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "referral_id": referral.referral_id,
        "code": referral_code(referral.referral_id),
        "case_id": referral.case_id,
        "agency": referral.agency,
        "agency_name": names.get(referral.agency, referral.agency),
        "state": find_referral_state(ServiceState(service["state"]) for service in referral.services),
        "offered_at": referral.offered_at,
        "answer_by": referral.answer_by,
        "services": referral.services,
    }


def _deadlines_out(
    referral: ReferralView, clocks: Mapping[UUID, Sequence[ReferralClock]], now: datetime
) -> dict[str, Any]:
    """The deadlines of a referral as a whole (receipt and answer), and its services, each with its own."""
    services, of_referral = [], {}
    for service in referral.services:
        ended_at, out = service["ended_at"], []
        for clock in clocks.get(service["service_id"], ()):
            if not (clock.is_stopped or not ended_at or clock.is_late(ended_at)):
                continue
            shown = _clock_out(clock, service["offered_at"], ended_at or now)
            if clock.clock in CLOCKS_OF_REFERRAL:
                of_referral[clock if clock.is_stopped or not ended_at else clock.stop(ended_at)] = shown
            else:
                out.append(shown)
        services.append({**service, "clocks": out})
    return {"clocks": [of_referral[clock] for clock in find_referral_clocks(of_referral)], "services": services}


def _clock_out(clock: ReferralClock, offered_at: datetime, now: datetime) -> dict[str, Any]:
    """A deadline: until when, when it was met, whether late, and the last step (50, 100 or 200 % of the time)."""
    return {
        "clock": clock.clock,
        "due_at": clock.due_at,
        "stopped_at": clock.stopped_at,
        "is_late": clock.is_late(now),
        "last_step": clock.last_step(offered_at, now),
    }


def _decrypt_facts(keys: Keys, case_id: UUID, situation: bytes) -> CaseFacts:
    return decode_facts(keys.decrypt(situation, associated_data=case_context(case_id)))


def _suggestion_out(code: str, one: Suggestion, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "agency": code,
        "agency_name": names.get(code, code),
        "state": one.state,
        "suggested_at": one.suggested_at,
        "decided_at": one.decided_at,
        "decided_by": one.decided_by,
    }


def _consent_out(one: Consent) -> dict[str, Any]:
    return {
        "purpose": one.purpose,
        **asdict(one.terms),
        "recorded_by": one.recorded_by,
        "agency": one.recorded_for,
        "recorded_at": one.recorded_at,
        "withdrawn_at": one.withdrawn_at,
        "withdrawn_by": one.withdrawn_by,
    }


def _overlap_out(keys: Keys, row: Mapping[str, Any]) -> dict[str, Any]:
    """A suspected overlap with the other case; closed when it was dismissed, or when either case was merged."""
    reason = keys.decrypt(row["note"], associated_data=note_context(row["overlap_id"])).decode() if row["note"] else ""
    return {
        "overlap_id": row["overlap_id"],
        "case_id": row["case_id"],
        "reference": case_reference(row["case_id"]),
        "is_likely": row["is_likely"],
        "is_open": row["is_open"],
        "suspected_at": row["suspected_at"],
        "dismissed_at": row["dismissed_at"],
        "dismissed_by": row["dismissed_by"],
        "dismissal_reason": reason,
    }


def _review_out(referral_id: UUID, agency: str, decide_by: datetime, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "referral_id": referral_id,
        "code": referral_code(referral_id),
        "agency": agency,
        "agency_name": names.get(agency, agency),
        "decide_by": decide_by,
    }


def transfer_out(transfer: Transfer, by: Actor) -> dict[str, Any]:
    """A transfer as people see it: who is waited for, and until when; names are for those who manage the case."""
    is_managing = is_permitted(by.role, ApiAction.READ_LETTER)
    acknowledgement = transfer.read_acknowledgement() if is_managing else None
    return {
        "transfer_id": transfer.transfer_id,
        "code": referral_code(transfer.transfer_id),
        "case_id": transfer.case_id,
        "case_reference": case_reference(transfer.case_id),
        "subject": transfer.subject,
        "way": transfer.way,
        "waits_for": transfer.read_party().name if is_managing else "",
        "state": transfer.state,
        "sent_at": transfer.sent_at,
        "acknowledge_by": transfer.due_at,
        "settled_at": transfer.settled_at,
        "acknowledged_by": (
            {"name": acknowledgement.name, "office": acknowledgement.office, "on": acknowledgement.received_on}
            if acknowledgement
            else None
        ),
    }


def _open_plan_out(plan: ServicePlan, names: Mapping[str, str]) -> dict[str, Any]:
    """The open service plan without its services, which are a page of their own."""
    return {
        "referral_id": plan.referral_id,
        "code": referral_code(plan.referral_id),
        "agency": plan.agency,
        "agency_name": names.get(plan.agency, plan.agency),
        "confirm_by": plan.clock.due_at,
        "is_sent_at_deadline": plan.is_sent_at_deadline,
    }


def _waiting_out(
    row: Mapping[str, Any], known: Sequence[tuple[str, Suggestion]], names: Mapping[str, str]
) -> dict[str, Any]:
    waiting = [(code, one) for code, one in known if one.state is SuggestionState.PENDING]
    return {
        "case_id": row["case_id"],
        "reference": case_reference(row["case_id"]),
        "urgency": row["urgency"],
        "requested_at": row["started_at"],
        **_review_out(row["referral_id"], row["agency"], row["decide_by"], names),
        "suggested_exclusions": [_suggestion_out(code, one, names) for code, one in waiting],
    }
