"""The copy of a referral letter for the files of its agency."""

from uuid import UUID

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from simpul_agreement.phrases import describe_source
from simpul_desk.access import CurrentUser, User
from simpul_desk.hosting.agencies import OpenReferral
from simpul_desk.hosting.deadlines import Deadline
from simpul_desk.papers import Letter, LetterDeadline, LetterService, Printer, write_letter
from simpul_desk.rendering import page_language
from simpul_desk.work_pages.pages import WorkPages, stands_in_letter
from simpul_schema.names import subject_of_referral
from simpul_schema.references import case_reference, referral_code


def add_letter(web: FastAPI, pages: WorkPages) -> None:
    """Adds the route."""

    @web.post("/work/{agency}/{referral_id}/letter", include_in_schema=False)
    async def letter(request: Request, user: CurrentUser, agency: str, referral_id: UUID) -> Response:
        _, found = await pages.open(user, agency, referral_id)
        return await print_copy(pages, request, user, agency, found)


async def print_copy(pages: WorkPages, request: Request, user: User, code: str, found: OpenReferral) -> Response:
    """Prints a copy of the referral letter for the agency's files, with what it has completed."""
    language, view = page_language(request), found.view
    requested = [one.requested for one in view.services if stands_in_letter(one)]
    if not requested:
        raise HTTPException(404)
    first = view.first
    running = {
        one.service_id: [due for due in found.deadlines.get(one.service_id, ()) if not due.is_met] for one in requested
    }
    letter = Letter(
        referral_code(view.referral_id),
        case_reference(first.data.case_id),
        _hub_name(pages),
        pages.agency_names[code],
        first.data.agreement,
        first.time,
        [
            LetterService(
                one.service.label(language),
                one.urgency.label(language),
                tuple(_letter_deadline(pages, found, due, language) for due in running[one.service_id]),
            )
            for one in requested
        ],
        tuple(dict.fromkeys(describe_source(due.clause.source, language) for own in running.values() for due in own)),
    )
    return await Printer(pages.service.engine).print(
        request,
        user,
        write_letter(letter, pages.city.name, pages.wording(request), is_copy=True),
        kind="letter",
        agency=code,
        subject=subject_of_referral(view.referral_id),
        services=[one.service for one in requested],
        language=language,
    )


def _letter_deadline(pages: WorkPages, found: OpenReferral, deadline: Deadline, language: str) -> LetterDeadline:
    clause = "" if deadline.due_at else pages.clause_text(found, deadline.clause, language)
    return LetterDeadline(deadline.clock.label(language), deadline.due_at, clause)


def _hub_name(pages: WorkPages) -> str:
    """Returns the name of the agency that refers in the name of the city."""
    return next((agency.name for agency in pages.city.agencies if agency.kind == "hub"), pages.city.name)
