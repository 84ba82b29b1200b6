"""HTTP API for complaint centres and their systems."""

from collections.abc import Awaitable, Callable
from typing import Annotated
from uuid import UUID

from fastapi import Depends, FastAPI, Header, Path, Query, Request

from simpul_city import City
from simpul_intake.api.authentication import CentreAuthentication
from simpul_intake.api.error_handlers import TEXT_PACKAGES, add_error_handlers
from simpul_intake.api.models import (
    AmendmentIn,
    AmendmentOut,
    FiledReportOut,
    FiledReportsOut,
    IdentityIn,
    MaybeReportedOut,
    NarrativeIn,
    NewReceiptOut,
    ProgressIn,
    ProgressOut,
    QuestionOut,
    ReceiptOut,
    ReportIn,
)
from simpul_intake.domain import check_event_time
from simpul_intake.errors import AgencyUnknown, ReceiptUnknown, TokenUnknown
from simpul_intake.receipt_lock import ReceiptLock
from simpul_intake.use_cases import (
    AmendReports,
    FollowReports,
    KeepFiles,
    LimitReports,
    ReplaceReceipts,
    SearchDuplicates,
    Sender,
    TakeReports,
)
from simpul_runtime.database import utc_now
from simpul_runtime.failure_responses import FailureOut
from simpul_schema.file_requests import FILE_REQUEST_PATH, FileRequest, SealedFile
from simpul_schema.references import case_reference

__all__ = ["TEXT_PACKAGES", "AmendmentIn", "IdentityIn", "NarrativeIn", "ReportIn", "add_api"]


def add_api(
    web: FastAPI,
    take_reports: TakeReports,
    limit_reports: LimitReports,
    amend_reports: AmendReports,
    search_duplicates: SearchDuplicates,
    follow_reports: FollowReports,
    replace_receipts: ReplaceReceipts,
    files: KeepFiles,
    receipt_lock: ReceiptLock,
    city: City,
    authentication: CentreAuthentication,
) -> None:
    """Registers the API's routes."""
    add_error_handlers(web, city)

    async def authenticated(
        request: Request,
        authorization: Annotated[str, Header(description="`Bearer` and the token of a complaint centre")] = "",
    ) -> str:
        return await authentication.find_centre(request)

    def check_agencies(field: str, codes: list[str]) -> None:
        if not city.agency_codes.issuperset(codes):
            # Ignoring a misspelled code would let the excluded agency receive the case.
            raise AgencyUnknown(field)

    @web.post(
        "/reports",
        status_code=202,
        tags=["reports"],
        summary="Report violence against a child",
        responses={
            401: {"model": FailureOut, "description": "unknown token"},
            403: {"model": FailureOut, "description": "token of another complaint centre"},
            409: {
                "model": MaybeReportedOut | FailureOut,
                "description": "the child may have been reported before, or report_id belongs to different content",
            },
            413: {"model": FailureOut, "description": "body too large"},
            429: {
                "model": FailureOut,
                "description": "too many reports of this sender in an hour; never for a child who may be in danger",
            },
        },
    )
    async def post_report(
        body: ReportIn, request: Request, centre: Annotated[str, Depends(authenticated)]
    ) -> ReceiptOut:
        check_agencies("excluded_agencies", body.excluded_agencies)
        check_agencies("complaint_centre", [body.complaint_centre] if body.complaint_centre else [])
        report = body.to_report(utc_now(), centre)
        check_event_time(report, report.received_at, city.zone)
        await limit_reports.admit(report, Sender(request.client.host if request.client else "", centre))
        contact_agency = ""
        if centre and report.may_wait:
            contact_agency = await search_duplicates.check_report(report, centre, body.override)
        receipt = await take_reports.take_report(report)
        if centre and not report.may_wait:
            # Where a child may be in danger, the report is stored before anything is searched.
            contact_agency = await search_duplicates.check_report(report, centre, body.override)
        return ReceiptOut(
            case_id=receipt.case_id,
            case_reference=receipt.case_reference,
            receipt=receipt.phrase,
            contact_agency=contact_agency,
        )

    _add_centre_routes(web, follow_reports, replace_receipts, authenticated)
    _add_receipt_routes(web, amend_reports, follow_reports, receipt_lock, check_agencies)
    _add_agency_routes(web, files)


def _add_agency_routes(web: FastAPI, files: KeepFiles) -> None:
    """Registers what the kit of an agency needs in addition to the broker."""

    @web.post(
        FILE_REQUEST_PATH,
        tags=["dossiers"],
        summary="Read a file of a dossier, as the agency that holds it",
        responses={404: {"model": FailureOut, "description": "not signed by an agency that holds such a file"}},
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": FileRequest.model_json_schema()}},
            }
        },
    )
    async def read_file(
        request: Request,
        simpul_signature: Annotated[str, Header(description="signature of the body by the agency's key")] = "",
    ) -> SealedFile:
        return await files.read_file(await request.body(), simpul_signature)


