"""A small web inbox on the agency's own machine: a list, a page for each referral, and forms to reply per service."""

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

from simpul_agency.agency import Agency, ReferralUnknown
from simpul_agency.connectors.reply_command import ABOUT_THE_REFERRAL, REQUIRED_FIELDS, InvalidReply, ReplyCommand
from simpul_agency.connectors.texts import DOSSIER, FACTS, STATES
from simpul_agency.dossier_files import FileUnavailable
from simpul_agency.referral_view import ReferralView, ServiceView
from simpul_schema.messages.reply import MAX_NOTE
from simpul_schema.references import case_reference, referral_code
from simpul_schema.translations import LANGUAGES, load_translations
from simpul_schema.vocabulary import DeclineReason, DossierSection, ReferralOutcome, Term

PAGE: Final = 200
"""Referrals that are added to the list at once, those that changed last first."""
MAX_SHOWN: Final = 9_999
"""Referrals that one page may list; the browser of an agency shows them in a second or two."""
DEFAULT_LANGUAGE: Final = "id"
_TRANSLATIONS: Final = load_translations("simpul_agency")
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class WebInbox:
    """Serves an agency without software of its own; only this machine can reach it."""

    def __init__(self, agency: Agency, port: int) -> None:
        self._agency = agency
        self._port = port
        # A page of another site in the same browser cannot know the token.
        self._token = secrets.token_urlsafe(16)
        self._templates: Mapping[str, Environment] = {language: self._templates_in(language) for language in LANGUAGES}

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[None]:
        """Serves on 127.0.0.1 while the context is open."""
        application = web.Application(middlewares=[self._protect])
        application.add_routes(
            [
                web.get("/", self._list),
                web.get("/referrals/{referral_id}", self._detail),
                web.post("/referrals/{referral_id}", self._reply),
                web.get("/referrals/{referral_id}/files/{file_id}", self._file),
            ]
        )
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", self._port).start()
            yield
        finally:
            await runner.cleanup()

    def _templates_in(self, language: str) -> Environment:
        templates = Environment(
            loader=PackageLoader("simpul_agency.connectors"), autoescape=True, undefined=StrictUndefined
        )
        gettext = _TRANSLATIONS[language].gettext

        def label(value: Any) -> str:
            if isinstance(value, bool):
                return gettext("yes") if value else gettext("no")
            if isinstance(value, tuple):
                return ", ".join(map(label, value))
            return value.label(language) if isinstance(value, Term) else str(value)

        templates.globals.update(
            _=gettext,
            language=language,
            label=label,
            agency=self._agency.code,
            token=self._token,
            referral_code=referral_code,
            case_reference=case_reference,
            states=STATES,
            facts=FACTS,
            dossier_fields=DOSSIER,
            decline_reasons=tuple(DeclineReason),
            outcomes=tuple(ReferralOutcome),
            dossier_sections=tuple(DossierSection),
            max_note=MAX_NOTE,
            can_fetch_files=self._agency.can_fetch_files,
        )
        return templates

    @web.middleware
    async def _protect(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Refuses other host names that resolve to this machine (DNS rebinding), and adds the security headers."""
        if request.host.partition(":")[0] not in ("127.0.0.1", "localhost"):
            raise web.HTTPMisdirectedRequest
        response: web.StreamResponse = await handler(request)
        response.headers.update(_HEADERS)
        return response

    async def _list(self, request: web.Request) -> web.Response:
        limit = _limit_of(request)
        views, total = await self._agency.list_referrals(limit), await self._agency.count_referrals()
        listed = [_fields_of(view) for view in views]
        return self._render(request, "list.html", referrals=listed, total=total, more=limit + PAGE)

    async def _detail(self, request: web.Request) -> web.Response:
        return await self._render_detail(request, problem="")

    async def _reply(self, request: web.Request) -> web.Response:
        gettext = _TRANSLATIONS[_language_of(request)].gettext
        form = await request.post()
        if not secrets.compare_digest(str(form.get("token", "")), self._token):
            raise web.HTTPForbidden(text=gettext("Load the page again."))
        try:
            command = _command_of(form, form.getall("service_ids", []))
            async with self._agency.reply(_id_of(request)) as reply:
                command.apply_to(reply)
        except (InvalidReply, ValueError):
            problem = gettext("Choose the services, and fill in what is missing.")
            return await self._render_detail(request, problem=problem, status=422)
        except ReferralUnknown as error:
            raise web.HTTPNotFound from error
        raise web.HTTPSeeOther(request.path)

    async def _file(self, request: web.Request) -> web.Response:
        gettext = _TRANSLATIONS[_language_of(request)].gettext
        try:
            view = await self._agency.find_referral(_id_of(request))
            described, content = await self._agency.fetch_file(view, _id_of(request, "file_id"))
        except (ReferralUnknown, FileUnavailable) as error:
            raise web.HTTPNotFound(text=gettext("The city does not hand out this file now.")) from error
        # Never shown in the page: a document of a stranger is opened by a program of the reader's choice.
        headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(described.name)}"}
        return web.Response(body=content, content_type=described.media_type, headers=headers)

    async def _render_detail(self, request: web.Request, *, problem: str, status: int = 200) -> web.Response:
        try:
            view = await self._agency.find_referral(_id_of(request))
        except ReferralUnknown as error:
            gettext = _TRANSLATIONS[_language_of(request)].gettext
            raise web.HTTPNotFound(text=gettext("This referral does not exist.")) from error
        referral = _fields_of(view) | {
            "facts": self._agency.open_facts(view.newest_facts),
            "dossier": self._agency.open_dossier(view),
        }
        return self._render(request, "detail.html", status, referral=referral, problem=problem)

    def _render(self, request: web.Request, name: str, status: int = 200, **values: Any) -> web.Response:
        text = self._templates[_language_of(request)].get_template(name).render(values)
        return web.Response(text=text, content_type="text/html", status=status)


def _language_of(request: web.Request) -> str:
    """Returns the first supported language of Accept-Language; browsers list the preferred one first."""
    for entry in request.headers.get("Accept-Language", "").split(","):
        code = entry.partition(";")[0].strip().lower().partition("-")[0]
        if code in LANGUAGES:
            return code
    return DEFAULT_LANGUAGE


def _id_of(request: web.Request, name: str = "referral_id") -> UUID:
    try:
        return UUID(request.match_info[name])
    except ValueError as error:
        raise web.HTTPNotFound from error


def _limit_of(request: web.Request) -> int:
    """How many referrals the reader wants to see, a page by default."""
    shown = request.query.get("shown", "")
    # What is not a number, or more than anybody could read, counts as a page.
    return min(max(int(shown), PAGE), MAX_SHOWN) if shown.isdecimal() and len(shown) <= len(str(MAX_SHOWN)) else PAGE


def _command_of(form: Mapping[str, Any], services: Sequence[Any]) -> ReplyCommand:
    """Reads a form with the chosen services; raises InvalidReply or ValueError."""
    kind = str(form.get("reply", ""))
    fields: dict[str, Any] = {"reply": kind}
    for name in REQUIRED_FIELDS.get(kind, ()):
        if form.get(name):
            fields[name] = str(form[name])
    if "scheduled_for" in fields:
        # The browser sends local time without its zone.
        fields["scheduled_for"] = datetime.fromisoformat(fields["scheduled_for"]).astimezone().isoformat()
    if kind not in ABOUT_THE_REFERRAL:
        # None is chosen when the list is empty, which a reply must not take for all.
        fields["service_ids"] = services
    return ReplyCommand.parse(fields)


def _fields_of(view: ReferralView) -> dict[str, Any]:
    return {
        "id": view.referral_id,
        "case_id": view.first.data.case_id,
        "services": [_fields_of_service(one) for one in view.services],
        "urgency": view.urgency,
        "answer_by": view.answer_by.astimezone(),
        "is_late": bool(view.unanswered) and view.answer_by < datetime.now(timezone.utc),
        "must_acknowledge": view.must_acknowledge,
        "withdrawn": [one.requested.service for one in view.withdrawn],
        "refused": view.refused,
    }


def _fields_of_service(view: ServiceView) -> dict[str, Any]:
    return {
        "id": view.service_id,
        "service": view.requested.service,
        "role": view.requested.role,
        "urgency": view.requested.urgency,
        "state": view.state,
        "is_open": view.is_open,
        "is_unanswered": view.is_unanswered,
        "is_new": view.is_new,
    }
