"""The pages of the guide, and the script that keeps them for when the line is down."""

import json
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from simpul_agreement import AgreementMissing, Versions
from simpul_agreement.phrases import clause_sentence, describe_source
from simpul_city import City
from simpul_desk.access import CurrentUser
from simpul_desk.assets import asset_url, read_assets
from simpul_desk.guide.questions import Advice, Guide, Ruling, rule_on
from simpul_desk.rendering import page_language, render
from simpul_runtime.database import utc_now
from simpul_schema.translations import LANGUAGES

OFFLINE: str = "/guide/offline"
WORKER: str = "/guide/worker.js"


@dataclass(frozen=True)
class GuidePages:
    """Renders the guide of a city."""

    guide: Guide | None
    city: City
    versions: Versions

    def render(self, request: Request, template: str) -> Response:
        """Renders all questions and all advice on one page, so that it needs no further request."""
        if self.guide is None:
            raise HTTPException(404)
        language = page_language(request)
        return render(
            request,
            template,
            guide=self.guide,
            numbers=self.city.emergency_numbers,
            ruling_on=lambda advice: self._describe(advice, language),
            keeps_language=template != "guide/offline.html",
        )

    def _describe(self, advice: Advice, language: str) -> dict[str, Any]:
        """Describes what the agreement in force decides; nothing while none is in force."""
        now = utc_now()
        try:
            engines = self.versions.active(now)
        except AgreementMissing:
            return {"urgency": None, "clauses": []}
        ruling: Ruling = rule_on(advice, engines, now.astimezone(self.city.zone).date())
        clauses = [
            (one.id, clause_sentence(one, engines.agreement, language), describe_source(one.source, language))
            for one in ruling.clauses
        ]
        return {"urgency": ruling.urgency, "clauses": clauses}


def add_guide(web: FastAPI, pages: GuidePages) -> None:
    """Adds the routes."""

    @web.get("/guide", include_in_schema=False)
    async def guide(request: Request, user: CurrentUser) -> Response:
        return pages.render(request, "guide/guide.html")

    @web.get(OFFLINE, include_in_schema=False)
    async def offline(request: Request, user: CurrentUser) -> Response:
        return pages.render(request, "guide/offline.html")

    @web.get(WORKER, include_in_schema=False)
    async def worker(user: CurrentUser) -> Response:
        if pages.guide is None:
            raise HTTPException(404)
        script = read_assets()["guide-worker.js"].content.decode()
        shown = [f"{OFFLINE}?lang={language}" for language in LANGUAGES]
        files = ("history.js", "desk.css", "desk.js", "govuk-frontend.min.js", "simpul.svg")
        kept = [*shown, *map(asset_url, files)]
        # The list is part of the script, so that a browser takes a new one when a file has changed.
        return Response(
            f"const KEPT = {json.dumps(kept)};\n{script}",
            media_type="text/javascript; charset=utf-8",
            headers={
                "cache-control": "no-cache",
                # The script lies below the page that it answers for, and loads what it keeps.
                "service-worker-allowed": "/guide",
                "content-security-policy": "default-src 'none'; connect-src 'self'",
            },
        )
