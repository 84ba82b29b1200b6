"""The worklist and the page of a case: read, answer, report on the service; every form works without a script."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final
from urllib.parse import quote
from uuid import UUID, uuid4

from fastapi import FastAPI, Query, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartParser

from simpul_agency.agency import ReferralUnknown
from simpul_agency.connectors.reply_command import InvalidReply, ReplyCommand, ReplyKind
from simpul_agency.dossier_files import FileUnavailable
from simpul_agency.referral_view import ServiceView
from simpul_agreement.phrases import clause_sentence, describe_source
from simpul_city import City
from simpul_desk.access import Actor, CurrentUser, User, recheck_access
from simpul_desk.hosting import repository
from simpul_desk.hosting.agencies import HostedAgencies, HostedAgency, HostedElsewhere, OpenReferral, ReferralChanged
from simpul_desk.hosting.deadlines import Deadline
from simpul_desk.hosting.records import MAX_DOCUMENT, MAX_TEXT, Document, DocumentRefused, RecordKind
from simpul_desk.hosting.steps import ServiceStep, may_reply, step_of
from simpul_desk.hosting.worklist import Pressure, divide_by_pressure
from simpul_desk.live import Listener, LiveChannels, event_stream
from simpul_desk.papers import Letter, LetterDeadline, LetterService, Printer, write_letter
from simpul_desk.rendering import page_language, render
from simpul_desk.service_api import RoutingApi, ServiceRefused, ServiceUnavailable
from simpul_desk.wording import Wording
from simpul_desk.work_pages.texts import (
    CASE_STATES,
    PROBLEMS,
    QUESTION_NOT_SENT,
    STEPS,
    Problem,
    describe_dossier,
    describe_facts,
    list_files,
)
from simpul_runtime.database import utc_now
from simpul_runtime.service import Service
from simpul_runtime.shell import Limits
from simpul_schema.messages.case import MAX_QUESTION
from simpul_schema.messages.reply import MAX_NOTE
from simpul_schema.names import subject_of_referral
from simpul_schema.references import case_reference, referral_code
from simpul_schema.translations import load_translations
from simpul_schema.vocabulary import DeclineReason, DossierSection, ReferralOutcome, Right, RightState, Urgency
from simpul_schema.vocabulary import Service as Need

PAGE: Final = 50
"""Rows of the worklist that are shown at first; a link shows as many more."""
DOCUMENTS: Final = "/work/documents"
DOCUMENT_LIMITS: Final = Limits(body_bytes=MAX_DOCUMENT + 64 * 1024)
"""A document and the fields of its form."""
# A larger part of a form would be written to a file in the clear.
MultiPartParser.spool_max_size = DOCUMENT_LIMITS.body_bytes


class FormProblem(Exception):
    """A form cannot be sent on; show it again with the problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.value)
        self.problem = problem


