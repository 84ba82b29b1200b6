"""The agreement for the people who work by it: versions, who has signed, what a new one changes, who serves what."""

import asyncio
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse
from starlette.exceptions import HTTPException

from simpul_agreement import AgreementInvalid, Versions, digest_of
from simpul_agreement.compare import Comparison
from simpul_agreement.document.annexes import Annex, services_annex
from simpul_agreement.document.articles import read_parts
from simpul_agreement.document.contents import Form
from simpul_agreement.document.dates import format_day
from simpul_agreement.document.page import write_page
from simpul_agreement.examples import read_situations
from simpul_agreement.languages import format_count
from simpul_agreement.model import Agreement
from simpul_agreement.phrases import describe_topic
from simpul_agreement.versions import KnownVersion, State, signatories
from simpul_city import City
from simpul_desk.access import CurrentUser
from simpul_desk.rendering import page_language, render
from simpul_runtime.database import utc_now
from simpul_schema.translations import gettext_noop

AGREEMENTS: Final = "/agreements"
MAX_CHANGES: Final = 100
"""Changed answers and scenarios of each kind on a page; a larger change is read in the two documents."""
_STATES: Final[Mapping[State, str]] = {
    State.DRAFT: gettext_noop("Draft: it is not proven that it answers every situation"),
    State.PROVEN: gettext_noop("Proven; it waits for signatures"),
    State.INTERIM: gettext_noop("In force for the time being, signed by the coordinating agency alone"),
    State.SIGNED: gettext_noop("Signed by everybody; it is not in force yet"),
    State.ACTIVE: gettext_noop("In force"),
}
_INVALID: Final = gettext_noop("Its text cannot be read")
_REPLACED: Final = gettext_noop("Replaced by a newer version; cases that it decided keep it")


@dataclass(frozen=True)
class Changes:
    """What a version would change, in the reader's language."""

    answers: Sequence[Mapping[str, str]]
    answer_count: int
    others: Sequence[str]
    """Changes of parties, hours, holidays and validity."""
    scenarios: Sequence[tuple[str, Sequence[str]]]
    """Title of an example, and what differs in it."""
    scenario_count: int
    scenario_total: int


@dataclass(frozen=True)
class AgreementPages:
    """Renders the versions of a city's agreement."""

    versions: Versions
    city: City
    _changes: dict[tuple[str, str, str], Changes] = field(default_factory=dict)
    """Digests of two texts and a language -> the comparison, which takes a second."""

    def list_versions(self) -> list[KnownVersion]:
        """Lists the versions, the newest first."""
        return self.versions.list_known(utc_now())

    def list_signatories(self, version: KnownVersion) -> list[tuple[str, bool]]:
        """Lists the parties that must sign, and whether each has; nothing for a text that cannot be read."""
        if version.agreement is None or version.standing is None:
            return []
        names = {agency.code: agency.name for agency in self.city.agencies}
        codes = signatories(version.agreement, self.city)
        is_draft = version.standing.state is State.DRAFT
        return [(names[code], not is_draft and code not in version.standing.unsigned_by) for code in codes]

    def find_services(self, version: KnownVersion, language: str) -> Annex | None:
        """Finds who serves what, with the provisions that say so; None where the text of the document is missing."""
        if version.agreement is None:
            return None
        try:
            _, numbering = read_parts(version.folder, version.agreement, self.city, language, Form.AGREEMENT)
        except AgreementInvalid:
            return None
        return services_annex(version.agreement, numbering, language)

    def write_text(self, version: str, language: str) -> str:
        """Returns the document that the parties sign as a page; empty where there is none.

        Reads files.
        """
        known = next((one for one in self.list_versions() if one.folder.name == version), None)
        if known is None or known.agreement is None:
            return ""
        try:
            return write_page(known.folder, known.agreement, self.city, language)
        except AgreementInvalid:
            return ""

    def find_changes(self, old: KnownVersion | None, new: KnownVersion, language: str) -> Changes | None:
        """Compares a version with the one that decides; None where there is nothing to compare, or a text is invalid.

        Reads files, and takes a second the first time.
        """
        if new.decides or old is None or old.agreement is None or new.agreement is None:
            return None
        key = (digest_of(old.folder), digest_of(new.folder), language)
        if key not in self._changes:
            scenarios = read_situations(new.folder, self.city)
            self._changes[key] = _compare(old.agreement, new.agreement, scenarios, language)
        return self._changes[key]


def _compare(old: Agreement, new: Agreement, scenarios: Sequence[Any], language: str) -> Changes:
    comparison = Comparison(old, new, language)
    answers = [
        {
            "topic": describe_topic(one.topic, language),
            "situations": format_count(one.situations, language),
            "where": one.where,
            "before": one.before,
            "after": one.after,
        }
        for one in comparison.changed_answers()
    ]
    differing = list(comparison.changed_referrals(scenarios))
    return Changes(
        answers[:MAX_CHANGES],
        len(answers),
        list(comparison.other_changes()),
        differing[:MAX_CHANGES],
        len(differing),
        len(scenarios),
    )


def _allow_own_style(page: str) -> str:
    """Returns the policy of a page that loads nothing and has one style sheet in it."""
    style = page.partition("<style>")[2].partition("</style>")[0]
    digest = b64encode(sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; frame-ancestors 'none'; base-uri 'none'"


def state_text(version: KnownVersion) -> str:
    """Returns the state of a version as a text of the catalogue."""
    if version.standing is None:
        return _INVALID
    if version.standing.state is State.ACTIVE and not version.decides:
        return _REPLACED
    return _STATES[version.standing.state]


def add_agreement_pages(web: FastAPI, pages: AgreementPages) -> None:
    """Adds the routes."""

    @web.get(AGREEMENTS, include_in_schema=False)
    async def agreements(request: Request, user: CurrentUser) -> Response:
        known = await asyncio.to_thread(pages.list_versions)
        return render(
            request,
            "city/agreements.html",
            versions=known,
            state_text=state_text,
            format_day=format_day,
            language=page_language(request),
        )

    @web.get(f"{AGREEMENTS}/{{version}}/text", include_in_schema=False)
    async def text(request: Request, user: CurrentUser, version: str) -> Response:
        page = await asyncio.to_thread(pages.write_text, version, page_language(request))
        if not page:
            raise HTTPException(404)
        return HTMLResponse(page, headers={"content-security-policy": _allow_own_style(page)})

    @web.get(f"{AGREEMENTS}/{{version}}", include_in_schema=False)
    async def agreement(request: Request, user: CurrentUser, version: str) -> Response:
        language = page_language(request)
        known = await asyncio.to_thread(pages.list_versions)
        shown = next((one for one in known if one.folder.name == version), None)
        if shown is None:
            raise HTTPException(404)
        deciding = next((one for one in known if one.decides), None)
        changes = await asyncio.to_thread(pages.find_changes, deciding, shown, language)
        services = await asyncio.to_thread(pages.find_services, shown, language)
        return render(
            request,
            "city/agreement.html",
            version=shown,
            deciding=deciding,
            changes=changes,
            services=services,
            signatories=pages.list_signatories(shown),
            state_text=state_text,
            format_day=format_day,
            language=language,
        )
