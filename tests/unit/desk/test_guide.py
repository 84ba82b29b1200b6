"""The guide asks at most six questions, and what it says about the law is what the agreement decides."""

import re
from datetime import date
from functools import cache
from pathlib import Path
from uuid import UUID

import pytest
from fastapi import FastAPI

import simpul_desk
from simpul_agreement.engine import Engines
from simpul_city import CityInvalid
from simpul_desk.access import Role, User
from simpul_desk.access.web import SESSION_COOKIE
from simpul_desk.guide.questions import Guide, Question, read_guide, rule_on
from simpul_desk.guide.routes import GuidePages, add_guide
from simpul_runtime.database import utc_now
from simpul_schema.vocabulary import Urgency
from tests.conftest import KEDIRI
from tests.support.agreements import CITY, kediri, signed_city
from tests.support.asgi_browser import AsgiBrowser

TEMPLATES = Path(simpul_desk.__file__).parent / "templates"
TODAY = date(2026, 11, 27)
DANGER, INJURED, SEXUAL, SUICIDAL, LIVES_WITH, MEDIATION = range(6)


@cache
def guide() -> Guide:
    found = read_guide(KEDIRI)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("question", "urgency", "clauses"),
    [
        (DANGER, Urgency.HIGH, {"URG-H1", "CON-H"}),
        (INJURED, Urgency.HIGH, {"URG-H5"}),
        (SEXUAL, Urgency.HIGH, {"URG-H4", "LAW-13", "LAW-2", "LAW-3"}),
        (SUICIDAL, Urgency.HIGH, {"URG-H2"}),
        (LIVES_WITH, Urgency.MEDIUM, {"URG-M5"}),
        (MEDIATION, Urgency.MEDIUM, {"URG-M1", "LAW-3"}),
    ],
)
def test_a_yes_leads_to_what_the_agreement_decides(question: int, urgency: Urgency, clauses: set[str]) -> None:
    ruling = rule_on(guide().questions[question], Engines(kediri()), TODAY)

    assert ruling.urgency is urgency
    assert clauses <= {clause.id for clause in ruling.clauses}


def test_pressure_to_settle_leads_to_the_clause_that_forbids_it() -> None:
    ruling = rule_on(guide().questions[MEDIATION], Engines(kediri()), TODAY)

    assert any(clause.id.startswith("MED") for clause in ruling.clauses), [one.id for one in ruling.clauses]


@pytest.mark.parametrize("question", guide().questions, ids=lambda one: one.question.en)
def test_a_yes_claims_sexual_violence_only_where_the_question_names_it(question: Question) -> None:
    is_named = "seksual" in question.question.id and "sexual" in question.question.en

    assert is_named == ("sexual" in question.facts.get("violence", ""))


def test_the_questions_come_in_the_order_of_urgency() -> None:
    engines = Engines(kediri())
    order = [rule_on(one, engines, TODAY).urgency for one in (*guide().questions, guide().otherwise)]

    assert [found for found in order if found] == sorted((found for found in order if found), key=list(Urgency).index)


def test_a_city_without_a_guide_has_none(tmp_path: Path) -> None:
    assert read_guide(tmp_path) is None


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        ("otherwise: {facts: {}, steps: [{id: a, en: b}]}\nquestions: []", "questions"),
        ("questions: [{question: {id: a, en: b}, facts: {hair: red}, steps: [{id: a, en: b}]}]", "hair"),
    ],
)
def test_a_wrong_guide_is_refused_by_the_name_of_its_field(tmp_path: Path, broken: str, problem: str) -> None:
    (tmp_path / "guide.yaml").write_text(broken)

    with pytest.raises(CityInvalid, match=problem):
        read_guide(tmp_path)


def test_a_link_with_the_role_of_a_button_reacts_to_the_space_key() -> None:
    links = [
        link
        for template in TEMPLATES.rglob("*.html")
        for link in re.findall(r'<a [^>]*role="button"[^>]*>', template.read_text())
    ]

    assert links
    assert [link for link in links if 'data-module="govuk-button"' not in link] == []


async def test_the_kept_page_names_no_person_and_the_script_lists_all_it_needs(tmp_path: Path) -> None:
    versions, _, _ = signed_city(tmp_path, utc_now())
    person = User(UUID(int=1), "Wiji Rekaan", "id", memberships={"ylpa": Role.RESPONDER}, city_roles={})

    async def find_user(*_: object) -> User:
        return person

    web = FastAPI()
    web.state.find_user = find_user
    add_guide(web, GuidePages(guide(), CITY, versions))
    browser = AsgiBrowser(web, cookies={SESSION_COOKIE: "secret"})

    page, kept, script = [await browser.get(f"/guide{path}") for path in ("", "/offline?lang=en", "/worker.js")]

    assert [one.status for one in (page, kept, script)] == [200, 200, 200]
    assert "UU 12/2022" in page.shown_text
    assert page.text.count('id="question-') == len(guide().questions)
    assert "/account" not in kept.text
    assert kept.header("set-cookie") == ""
    assert script.header("content-security-policy") == "default-src 'none'; connect-src 'self'"
    assert script.header("service-worker-allowed") == "/guide"
    needed = set(re.findall(r'(?:href|src)="(/static/[^"]+)"', kept.text))
    assert needed
    assert all(f'"{address}"' in script.text for address in {"/guide/offline?lang=en", *needed})