@dataclass(frozen=True)
class WorkPages:
    """Renders the work pages."""

    service: Service
    city: City
    hosted: HostedAgencies
    live: LiveChannels
    routing: RoutingApi
    has_guide: bool = False
    """Whether the city has a guide for people who meet a child in need."""

    def wording(self, request: Request) -> Wording:
        """Returns how times are written on the page that answers a request."""
        return Wording(page_language(request), self.city.zone, utc_now())

    @property
    def agency_names(self) -> Mapping[str, str]:
        """Code -> name."""
        return {agency.code: agency.name for agency in self.city.agencies}

    def agency_of(self, user: User, code: str) -> HostedAgency:
        """Returns a hosted agency of the person; any other answers as one that does not exist."""
        found = self.hosted.find(code) if code in user.memberships else None
        if found is None:
            raise HTTPException(404)
        return found

    async def open(self, user: User, code: str, referral_id: UUID) -> tuple[HostedAgency, OpenReferral]:
        """Opens a referral that the person may read; any other answers as one that does not exist."""
        agency = self.agency_of(user, code)
        try:
            found = await agency.read(referral_id)
        except ReferralUnknown as error:
            raise HTTPException(404) from error
        if user.is_excluded(found.view.first.data.case_id):
            raise HTTPException(404)
        return agency, found

    async def render_worklist(self, request: Request, user: User, limit: int = PAGE) -> Response:
        """Renders the rows of all agencies of the person, up to a limit."""
        agencies = sorted(self.hosted.codes & user.memberships.keys())
        async with self.service.engine.connect() as connection:
            entries, total = await repository.list_entries(connection, agencies, user.id, user.excluded_cases, limit)
        wording = self.wording(request)
        return render(
            request,
            "work/list.html",
            entries=entries,
            total=total,
            limit=limit,
            more=min(limit + PAGE, repository.MAX_COUNTED),
            counts=divide_by_pressure(entries, wording.now),
            agencies=agencies,
            has_guide=self.has_guide,
            agency_names=self.agency_names,
            wording=wording,
            **_TERMS,
        )

    async def render_referral(
        self,
        request: Request,
        user: User,
        code: str,
        found: OpenReferral,
        *,
        problem: Problem | None = None,
        refusal: str = "",
        given: FormData | None = None,
    ) -> Response:
        """Renders the page of a referral, and records that the person read the dossier on it.

        `given` is what the person chose in a form that was not sent on; `refusal` is why the city does not take it.
        """
        hosted = self.agency_of(user, code)
        await hosted.record_dossier_read(found, user)
        records = await hosted.list_records(found, user)
        async with self.service.engine.connect() as connection:
            entry = await repository.find_entry(connection, code, found.view.referral_id, user.id)
        language = page_language(request)
        known, unknown = describe_facts(found.facts, language) if found.facts else ([], [])
        return render(
            request,
            "work/referral.html",
            status=409 if problem is Problem.CHANGED else 422 if problem or refusal else 200,
            agency=code,
            agency_name=self.agency_names[code],
            found=found,
            view=found.view,
            entry=entry,
            records=records,
            steps={one.service_id: step_of(one) for one in found.view.services},
            facts=known,
            unknown_facts=unknown,
            dossier=describe_dossier(found.dossier, language),
            dossier_files=list_files(found.dossier),
            wording=self.wording(request),
            problem=PROBLEMS[problem] if problem else "",
            refusal=refusal,
            has_letter=any(map(_stands_in_letter, found.view.services)),
            given=given,
            chosen=given.getlist("service_ids") if given else None,
            is_safety_open=_is_in_danger(found),
            clause_text=lambda clause: self._clause_text(found, clause, language),
            mediation_locks=self.hosted.find_mediation_locks(found),
            source_text=lambda source: describe_source(source, language),
            people=[name for name in self.live.list_people(f"{code}/{found.view.referral_id}") if name != user.name],
            **_TERMS,
        )

    async def print_copy(self, request: Request, user: User, code: str, found: OpenReferral) -> Response:
        """Prints a copy of the referral letter for the agency's files, with what it has completed."""
        language, view = page_language(request), found.view
        requested = [one.requested for one in view.services if _stands_in_letter(one)]
        if not requested:
            raise HTTPException(404)
        first = view.first
        running = {one.service_id: [due for due in found.deadlines.get(one.service_id, ()) if not due.is_met]
                   for one in requested}  # fmt: skip
        letter = Letter(
            referral_code(view.referral_id), case_reference(first.data.case_id), self._hub_name(),
            self.agency_names[code], first.data.agreement, first.time,
            [LetterService(one.service.label(language), one.urgency.label(language),
                           tuple(self._letter_deadline(found, due, language) for due in running[one.service_id]))
             for one in requested],
            tuple(dict.fromkeys(
                describe_source(due.clause.source, language) for own in running.values() for due in own
            )),
        )  # fmt: skip
        return await Printer(self.service.engine).print(
            request, user, write_letter(letter, self.city.name, self.wording(request), is_copy=True), kind="letter",
            agency=code, subject=subject_of_referral(view.referral_id), services=[one.service for one in requested],
            language=language,
        )  # fmt: skip

    def _letter_deadline(self, found: OpenReferral, deadline: Deadline, language: str) -> LetterDeadline:
        clause = "" if deadline.due_at else self._clause_text(found, deadline.clause, language)
        return LetterDeadline(deadline.clock.label(language), deadline.due_at, clause)

    def _hub_name(self) -> str:
        """Returns the name of the agency that refers in the name of the city."""
        return next((agency.name for agency in self.city.agencies if agency.kind == "hub"), self.city.name)

    def _clause_text(self, found: OpenReferral, clause: Any, language: str) -> str:
        engines = self.hosted.engines_of(found.view.first.data.agreement)
        return clause_sentence(clause, engines.agreement, language) if engines else ""

    async def render_others(self, request: Request, user: User, code: str, found: OpenReferral) -> Response:
        """Renders who else acts for the child, as far as routing shows it to the person."""
        case_id, actor = found.view.first.data.case_id, user.act_in(code)
        try:
            case = (await self.routing.get(actor, f"/cases/{case_id}")).content
            notes = (await self.routing.get(actor, f"/cases/{case_id}/notes")).content
            questions = (await self._list_questions(actor, found)) if _helps(found) else ()
        except (ServiceUnavailable, ServiceRefused):
            case, notes, questions = None, (), ()
        template = "work/others.html" if request.headers.get("hx-request") else "work/others_page.html"
        return render(
            request, template, case=case, notes=notes, questions=questions, helps=_helps(found),
            question_id=uuid4(), agency=code, view=found.view, case_states=CASE_STATES,
            agency_numbers=self.city.agency_numbers,
            wording=self.wording(request), parse=datetime.fromisoformat, **_TERMS,
        )  # fmt: skip

    async def _list_questions(self, actor: Actor, found: OpenReferral) -> Sequence[Any]:
        path = f"/cases/{found.view.first.data.case_id}/agency-questions"
        try:
            return list((await self.routing.get(actor, path)).content)
        except ServiceRefused as refusal:
            if refusal.is_unknown:
                # Routing has yet to read that the agency accepted.
                return ()
            raise

    async def send_question(self, request: Request, user: User, code: str, found: OpenReferral) -> Response:
        """Sends a question to the agency that referred the child; shows it again if routing does not take it."""
        given = await request.form()
        question = str(given.get("question", "")).strip()
        body = {"question_id": str(given.get("question_id", "")), "question": question}
        path = f"/cases/{found.view.first.data.case_id}/agency-questions"
        try:
            await self.routing.call(user.act_in(code), "POST", path, body=body)
        except ServiceRefused as refusal:
            problem = refusal.messages[page_language(request)]
        except ServiceUnavailable:
            problem = load_translations("simpul_desk")[page_language(request)].gettext(QUESTION_NOT_SENT)
        else:
            self.live.announce(code, f"{code}/{found.view.referral_id}")
            return RedirectResponse(f"/work/{code}/{found.view.referral_id}#others", 303)
        return await self.render_referral(request, user, code, found, refusal=problem, given=given)


