"""Notes and documents of a referral, and the files of its dossier."""

from typing import Final
from urllib.parse import quote
from uuid import UUID

from fastapi import FastAPI, Request, Response
from fastapi.responses import RedirectResponse
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartParser

from simpul_agency.dossier_files import CityUnreachable, FileUnavailable
from simpul_desk.access import CurrentUser
from simpul_desk.hosting.agencies import ReferralChanged
from simpul_desk.hosting.records import MAX_DOCUMENT, Document, DocumentRefused
from simpul_desk.rendering import render
from simpul_desk.work_pages.pages import DOCUMENTS, WorkPages
from simpul_desk.work_pages.texts import Problem
from simpul_runtime.shell import Limits
from simpul_schema.messages.reply import MAX_NOTE
from simpul_schema.vocabulary import DossierSection

DOCUMENT_LIMITS: Final = Limits(body_bytes=MAX_DOCUMENT + 64 * 1024)
"""A document and the fields of its form."""
# A larger part of a form would be written to a file in the clear.
MultiPartParser.spool_max_size = DOCUMENT_LIMITS.body_bytes


def add_record_forms(web: FastAPI, pages: WorkPages) -> None:
    """Adds the routes."""
    _add_notes(web, pages)
    _add_documents(web, pages)


def _add_notes(web: FastAPI, pages: WorkPages) -> None:
    @web.post("/work/{agency}/{referral_id}/shared-note", include_in_schema=False)
    async def shared_note(request: Request, user: CurrentUser, agency: str, referral_id: UUID) -> Response:
        opened, found = await pages.open(user, agency, referral_id)
        given = await request.form()
        written, about = str(given.get("shared_note", "")).strip(), str(given.get("about", ""))
        if not written or about not in list(DossierSection) or len(written) > MAX_NOTE:
            return await pages.render_referral(
                request, user, agency, found, problem=Problem.SHARED_NOTE_INCOMPLETE, given=given
            )
        try:
            await opened.share_note(referral_id, user, DossierSection(about), written)
        except ReferralChanged:
            found = await opened.read(referral_id)
            return await pages.render_referral(request, user, agency, found, problem=Problem.CHANGED, given=given)
        return RedirectResponse(f"/work/{agency}/{referral_id}#shared", 303)

    @web.post("/work/{agency}/{referral_id}/note", include_in_schema=False)
    async def note(request: Request, user: CurrentUser, agency: str, referral_id: UUID) -> Response:
        opened, found = await pages.open(user, agency, referral_id)
        given = await request.form()
        written = str(given.get("note", "")).strip()
        if not written:
            return await pages.render_referral(request, user, agency, found, problem=Problem.NOTE_MISSING, given=given)
        try:
            await opened.add_note(referral_id, user, written)
        except ReferralChanged:
            found = await opened.read(referral_id)
            return await pages.render_referral(request, user, agency, found, problem=Problem.CHANGED, given=given)
        return RedirectResponse(f"/work/{agency}/{referral_id}#colleagues", 303)


def _add_documents(web: FastAPI, pages: WorkPages) -> None:
    @web.get("/work/{agency}/{referral_id}/files/{file_id}", include_in_schema=False)
    async def read_file(request: Request, user: CurrentUser, agency: str, referral_id: UUID, file_id: UUID) -> Response:
        opened, found = await pages.open(user, agency, referral_id)
        try:
            described, content = await opened.fetch_file(found, file_id, user)
        except CityUnreachable:
            return render(
                request,
                "work/file_away.html",
                status=503,
                headers={"retry-after": "60"},
                agency=agency,
                view=found.view,
            )
        except FileUnavailable as error:
            raise HTTPException(404) from error
        return _download(described.name, described.media_type, content)

    # One address for all referrals, because the limit of a request's size belongs to an address.
    @web.post(DOCUMENTS, include_in_schema=False)
    async def document(request: Request, user: CurrentUser) -> Response:
        given = await request.form()
        agency, referral_id = str(given.get("agency", "")), _read_id(given.get("referral_id"))
        opened, found = await pages.open(user, agency, referral_id)
        uploaded = given.get("document")
        try:
            if not isinstance(uploaded, UploadFile):
                raise DocumentRefused
            read = Document.read(uploaded.filename or "", await uploaded.read())
        except DocumentRefused:
            return await pages.render_referral(request, user, agency, found, problem=Problem.DOCUMENT_REFUSED)
        finally:
            await given.close()
        try:
            await opened.add_document(referral_id, user, read)
        except ReferralChanged:
            found = await opened.read(referral_id)
            return await pages.render_referral(request, user, agency, found, problem=Problem.CHANGED)
        return RedirectResponse(f"/work/{agency}/{referral_id}#colleagues", 303)

    @web.get("/work/{agency}/{referral_id}/documents/{record_id}", include_in_schema=False)
    async def read_document(user: CurrentUser, agency: str, referral_id: UUID, record_id: UUID) -> Response:
        opened, found = await pages.open(user, agency, referral_id)
        document = await opened.find_document(found, record_id, user)
        if document is None:
            raise HTTPException(404)
        return _download(document.name, document.media_type, document.content)


def _download(name: str, media_type: str, content: bytes) -> Response:
    headers = {
        "content-disposition": f"attachment; filename*=UTF-8''{quote(name)}",
        "cache-control": "no-store",
        "content-security-policy": "default-src 'none'; sandbox",
    }
    return Response(content, media_type=media_type, headers=headers)


def _read_id(text: object) -> UUID:
    """Reads an id of a form; any other text is that of a referral that does not exist."""
    try:
        return UUID(str(text))
    except ValueError as error:
        raise HTTPException(404) from error
