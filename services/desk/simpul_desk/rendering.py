"""Renders the desk's pages: in the reader's language, with forms that only this site can send, and no inline code."""

import secrets
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from simpul_desk.access.user import AGENCY_ROLES, SEE_CASES, Role, User
from simpul_desk.access.web import FORM_FIELD, GUEST_COOKIE, form_token
from simpul_desk.assets import asset_url
from simpul_runtime.languages import language_of
from simpul_runtime.translations import page_templates
from simpul_schema.translations import LANGUAGES, gettext_noop

_SECURITY_HEADERS: Final = {
    "content-security-policy": "default-src 'none'; connect-src 'self'; font-src 'self'; img-src 'self'; "
    "manifest-src 'self'; script-src 'self'; style-src 'self'; worker-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
"""In addition to those of every service."""
_NAVIGATION: Final[tuple[tuple[str, str, frozenset[Role]], ...]] = (
    ("/city", gettext_noop("City board"), frozenset({Role.COORDINATOR})),
    ("/work", gettext_noop("My work"), AGENCY_ROLES),
    ("/report", gettext_noop("New report"), AGENCY_ROLES),
    ("/team", gettext_noop("My team"), frozenset({Role.AGENCY_LEAD})),
    ("/roster", gettext_noop("Duty rosters"), frozenset({Role.AGENCY_LEAD, Role.COORDINATOR})),
    ("/capacity", gettext_noop("Capacity"), frozenset({Role.AGENCY_LEAD, Role.COORDINATOR})),
    ("/agreements", gettext_noop("Agreement"), frozenset({Role.COORDINATOR, Role.AGENCY_LEAD})),
    ("/audit", gettext_noop("Who did what"), frozenset({Role.AUDITOR})),
    ("/doctor", gettext_noop("State of the system"), frozenset({Role.OPERATOR, Role.COORDINATOR})),
    ("/emergency", gettext_noop("Emergency access"), SEE_CASES),
    ("/members", gettext_noop("Members"), frozenset({Role.AGENCY_LEAD, Role.COORDINATOR})),
    ("/account", gettext_noop("My account"), frozenset(Role)),
)
"""Address, text and roles of the entries of the menu."""


LANGUAGE_COOKIE: Final = "__Host-simpul-language"
"""The language that somebody chose at the foot of a page, until the browser is closed."""


def list_places(user: User) -> list[tuple[str, str]]:
    """Lists address and text of the entries of the menu that are for a person."""
    return [(address, text) for address, text, roles in _NAVIGATION if roles & user.roles]


def render(
    request: Request,
    template: str,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    keeps_language: bool = True,
    **values: Any,
) -> HTMLResponse:
    """Renders a template with `request`, `user`, `language` and the values.

    A language in the address is kept for later pages unless the page is not for a person to look at now.
    In a template `csrf_field()` is the hidden field that every form needs, and `form_token` its value for a script.
    """
    user: User | None = getattr(request.state, "user", None)
    guest_cookie = "" if user or request.cookies.get(GUEST_COOKIE) else secrets.token_urlsafe(32)
    if guest_cookie:
        request.state.guest_cookie = guest_cookie
    language = page_language(request)
    page = _templates()[language].get_template(template)
    shown = page.render(request=request, user=user, form_token=form_token(request), **values)
    response = HTMLResponse(shown, status, {**_SECURITY_HEADERS, **(headers or {})})
    cookies = {GUEST_COOKIE: guest_cookie, LANGUAGE_COOKIE: _chosen_language(request) if keeps_language else ""}
    for name, value in cookies.items():
        if value:
            response.set_cookie(name, value, secure=True, httponly=True, samesite="lax", path="/")
    return response


def page_language(request: Request) -> str:
    """Returns the language of a page: the one chosen at its foot, else of the person, else of the browser."""
    user: User | None = getattr(request.state, "user", None)
    chosen = _chosen_language(request) or request.cookies.get(LANGUAGE_COOKIE, "")
    if chosen in LANGUAGES:
        return chosen
    return user.language if user else language_of(request)


def _chosen_language(request: Request) -> str:
    wanted = request.query_params.get("lang", "")
    return wanted if wanted in LANGUAGES else ""


def _other_language(request: Request) -> str:
    """Returns the address of the same page in the other language; empty for the answer to a form, which has none."""
    if request.method not in ("GET", "HEAD"):
        return ""
    other = next(one for one in LANGUAGES if one != page_language(request))
    return "?" + str(request.url.include_query_params(lang=other).query)


@cache
def _templates() -> Mapping[str, Environment]:
    environments = page_templates("simpul_desk", "simpul_runtime")
    for environment in environments.values():
        environment.globals |= {
            "csrf_field": _csrf_field,
            "asset": asset_url,
            "navigation": list_places,
            "other_language": _other_language,
        }
    return environments


@pass_context
def _csrf_field(context: Context) -> Markup:
    return Markup('<input type="hidden" name="{}" value="{}">').format(FORM_FIELD, context["form_token"])