_TERMS: Final[Mapping[str, Any]] = {
    "case_reference": case_reference,
    "referral_code": referral_code,
    "Need": Need,
    "Urgency": Urgency,
    "Right": Right,
    "RightState": RightState,
    "Pressure": Pressure,
    "STEPS": STEPS,
    "ServiceStep": ServiceStep,
    "RecordKind": RecordKind,
    "max_text": MAX_TEXT,
    "max_note": MAX_NOTE,
    "max_question": MAX_QUESTION,
    "dossier_sections": tuple(DossierSection),
    "DossierSection": DossierSection,
    "documents_address": DOCUMENTS,
    "decline_reasons": tuple(DeclineReason),
    "outcomes": tuple(ReferralOutcome),
}
"""What every template of these pages may use."""


def add_work_pages(web: FastAPI, pages: WorkPages) -> None:
    """Adds the routes; none of them is part of an API for programs."""
    _add_reading(web, pages)
    _add_forms(web, pages)
    _add_records(web, pages)

    @web.get("/live/{agency}", include_in_schema=False)
    async def live(request: Request, user: CurrentUser, agency: str) -> StreamingResponse:
        pages.agency_of(user, agency)
        may_listen = recheck_access(request, lambda person: agency in person.memberships)
        return event_stream(pages.live, agency, Listener(user.id, user.name, may_listen))

    @web.get("/live/{agency}/{referral_id}", include_in_schema=False)
    async def live_referral(request: Request, user: CurrentUser, agency: str, referral_id: UUID) -> StreamingResponse:
        _, found = await pages.open(user, agency, referral_id)
        case_id = found.view.first.data.case_id
        may_listen = recheck_access(
            request, lambda person: agency in person.memberships and not person.is_excluded(case_id)
        )
        return event_stream(pages.live, f"{agency}/{referral_id}", Listener(user.id, user.name, may_listen))

    @web.exception_handler(HostedElsewhere)
    async def explain_closed(request: Request, _: HostedElsewhere) -> Response:
        return render(request, "work/closed.html", status=503, headers={"retry-after": "5"})


