"""Consents to the processing of a child's data: whom to ask, the words to read out, what was given and withdrawn."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, tzinfo
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from fastapi import FastAPI, Request, Response
from fastapi.responses import RedirectResponse
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException

from simpul_desk.access import CurrentUser, User
from simpul_desk.city_pages.case_page import MAY_RECORD_CONSENT, RefusedForm, address_of_case
from simpul_desk.city_pages.pages import CityPages, actor_of
from simpul_desk.rendering import page_language
from simpul_desk.service_api import ServiceRefused
from simpul_schema.translations import gettext_noop, load_translations
from simpul_schema.vocabulary import Relation


class TextLanguage(StrEnum):
    """The languages of the texts, which are not those of the desk."""

    INDONESIAN = "id"
    JAVANESE = "jv"
    ENGLISH = "en"


GIVERS: Final[Mapping[str, str]] = {
    "guardian": gettext_noop("a parent or guardian"),
    "child": gettext_noop("the child itself"),
}
WAYS: Final[Mapping[str, str]] = {
    "spoken": gettext_noop("in person"),
    "written": gettext_noop("in writing"),
    "phone": gettext_noop("by phone"),
}
LANGUAGES: Final[Mapping[str, str]] = {
    TextLanguage.INDONESIAN: gettext_noop("Bahasa Indonesia"),
    TextLanguage.JAVANESE: gettext_noop("Javanese"),
    TextLanguage.ENGLISH: gettext_noop("English"),
}
_GUARDIANS: Final = tuple(one for one in Relation if one not in (Relation.UNKNOWN, Relation.STRANGER))
_INCOMPLETE: Final = gettext_noop(
    "Choose who consents, to what, how, and in which language, so that the record counts."
)
_TIME_UNREADABLE: Final = gettext_noop("The day and time cannot be read.")


class FormIncomplete(Exception):
    """A form lacks what the record of a consent needs; the argument is the text for the person."""


def read_consent(given: FormData, zone: tzinfo) -> dict[str, Any]:
    """Reads the form of a consent into what routing takes; raises FormIncomplete."""
    chosen = {name: str(given.get(name, "")) for name in ("given_by", "way", "text", "language", "relation", "reason")}
    purposes = [str(one) for one in given.getlist("purposes")]
    is_known = chosen["given_by"] in GIVERS and chosen["way"] in WAYS and chosen["language"] in LANGUAGES
    if not (is_known and purposes and chosen["text"]):
        raise FormIncomplete(_INCOMPLETE)
    try:
        given_at = datetime.fromisoformat(str(given["given_at"])) if given.get("given_at") else None
    except ValueError:
        raise FormIncomplete(_TIME_UNREADABLE) from None
    return {
        **chosen,
        "relation": chosen["relation"] or Relation.UNKNOWN.value,
        "purposes": purposes,
        "given_at": given_at.replace(tzinfo=given_at.tzinfo or zone).isoformat() if given_at else None,
    }


def add_consent_pages(web: FastAPI, pages: CityPages) -> None:
    """Adds the routes."""

    @web.get("/city/cases/{case_id}/consents", include_in_schema=False)
    async def show(request: Request, user: CurrentUser, case_id: UUID, acting: str = "") -> Response:
        return await _render(pages, request, user, case_id, acting)

    @web.post("/city/cases/{case_id}/consents", include_in_schema=False)
    async def record(request: Request, user: CurrentUser, case_id: UUID) -> Response:
        given = await request.form()
        try:
            body = read_consent(given, pages.city.zone)
        except FormIncomplete as problem:
            text = load_translations("simpul_desk")[page_language(request)].gettext(str(problem))
            refused = RefusedForm("consents", given, 422, text)
            return await _render(pages, request, user, case_id, str(given.get("acting", "")), refused)
        return await _change(pages, request, user, case_id, "consents", body)

    @web.post("/city/cases/{case_id}/consent-withdrawals", include_in_schema=False)
    async def withdraw(request: Request, user: CurrentUser, case_id: UUID) -> Response:
        given = await request.form()
        body = {"purposes": [str(one) for one in given.getlist("purposes")], "reason": str(given.get("reason", ""))}
        return await _change(pages, request, user, case_id, "consent-withdrawals", body)


async def _change(
    pages: CityPages, request: Request, user: User, case_id: UUID, path: str, body: Mapping[str, Any]
) -> Response:
    """Records or withdraws consents at routing; shows the page again with what was typed if routing refuses."""
    given = await request.form()
    acting = str(given.get("acting", ""))
    if user.is_excluded(case_id):
        raise HTTPException(404)
    try:
        await pages.routing.call(
            actor_of(user, acting), "POST", f"/cases/{case_id}/{path}", body=body, version=str(given.get("version", ""))
        )
    except ServiceRefused as refusal:
        if refusal.is_unknown:
            raise
        refused = RefusedForm(path, given, refusal.status, refusal.messages[page_language(request)])
        return await _render(pages, request, user, case_id, acting, refused)
    return RedirectResponse(address_of_case(case_id, acting, "/consents"), 303)


async def _render(
    pages: CityPages, request: Request, user: User, case_id: UUID, acting: str, refused: RefusedForm | None = None
) -> Response:
    actor = actor_of(user, acting)
    if user.is_excluded(case_id) or actor.role not in MAY_RECORD_CONSENT:
        raise HTTPException(404)
    case, consents, givers, texts = await asyncio.gather(
        pages.read(user, f"/cases/{case_id}", acting),
        pages.routing.get(actor, f"/cases/{case_id}/consents"),
        pages.routing.get(actor, f"/cases/{case_id}/consent-givers"),
        pages.routing.get(actor, "/consent-texts"),
    )
    version, language = max(texts.content, default=""), page_language(request)
    refused_guardians = frozenset(givers.content["refused_guardians"])
    return pages.render(
        request,
        "city/consents.html",
        status=refused.status if refused else 200,
        case=case.content,
        version=case.version,
        consents=consents.content,
        needs_assent=givers.content["needs_assent"],
        guardians=[one for one in _GUARDIANS if one.value not in refused_guardians],
        refused_guardians=[one.label(language) for one in _GUARDIANS if one.value in refused_guardians],
        text=version,
        words=texts.content.get(version, {}),
        acting=acting,
        refused=refused,
        Relation=Relation,
        givers=GIVERS,
        ways=WAYS,
        languages=LANGUAGES,
    )
