"""The page behind the link of a message: in the language of the person, and nothing about any case.

No JavaScript and no login, because it must work on any phone.
"""

from secrets import compare_digest
from typing import Final
from urllib.parse import parse_qs

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse

from simpul_notify.domain.answers import Answer
from simpul_notify.domain.links import LINK_LANGUAGES, challenge_of, language_of
from simpul_notify.domain.notifications import LINK_PATH
from simpul_notify.use_cases import RecordAnswers
from simpul_runtime.translations import page_templates

TEXT_PACKAGE: Final = "simpul_notify"
LANGUAGE_NAMES: Final = dict(zip(LINK_LANGUAGES, ("Bahasa Indonesia", "Basa Jawa", "English"), strict=True))
"""What each language calls itself."""


def add_pages(web: FastAPI, record_answers: RecordAnswers) -> None:
    """Adds the page by which a responder acknowledges a message.

    Opening it changes nothing and reads nothing, so a scanner of links learns not even whether a link is valid. Only a
    form with a number that a person has typed is an answer.
    """
    templates = page_templates(TEXT_PACKAGE, languages=LINK_LANGUAGES)

    def render(request: Request, token: str, state: str, status: int = 200) -> HTMLResponse:
        chosen = request.query_params.get("lang", "")
        page = templates[chosen if chosen in templates else language_of(token)].get_template("acknowledge.html")
        return HTMLResponse(page.render(state=state, challenge=challenge_of(token), names=LANGUAGE_NAMES), status)

    @web.api_route(f"{LINK_PATH}/{{token}}", methods=["GET", "HEAD"], include_in_schema=False)
    async def show(token: str, request: Request) -> HTMLResponse:
        return render(request, token, "open")

    @web.post(f"{LINK_PATH}/{{token}}", include_in_schema=False)
    async def acknowledge(token: str, request: Request) -> HTMLResponse:
        form = parse_qs((await request.body()).decode("ascii", errors="replace"))
        number, answer = (form.get(name, [""])[-1].strip() for name in ("number", "answer"))
        if answer not in list(Answer) or not compare_digest(number.encode(), challenge_of(token).encode()):
            return render(request, token, "mistyped", 400)
        if not await record_answers.answer_by_link(token, Answer(answer)):
            return render(request, token, "invalid", 404)
        return render(request, token, "recorded")