def _add_reading(web: FastAPI, pages: WorkPages) -> None:
    @web.get("/work", include_in_schema=False)
    async def worklist(
        request: Request, user: CurrentUser, shown: Annotated[int, Query(ge=1, le=repository.MAX_COUNTED)] = PAGE
    ) -> Response:
        return await pages.render_worklist(request, user, shown)

    @web.get("/work/{agency}/{referral_id}", include_in_schema=False)
    async def referral(request: Request, user: CurrentUser, agency: str, referral_id: UUID) -> Response:
        opened, found = await pages.open(user, agency, referral_id)
        await opened.mark_seen(referral_id, user)
        return await pages.render_referral(request, user, agency, found)

    @web.get("/work/{agency}/{referral_id}/others", include_in_schema=False)
    async def others(request: Request, user: CurrentUser, agency: str, referral_id: UUID) -> Response:
        _, found = await pages.open(user, agency, referral_id)
        return await pages.render_others(request, user, agency, found)

    @web.get("/work/{agency}/{referral_id}/changes", include_in_schema=False)
    async def changes(
        request: Request, user: CurrentUser, agency: str, referral_id: UUID, version: str = ""
    ) -> Response:
        _, found = await pages.open(user, agency, referral_id)
        people = [name for name in pages.live.list_people(f"{agency}/{referral_id}") if name != user.name]
        return render(
            request, "work/changes.html", has_changed=found.version != version, people=people, agency=agency,
            view=found.view,
        )  # fmt: skip


def _add_forms(web: FastAPI, pages: WorkPages) -> None:
    @web.post("/work/{agency}/{referral_id}", include_in_schema=False)
    async def reply(request: Request, user: CurrentUser, agency: str, referral_id: UUID) -> Response:
        opened, found = await pages.open(user, agency, referral_id)
        given = await request.form()
        try:
            command = read_command(given, found, pages.city.zone)
            written = str(given.get("note", "")).strip()
            await opened.reply(referral_id, str(given.get("version", "")), command, user, note=written)
        except FormProblem as error:
            return await pages.render_referral(request, user, agency, found, problem=error.problem, given=given)
        except InvalidReply:
            problem = Problem.TIME_MISSING if given.get("reply") == "scheduled" else Problem.NOT_POSSIBLE
            return await pages.render_referral(request, user, agency, found, problem=problem, given=given)
        except ReferralChanged:
            found = await opened.read(referral_id)
            return await pages.render_referral(request, user, agency, found, problem=Problem.CHANGED, given=given)
        return RedirectResponse(f"/work/{agency}/{referral_id}", 303)

    @web.post("/work/{agency}/{referral_id}/information", include_in_schema=False)
    async def information(request: Request, user: CurrentUser, agency: str, referral_id: UUID) -> Response:
        opened, _ = await pages.open(user, agency, referral_id)
        given = await request.form()
        what = str(given.get("what", "")).strip()
        try:
            await opened.mark_information(referral_id, user, is_missing=given.get("is_missing") == "yes", what=what)
        except ReferralChanged:
            found = await opened.read(referral_id)
            return await pages.render_referral(request, user, agency, found, problem=Problem.CHANGED)
        return RedirectResponse(f"/work/{agency}/{referral_id}", 303)

    @web.post("/work/{agency}/{referral_id}/conflict", include_in_schema=False)
    async def conflict(user: CurrentUser, agency: str, referral_id: UUID) -> Response:
        opened, found = await pages.open(user, agency, referral_id)
        await opened.declare_conflict(found.view, user)
        return RedirectResponse("/work", 303)


