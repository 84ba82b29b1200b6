"""Papers about a case for the city's coordinator: the recap, and the letter of a referral."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from simpul_agreement.model import ClockName
from simpul_desk.access import Role, User
from simpul_desk.city_pages.pages import CityPages, Coordinator
from simpul_desk.city_pages.texts import CASE_STATES, SERVICE_STATES
from simpul_desk.papers import Letter, LetterDeadline, LetterService, Printer, Recap, write_letter, write_recap
from simpul_desk.rendering import page_language
from simpul_schema.names import subject_of_case, subject_of_referral
from simpul_schema.translations import load_translations
from simpul_schema.vocabulary import Right, RightState, Urgency
from simpul_schema.vocabulary import Service as Need


def add_case_papers(web: FastAPI, pages: CityPages) -> None:
    """Adds the routes."""

    @web.post("/city/cases/{case_id}/recap", include_in_schema=False)
    async def recap(request: Request, user: Coordinator, case_id: UUID) -> Response:
        return await print_recap(pages, request, user, case_id)

    @web.post("/city/cases/{case_id}/letters/{referral_id}", include_in_schema=False)
    async def letter(request: Request, user: Coordinator, case_id: UUID, referral_id: UUID) -> Response:
        return await print_letter(pages, request, user, case_id, referral_id)


async def print_recap(pages: CityPages, request: Request, user: User, case_id: UUID) -> Response:
    """Prints the recap of a case for the city's coordinator."""
    case, language = await _read_case(pages, user, case_id), page_language(request)
    actor = user.act_as(Role.COORDINATOR)
    timeline = await pages.routing.get(actor, f"/cases/{case_id}/timeline", language=language, for_print="true")
    translate = load_translations("simpul_desk")[language].gettext
    services = [(referral, one) for referral in case["referrals"] for one in referral["services"]]
    recap = Recap(
        case["reference"],
        pages.agency_names[actor.agency],
        translate(CASE_STATES[case["state"]]),
        datetime.fromisoformat(case["decided_at"]),
        [
            (Right(name).label(language), RightState(one["state"]).label(language))
            for name, one in case["rights"].items()
        ],
        [
            (
                f"{referral['agency_name']} ({referral['code']})",
                Need(one["service"]).label(language),
                translate(SERVICE_STATES[one["state"]]),
            )
            for referral, one in services
        ],
        [(datetime.fromisoformat(one["at"]), one["text"]) for one in timeline.content],
    )
    return await Printer(pages.service.engine).print(
        request,
        user,
        write_recap(recap, pages.city.name, pages.wording(request)),
        kind="recap",
        agency=actor.agency,
        subject=subject_of_case(case_id),
        services=[one["service"] for _, one in services],
        language=language,
    )


async def print_letter(pages: CityPages, request: Request, user: User, case_id: UUID, referral_id: UUID) -> Response:
    """Prints the letter of a referral, to be signed by the agency of the city's coordinator."""
    case, language = await _read_case(pages, user, case_id), page_language(request)
    referral = next((one for one in case["referrals"] if one["referral_id"] == str(referral_id)), None)
    services = [one for one in referral["services"] if stands_in_letter(one)] if referral else []
    if referral is None or not services:
        raise HTTPException(404)
    issuer = user.act_as(Role.COORDINATOR).agency
    letter = Letter(
        referral["code"],
        case["reference"],
        pages.agency_names[issuer],
        referral["agency_name"],
        case["agreement"],
        min(datetime.fromisoformat(one["offered_at"]) for one in services),
        [
            LetterService(
                Need(one["service"]).label(language),
                Urgency(one["urgency"]).label(language),
                _list_running([*referral["clocks"], *one["clocks"]], language),
            )
            for one in services
        ],
    )
    paper = write_letter(letter, pages.city.name, pages.wording(request), is_copy=False)
    return await Printer(pages.service.engine).print(
        request,
        user,
        paper,
        kind="letter",
        agency=issuer,
        subject=subject_of_referral(referral_id),
        services=[one["service"] for one in services],
        language=language,
    )


async def _read_case(pages: CityPages, user: User, case_id: UUID) -> Any:
    if user.is_excluded(case_id):
        raise HTTPException(404)
    return (await pages.read(user, f"/cases/{case_id}")).content


def _list_running(clocks: Sequence[Mapping[str, Any]], language: str) -> tuple[LetterDeadline, ...]:
    """Lists the deadlines that run, the earliest first, without the one for the agency's machine."""
    running = [
        LetterDeadline(ClockName(one["clock"]).label(language), datetime.fromisoformat(one["due_at"]))
        for one in clocks
        if not one["stopped_at"] and one["clock"] != ClockName.RECEIPT
    ]
    return tuple(sorted(running, key=lambda one: one.due_at or datetime.max.replace(tzinfo=UTC)))


def stands_in_letter(service: Mapping[str, Any]) -> bool:
    """Whether the agency is to provide a service, or has provided it."""
    return not service["ended_at"] or service["state"] == "completed"
