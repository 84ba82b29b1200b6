"""The public form: two languages, no JavaScript, small enough for a cheap phone."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any
from uuid import uuid4

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import ValidationError

from simpul_intake.api import IdentityIn, NarrativeIn, ReportIn
from simpul_intake.errors import ReportIdReused
from simpul_intake.texts import TEXTS
from simpul_intake.use_cases import TakeReports
from simpul_runtime.city import City
from simpul_runtime.database import utc_now
from simpul_runtime.web import in_plain_words
from simpul_schema.vocabulary import Answer, Channel, Place, Relation, Reporter, Sex, Violence

_IDENTITY = tuple(IdentityIn.model_fields)
_NARRATIVE = tuple(NarrativeIn.model_fields)
_LANGUAGES = ("id", "en")


def add_pages(web: FastAPI, take_reports: TakeReports, city: City) -> None:
    """The routes of the form."""
    templates = Environment(loader=PackageLoader("simpul_intake"), autoescape=True, undefined=StrictUndefined)

    def page(name: str, language: str, status: int = 200, **values: Any) -> HTMLResponse:
        shown = templates.get_template(name).render(
            language=language, t=TEXTS[language], city=city, Violence=Violence, Place=Place, Relation=Relation,
            Reporter=Reporter, Sex=Sex, Answer=Answer, **values,
        )  # fmt: skip
        return HTMLResponse(shown, status)

    @web.get("/", include_in_schema=False)
    async def start() -> RedirectResponse:
        return RedirectResponse("/lapor")

    @web.get("/lapor", response_class=HTMLResponse, tags=["public form"], summary="The public form")
    async def form(lang: str = "id") -> HTMLResponse:
        return page("form.html", _known(lang), given={"report_id": str(uuid4())}, violence=[], problems={})

    @web.post("/lapor", response_class=HTMLResponse, tags=["public form"], summary="Send the public form")
    async def send(request: Request) -> HTMLResponse:
        fields = await request.form(max_fields=60, max_files=0)
        language = _known(str(fields.get("lang", "id")))
        given = {name: str(value) for name, value in fields.items() if isinstance(value, str)}
        violence = [str(value) for value in fields.getlist("violence")]
        try:
            report = ReportIn.model_validate(_as_report(given, violence)).to_report(utc_now())
            receipt = await take_reports.take(report)
        except ValidationError as error:
            problems = {str(p["loc"][-1]): in_plain_words(p, language) for p in error.errors(include_input=False)}
            if any(problem["loc"][0] == "violence" for problem in error.errors(include_input=False)):
                problems["violence"] = TEXTS[language]["choose_one"]
            return page("form.html", language, 422, given=given, violence=violence, problems=problems)
        except ReportIdReused:
            # The form was changed after it had been sent: what is on the screen now is a report of its own.
            given["report_id"] = str(uuid4())
            problems = {"report_id": TEXTS[language]["already_sent"]}
            return page("form.html", language, 409, given=given, violence=violence, problems=problems)
        return page("receipt.html", language, 200, receipt=receipt)

    @web.get("/style.css", include_in_schema=False)
    async def style() -> HTMLResponse:
        css = (files("simpul_intake") / "templates" / "style.css").read_text()
        return HTMLResponse(css, media_type="text/css")


def _known(language: str) -> str:
    return language if language in _LANGUAGES else "id"


def _as_report(given: Mapping[str, str], violence: list[str]) -> dict[str, Any]:
    """The fields as the API wants them; an empty field is one that was left out."""
    names = set(ReportIn.model_fields) - {"identity", "narrative", "violence", "received_at", "excluded_agencies"}
    report: dict[str, Any] = {name: given[name] for name in names if given.get(name)}
    report["violence"] = violence
    report["identity"] = {name: given.get(name, "") for name in _IDENTITY}
    report["narrative"] = {name: given.get(name, "") for name in _NARRATIVE}
    return {"channel": Channel.WEB_FORM.value, **report}