def _add_records(web: FastAPI, pages: WorkPages) -> None:  # noqa: C901 - one short function per route
    @web.post("/work/{agency}/{referral_id}/question", include_in_schema=False)
    async def question(request: Request, user: CurrentUser, agency: str, referral_id: UUID) -> Response:
        _, found = await pages.open(user, agency, referral_id)
        return await pages.send_question(request, user, agency, found)

    @web.post("/work/{agency}/{referral_id}/letter", include_in_schema=False)
    async def letter(request: Request, user: CurrentUser, agency: str, referral_id: UUID) -> Response:
        _, found = await pages.open(user, agency, referral_id)
        return await pages.print_copy(request, user, agency, found)

    @web.post("/work/{agency}/{referral_id}/shared-note", include_in_schema=False)
    async def shared_note(request: Request, user: CurrentUser, agency: str, referral_id: UUID) -> Response:
        opened, found = await pages.open(user, agency, referral_id)
        given = await request.form()
        written, about = str(given.get("shared_note", "")).strip(), str(given.get("about", ""))
        if not written or about not in list(DossierSection) or len(written) > MAX_NOTE:
            return await pages.render_referral(
                request, user, agency, found, problem=Problem.SHARED_NOTE_INCOMPLETE, given=given
            )  # fmt: skip
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
            return await pages.render_referral(
                request, user, agency, found, problem=Problem.NOTE_MISSING, given=given
            )  # fmt: skip
        try:
            await opened.add_note(referral_id, user, written)
        except ReferralChanged:
            found = await opened.read(referral_id)
            return await pages.render_referral(request, user, agency, found, problem=Problem.CHANGED, given=given)
        return RedirectResponse(f"/work/{agency}/{referral_id}#colleagues", 303)

    @web.get("/work/{agency}/{referral_id}/files/{file_id}", include_in_schema=False)
    async def read_file(user: CurrentUser, agency: str, referral_id: UUID, file_id: UUID) -> Response:
        opened, found = await pages.open(user, agency, referral_id)
        try:
            described, content = await opened.fetch_file(found, file_id, user)
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


def read_command(given: FormData, found: OpenReferral, zone: Any) -> ReplyCommand:
    """Reads a form about the services of a referral; raises FormProblem."""
    kind = str(given.get("reply", ""))
    if kind == ReplyKind.WITHDRAWAL_ACKNOWLEDGED.value:
        return ReplyCommand(reply=ReplyKind.WITHDRAWAL_ACKNOWLEDGED)
    chosen = [str(one) for one in given.getlist("service_ids")]
    if not chosen:
        raise FormProblem(Problem.NOTHING_CHOSEN)
    fields: dict[str, Any] = {"reply": kind, "service_ids": chosen}
    if kind == ReplyKind.DECLINED.value:
        fields["reason"] = _require(given, "reason", Problem.REASON_MISSING)
    elif kind == ReplyKind.COMPLETED.value:
        fields["outcome"] = _require(given, "outcome", Problem.OUTCOME_MISSING)
    elif kind == ReplyKind.SCHEDULED.value:
        fields["scheduled_for"] = _read_time(_require(given, "scheduled_for", Problem.TIME_MISSING), zone)
    try:
        command = ReplyCommand.parse(fields)
    except InvalidReply as error:
        raise FormProblem(Problem.NOT_POSSIBLE) from error
    steps = {one.service_id: step_of(one) for one in found.view.services}
    if not all(may_reply(command.reply, steps.get(service_id)) for service_id in command.service_ids or ()):
        # Somebody else may have acted; the page shows where each service stands.
        raise FormProblem(Problem.NOT_POSSIBLE if given.get("version") == found.version else Problem.CHANGED)
    return command


def _read_id(text: object) -> UUID:
    """Reads an id of a form; any other text is that of a referral that does not exist."""
    try:
        return UUID(str(text))
    except ValueError as error:
        raise HTTPException(404) from error


def _stands_in_letter(service: ServiceView) -> bool:
    """Whether the agency is to provide a service, or has provided it."""
    return service.is_open or step_of(service) is ServiceStep.COMPLETED


def _helps(found: OpenReferral) -> bool:
    """Whether the agency has accepted a service that has not ended."""
    return any(one.is_open and not one.is_unanswered for one in found.view.services)


def _require(given: FormData, name: str, problem: Problem) -> str:
    value = str(given.get(name, "")).strip()
    if not value:
        raise FormProblem(problem)
    return value


def _read_time(text: str, zone: Any) -> datetime:
    """Reads what a browser sends for a local time, such as 2026-12-01T09:00."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=zone)
    except ValueError as error:
        raise FormProblem(Problem.TIME_MISSING) from error


def _is_in_danger(found: OpenReferral) -> bool:
    """Whether the child may not be safe, so that first aid comes before passing the service on."""
    return found.view.urgency is Urgency.HIGH
