"""A small web inbox on the agency's own machine: list, detail, and the replies as buttons."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from typing import Any, Final
from uuid import UUID

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

from simpul_agency.agency import Agency, ReferralUnknown
from simpul_agency.following import Followed
from simpul_agency.handoff.said import NotUnderstood, Said
from simpul_agency.handoff.texts import FACTS, STATES
from simpul_schema.references import case_reference, referral_code
from simpul_schema.vocabulary import DeclineReason, ReferralOutcome, Term

MOST: Final = 200
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Pages:
    """For an agency without software of its own. Only this machine reaches it."""

    def __init__(self, agency: Agency, port: int) -> None:
        self._agency = agency
        self._port = port
        # A page of another site, open in the same browser, cannot know it.
        self._token = secrets.token_urlsafe(16)
        self._templates = Environment(
            loader=PackageLoader("simpul_agency.handoff"), autoescape=True, undefined=StrictUndefined
        )
        self._templates.globals.update(
            agency=agency.code, token=self._token, referral_code=referral_code, case_reference=case_reference,
            states=STATES, facts=FACTS, DeclineReason=DeclineReason, ReferralOutcome=ReferralOutcome, label=_label,
            most=MOST,
        )  # fmt: skip

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[None]:
        """Answer on 127.0.0.1."""
        application = web.Application(middlewares=[self._guard])
        application.add_routes(
            [
                web.get("/", self._list),
                web.get("/referrals/{referral_id}", self._detail),
                web.post("/referrals/{referral_id}", self._reply),
            ]
        )
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", self._port).start()
            yield
        finally:
            await runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """A foreign name that leads to this machine is not ours (DNS rebinding)."""
        if request.host.partition(":")[0] not in ("127.0.0.1", "localhost"):
            raise web.HTTPMisdirectedRequest
        answer: web.StreamResponse = await handler(request)
        answer.headers.update(_HEADERS)
        return answer

    async def _list(self, _: web.Request) -> web.Response:
        found = await self._agency.referrals(MOST)
        return self._page("list.html", referrals=[_shown(one) for one in found], now=datetime.now(timezone.utc))

    async def _detail(self, request: web.Request) -> web.Response:
        return await self._shown_in_detail(request, problem="")

    async def _reply(self, request: web.Request) -> web.Response:
        fields = await request.post()
        if not secrets.compare_digest(str(fields.get("token", "")), self._token):
            raise web.HTTPForbidden(text="Muat ulang halaman. / Load the page again.")
        words = {name: value for name, value in fields.items() if name != "token" and value}
        if words.get("scheduled_for"):
            # The browser gives the time of this machine, without its zone.
            words["scheduled_for"] = datetime.fromisoformat(str(words["scheduled_for"])).astimezone().isoformat()
        try:
            async with self._agency.reply(_id_of(request)) as reply:
                Said.read(words).say(reply)
        except (NotUnderstood, ValueError):
            return await self._shown_in_detail(
                request, problem="Isi yang kurang. / Fill in what is missing.", status=422
            )
        except ReferralUnknown as error:
            raise web.HTTPNotFound from error
        raise web.HTTPSeeOther(request.path)

    async def _shown_in_detail(self, request: web.Request, *, problem: str, status: int = 200) -> web.Response:
        found = await self._agency.referrals(1, _id_of(request))
        if not found:
            raise web.HTTPNotFound(text="Rujukan ini tidak ada. / No such referral.")
        shown = _shown(found[0]) | {"facts": self._agency.facts_of(found[0].newest_facts)}
        return self._page("detail.html", status, referral=shown, problem=problem)

    def _page(self, name: str, status: int = 200, **values: Any) -> web.Response:
        text = self._templates.get_template(name).render(values)
        return web.Response(text=text, content_type="text/html", status=status)


def _id_of(request: web.Request) -> UUID:
    try:
        return UUID(request.match_info["referral_id"])
    except ValueError as error:
        raise web.HTTPNotFound from error


def _shown(one: Followed) -> dict[str, Any]:
    offer = one.offer
    return {
        "id": offer.data.referral_id, "case_id": offer.data.case_id, "service": offer.data.service,
        "role": offer.data.role, "urgency": one.urgency, "answer_by": one.answer_by.astimezone(),
        "late": one.is_unanswered and one.answer_by < datetime.now(timezone.utc), "state": one.state,
        "is_open": one.is_open, "must_acknowledge": one.must_acknowledge, "is_unanswered": one.is_unanswered,
        "refused": one.refused,
    }  # fmt: skip


def _label(value: Any) -> str:
    """In Bahasa Indonesia."""
    if isinstance(value, bool):
        return "ya" if value else "tidak"
    if isinstance(value, tuple):
        return ", ".join(map(_label, value))
    return value.label("id") if isinstance(value, Term) else str(value)
