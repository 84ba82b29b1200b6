"""HTTP responses for the errors of the use cases, which say what to do."""

from collections.abc import Awaitable, Callable, Mapping
from math import ceil
from typing import Final

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from simpul_city import City
from simpul_intake.api.models import MaybeReportedOut
from simpul_intake.errors import (
    AgencyUnknown,
    AmendmentIdReused,
    CentreNotOfToken,
    EventTimeImpossible,
    EventTimeProblem,
    FileNotReleased,
    MaybeReportedBefore,
    QuestionUnknown,
    ReceiptLocked,
    ReceiptReplacedBefore,
    ReceiptUnknown,
    ReportIdReused,
    ReportNotOfCentre,
    TokenUnknown,
    TooManyAmendments,
    TooManyReports,
)
from simpul_runtime.failure_responses import invalid_request_response, refusal_response
from simpul_runtime.failures import Refusal
from simpul_runtime.validation import FieldProblem
from simpul_schema.translations import SOURCE_LANGUAGE, gettext_noop, load_translations, translate_all

TEXT_PACKAGES: Final = ("simpul_intake", "simpul_runtime")
"""Packages in whose catalogues intake's texts are looked up, in this order."""
_REFUSALS: Final[Mapping[type[Exception], Refusal]] = {
    TokenUnknown: Refusal(
        401,
        "token_unknown",
        gettext_noop("No complaint centre has this token; ask the operator for a new one, or send none."),
    ),
    CentreNotOfToken: Refusal(
        403,
        "centre_not_of_token",
        gettext_noop("This token belongs to another complaint centre; leave complaint_centre out."),
    ),
    ReceiptUnknown: Refusal(404, "receipt_unknown", gettext_noop("No case has this number and receipt; check both.")),
    ReportNotOfCentre: Refusal(
        404, "report_not_of_centre", gettext_noop("This complaint centre filed no report with this number; check it.")
    ),
    FileNotReleased: Refusal(
        404,
        "file_not_released",
        gettext_noop("No file that this agency holds has this reference; check the reference, the key and the clock."),
    ),
    QuestionUnknown: Refusal(
        404, "question_unknown", gettext_noop("The case has no such question; ask for the open ones.")
    ),
    ReceiptReplacedBefore: Refusal(
        409,
        "receipt_replaced_before",
        gettext_noop("New words were made already. Make them again only if they are lost; the ones before end."),
    ),
    ReportIdReused: Refusal(
        409, "report_id_reused", gettext_noop("This report_id belongs to another report; generate a new one.")
    ),
    AmendmentIdReused: Refusal(
        409, "amendment_id_reused", gettext_noop("This amendment_id belongs to another amendment; generate a new one.")
    ),
}
_RECEIPT_LOCKED: Final = Refusal(
    429,
    "receipt_locked",
    gettext_noop("The receipt was wrong too often. Check its words, and try again later."),
)
_TOO_MANY_REPORTS: Final = Refusal(
    429,
    "too_many_reports",
    gettext_noop(
        "Too many reports came from this sender in the last hour, so this one was not stored. Send it again later. A "
        "report of a child who may be in danger is always taken."
    ),
)
TOO_MANY_AMENDMENTS: Final = gettext_noop(
    "This report was added to very often in the last hour, so this addition was not stored. Send it again in an hour. "
    "If the child may be in danger, call an emergency number now."
)
_TOO_MANY_AMENDMENTS: Final = Refusal(429, "too_many_amendments", TOO_MANY_AMENDMENTS)
_NO_SUCH_AGENCY: Final = gettext_noop("No agency has this code; check its spelling.")
EVENT_TIME_PROBLEMS: Final[Mapping[EventTimeProblem, str]] = {
    EventTimeProblem.NO_SUCH_DATE: gettext_noop(
        "Write when it happened as 2026-11-24T21 (day and hour) or 2026-11-24 (day), in local time."
    ),
    EventTimeProblem.IN_FUTURE: gettext_noop("This time lies after the report; check day, month and year."),
    EventTimeProblem.BEFORE_BIRTH: gettext_noop(
        "By age or date of birth the child was not born then; check both dates."
    ),
}
"""What a person can correct, by what is wrong with the time of the event."""
_MAYBE_REPORTED: Final = gettext_noop(
    "This child may have been reported before, so nothing was stored yet. Ask the agency named here. Then send the "
    "report again with duplicate_search and duplicate_reason, or drop it when the agency already helps."
)


async def _refuse(_: Request, error: Exception) -> JSONResponse:
    return refusal_response(_REFUSALS[type(error)], load_translations(*TEXT_PACKAGES))


def _refuser_of_duplicates(city: City) -> Callable[[Request, MaybeReportedBefore], Awaitable[JSONResponse]]:
    names = {agency.code: agency.name for agency in city.agencies}

    async def refuse(_: Request, error: MaybeReportedBefore) -> JSONResponse:
        messages = translate_all(load_translations(*TEXT_PACKAGES), _MAYBE_REPORTED)
        out = MaybeReportedOut(
            code="maybe_reported_before",
            detail=messages[SOURCE_LANGUAGE],
            messages=messages,
            search_id=error.search_id,
            contact_agency=error.agency,
            contact_agency_name=names[error.agency],
        )
        return JSONResponse(out.model_dump(mode="json", exclude_none=True), 409)

    return refuse


async def _refuse_event_time(_: Request, error: EventTimeImpossible) -> JSONResponse:
    problem = FieldProblem("happened_at", error.problem.value, EVENT_TIME_PROBLEMS[error.problem])
    return invalid_request_response([problem], load_translations(*TEXT_PACKAGES))


async def _refuse_locked(_: Request, error: ReceiptLocked) -> JSONResponse:
    answer = refusal_response(_RECEIPT_LOCKED, load_translations(*TEXT_PACKAGES))
    answer.headers["retry-after"] = str(ceil(error.wait.total_seconds()))
    return answer


async def _refuse_too_many(_: Request, error: TooManyReports) -> JSONResponse:
    answer = refusal_response(_TOO_MANY_REPORTS, load_translations(*TEXT_PACKAGES))
    answer.headers["retry-after"] = str(ceil(error.wait.total_seconds()))
    return answer


async def _refuse_amendment(_: Request, error: TooManyAmendments) -> JSONResponse:
    answer = refusal_response(_TOO_MANY_AMENDMENTS, load_translations(*TEXT_PACKAGES))
    answer.headers["retry-after"] = str(ceil(error.wait.total_seconds()))
    return answer


async def _refuse_unknown_agency(_: Request, error: AgencyUnknown) -> JSONResponse:
    problem = FieldProblem(error.field, "agency_unknown", _NO_SUCH_AGENCY)
    return invalid_request_response([problem], load_translations(*TEXT_PACKAGES))


def add_error_handlers(web: FastAPI, city: City) -> None:
    """Adds a handler for each error of the use cases."""
    for error in _REFUSALS:
        web.add_exception_handler(error, _refuse)
    web.exception_handler(AgencyUnknown)(_refuse_unknown_agency)
    web.exception_handler(EventTimeImpossible)(_refuse_event_time)
    web.exception_handler(ReceiptLocked)(_refuse_locked)
    web.exception_handler(TooManyReports)(_refuse_too_many)
    web.exception_handler(TooManyAmendments)(_refuse_amendment)
    web.exception_handler(MaybeReportedBefore)(_refuser_of_duplicates(city))