def _add_centre_routes(
    web: FastAPI,
    follow_reports: FollowReports,
    replace_receipts: ReplaceReceipts,
    authenticated: Callable[..., Awaitable[str]],
) -> None:
    """Registers what a complaint centre may do with the reports that it filed."""

    @web.post(
        "/cases/{case}/receipt",
        tags=["reports"],
        summary="Replace a lost receipt, as the complaint centre that filed the report",
        responses={
            401: {"model": FailureOut, "description": "no token, or an unknown one"},
            404: {"model": FailureOut, "description": "the centre filed no such report"},
            409: {"model": FailureOut, "description": "replaced more often than `number` says"},
        },
    )
    async def post_receipt(
        case: Annotated[str, Path(max_length=40, description="the id of the case, or the number of the report")],
        centre: Annotated[str, Depends(authenticated)],
        number: Annotated[
            int | None,
            Query(ge=0, le=1_000_000, description="`receipt_number` of the list, to replace it once"),
        ] = None,
    ) -> NewReceiptOut:
        if not centre:
            raise TokenUnknown
        try:
            case_id = UUID(case)
        except ValueError:
            case_id = await follow_reports.find_case(case)
        return NewReceiptOut(receipt=await replace_receipts.replace_receipt(case_id, centre, number))

    @web.get(
        "/centre/reports",
        tags=["reports"],
        summary="List the reports that the complaint centre filed, and what became of each",
        responses={401: {"model": FailureOut, "description": "no token, or an unknown one"}},
    )
    async def list_filed(
        centre: Annotated[str, Depends(authenticated)],
        before: Annotated[UUID | None, Query(description="the `next` of the page before")] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> FiledReportsOut:
        if not centre:
            raise TokenUnknown
        found = await follow_reports.list_filed(centre, before=before, limit=limit)
        shown = [
            FiledReportOut(
                case_id=one.case_id,
                case_reference=case_reference(one.case_id),
                received_at=one.received_at,
                progress=one.progress,
                receipt_number=one.receipt_number,
            )
            for one in found
        ]
        return FiledReportsOut(reports=shown, next=found[-1].case_id if len(found) == limit else None)


def _add_receipt_routes(
    web: FastAPI,
    amend_reports: AmendReports,
    follow_reports: FollowReports,
    receipt_lock: ReceiptLock,
    check_agencies: Callable[[str, list[str]], None],
) -> None:
    """Registers what the holder of a receipt may do."""

    @web.post(
        "/cases/{case_id}/amendments",
        status_code=202,
        tags=["reports"],
        summary="Add facts to a report, or correct them",
        responses={
            404: {"model": FailureOut, "description": "no case with this id and receipt, or no such question"},
            409: {"model": FailureOut, "description": "amendment_id belongs to different content"},
            429: {
                "model": FailureOut,
                "description": "too many wrong receipts of this case from this address, or too many amendments in an "
                "hour; never for a child who may be in danger",
            },
        },
    )
    async def post_amendment(case_id: UUID, body: AmendmentIn, request: Request) -> AmendmentOut:
        check_agencies("excluded_agencies", body.excluded_agencies)
        address = request.client.host if request.client else ""
        receipt_lock.check(case_id, address, utc_now())
        try:
            revision = await amend_reports.amend_report(body.to_amendment(case_id))
        except ReceiptUnknown:
            receipt_lock.record_failure(case_id, address, utc_now())
            raise
        receipt_lock.record_success(case_id, address)
        return AmendmentOut(revision=revision)

    @web.post(
        "/cases/{case_id}/progress",
        tags=["reports"],
        summary="Ask what became of a report",
        responses={
            404: {"model": FailureOut, "description": "no case with this id and receipt"},
            429: {"model": FailureOut, "description": "too many wrong receipts of this case from this address"},
        },
    )
    async def post_progress(case_id: UUID, body: ProgressIn, request: Request) -> ProgressOut:
        address = request.client.host if request.client else ""
        receipt_lock.check(case_id, address, utc_now())
        try:
            followed = await follow_reports.follow(case_id, body.receipt)
        except ReceiptUnknown:
            receipt_lock.record_failure(case_id, address, utc_now())
            raise
        receipt_lock.record_success(case_id, address)
        return ProgressOut(
            progress=followed.progress,
            questions=[
                QuestionOut(question_id=one.question_id, text=one.text, sent_at=one.sent_at)
                for one in followed.questions
            ],
        )
