"""What is kept from a coordinator is on none of the lists, and on neither side of a suspected duplicate."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI

from simpul_desk.access import Role, User
from simpul_desk.access.session import form_token_of
from simpul_desk.access.web import FORM_FIELD, SESSION_COOKIE
from simpul_desk.city_pages.pages import CityPages, leave_out
from simpul_desk.city_pages.routes import add_city_pages
from simpul_desk.live import LiveChannels
from simpul_desk.repository import BoardLine
from simpul_desk.service_api import ServiceRefused
from tests.support.agreements import CITY
from tests.support.asgi_browser import AsgiBrowser

SHOWN, HIDDEN, OTHER, OVERLAP, OF_OTHER = (UUID(int=number) for number in (2, 7, 8, 9, 10))
COORDINATOR = User(
    id=UUID(int=1),
    name="Wiji Rekaan",
    language="en",
    memberships={},
    city_roles={Role.COORDINATOR: "uptd-ppa"},
    excluded_cases=frozenset({HIDDEN}),
)

NOW = datetime(2026, 11, 27, 15, 0, tzinfo=UTC)
LATE = BoardLine(
    UUID(int=1), SHOWN, "ylpa", "high", NOW, None, alerts_sent=2, alerts_failed=1, late_since=NOW, late_step=200
)


@dataclass
class Routing:
    """Knows a case with two suspected duplicates, one of which is kept from the coordinator."""

    requested: list[str] = field(default_factory=list)
    called: list[str] = field(default_factory=list)
    without: list[tuple[str, str]] = field(default_factory=list)

    async def get(self, _: object, path: str, **query: Any) -> Any:
        self.requested.append(query.get("ids", ""))
        self.without.append((path, query.get("without", "")))
        overlaps = [
            {"overlap_id": str(OVERLAP), "case_id": str(HIDDEN)},
            {"overlap_id": str(OF_OTHER), "case_id": str(OTHER)},
        ]
        rows = [{"case_id": one} for one in query.get("ids", "").split(",")]
        return SimpleNamespace(content={"suspected_overlaps": overlaps, "cases": rows, "total": 1})

    async def call(self, _: object, method: str, path: str, **__: object) -> None:
        self.called.append(f"{method} {path}")


def the_pages(routing: Any) -> CityPages:
    service: Any = SimpleNamespace(engine=None)
    return CityPages(service, CITY, LiveChannels(), routing)


def test_rows_about_a_hidden_case_or_its_duplicate_are_left_out() -> None:
    rows = [
        {"case_id": str(SHOWN)},
        {"case_id": str(HIDDEN)},
        {"case_id": str(SHOWN), "other_case_id": str(HIDDEN)},
        {"case_id": str(HIDDEN), "other_case_id": str(SHOWN)},
        {"case_id": str(SHOWN), "other_case_id": str(OTHER)},
    ]

    assert leave_out(COORDINATOR, rows) == [rows[0], rows[4]]


async def test_the_board_requests_no_hidden_case(monkeypatch: pytest.MonkeyPatch) -> None:
    async def load(*_: object) -> list[BoardLine]:
        return [LATE, replace(LATE, case_id=HIDDEN)]

    monkeypatch.setattr("simpul_desk.repository.load_board", load)
    routing = Routing()

    cases = await the_pages(routing).load_board(COORDINATOR.act_as(Role.COORDINATOR), COORDINATOR.excluded_cases)

    assert [case.case_id for case in cases] == [SHOWN]
    assert routing.requested == [str(SHOWN)]


class CrowdedRouting(Routing):
    """Knows 1,259 cases, of which it shows those that are named."""

    async def get(self, _: object, path: str, **query: Any) -> Any:
        rows = [CASE for one in query.get("ids", "").split(",") if one]
        return SimpleNamespace(content={"cases": rows, "total": 1259})


async def test_a_board_that_is_cut_says_how_many_cases_there_are_and_where(monkeypatch: pytest.MonkeyPatch) -> None:
    async def load(*_: object) -> list[BoardLine]:
        return [LATE]

    async def find_user(*_: object) -> User:
        return COORDINATOR

    monkeypatch.setattr("simpul_desk.repository.load_board", load)
    web = FastAPI()
    web.state.find_user = find_user
    add_city_pages(web, the_pages(CrowdedRouting()))

    page = await AsgiBrowser(web, cookies={SESSION_COOKIE: "secret"}).get("/city")

    assert "The first 1 of 1259 cases are shown." in page.shown_text
    assert page.text.count('href="/city/cases"') == 2


async def test_no_total_counts_a_hidden_case() -> None:
    routing = Routing()

    await the_pages(routing).count_lists(COORDINATOR)
    await the_pages(routing).read(COORDINATOR, f"/cases/{SHOWN}")

    assert [path for path, _ in routing.without] == [
        "/cases",
        "/triage",
        "/service-plans",
        "/suspected-overlaps",
        "/suggested-exclusions",
        f"/cases/{SHOWN}",
    ]
    assert {without for _, without in routing.without} == {str(HIDDEN)}


@pytest.mark.parametrize(
    ("overlap", "fields", "status"),
    [
        (OVERLAP, {"decision": "merge", "into": str(HIDDEN)}, 404),
        (OVERLAP, {"decision": "dismiss"}, 404),
        (OF_OTHER, {"decision": "merge", "into": HIDDEN.hex}, 404),
        (OF_OTHER, {"decision": "merge", "into": str(OTHER)}, 303),
        (OF_OTHER, {"decision": "dismiss"}, 303),
    ],
)
async def test_a_duplicate_is_settled_by_who_may_know_of_both_cases(
    overlap: UUID, fields: Mapping[str, str], status: int
) -> None:
    async def find_user(*_: object) -> User:
        return COORDINATOR

    web, routing = FastAPI(), Routing()
    web.state.find_user = find_user
    add_city_pages(web, the_pages(routing))
    browser = AsgiBrowser(web, cookies={SESSION_COOKIE: "secret"})

    page = await browser.post(
        f"/city/cases/{SHOWN}/overlaps/{overlap}", {**fields, FORM_FIELD: form_token_of("secret")}
    )

    assert page.status == status
    assert bool(routing.called) == (status == 303)


CASE = {
    "case_id": str(SHOWN),
    "reference": "K-0000-0002",
    "urgency": "high",
    "state": "assessment",
    "rights": {},
    "decided_at": "2026-11-27T01:00:00+00:00",
    "mediation_locked": False,
    "service_plan": None,
    "referrals": [],
    "suspected_overlaps": [],
    "ended_as": None,
    "ended_at": None,
    "merged_into": None,
    "transfers": [],
    "facts": None,
    "suggested_exclusions": [{"agency": "rs-rujukan", "agency_name": "Rumah sakit", "state": "pending"}],
}


NOTES = [
    {
        "agency_name": "Rumah sakit",
        "about": "medical",
        "written_at": "2026-11-27T01:00:00+00:00",
        "text": "A bruise <b>on</b> the arm.",
    }
]


class RefusingRouting(Routing):
    """Refuses every change, because the case changed meanwhile."""

    async def get(self, _: object, path: str, **__: Any) -> Any:
        return SimpleNamespace(
            content=NOTES if path.endswith("notes") else [] if path.endswith("timeline") else CASE, version='"2"'
        )

    async def call(self, *_: object, **__: object) -> None:
        raise ServiceRefused(
            412, {"code": "case_changed", "messages": {"en": "The case changed.", "id": "Kasus berubah."}}
        )


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("exclusions/rs-rujukan", {"decision": "confirmed"}),
        ("offer", {"service": "shelter", "agency": "ylpa"}),
        ("close", {"end": "closed"}),
        ("exclusions", {"agency": "ylpa"}),
    ],
)
async def test_no_typed_word_is_lost_when_routing_refuses_a_form(path: str, fields: Mapping[str, str]) -> None:
    async def find_user(*_: object) -> User:
        return COORDINATOR

    web = FastAPI()
    web.state.find_user = find_user
    add_city_pages(web, the_pages(RefusingRouting()))
    browser = AsgiBrowser(web, cookies={SESSION_COOKIE: "secret"})
    given = {"version": '"1"', "reason": "Pamannya bekerja di sana.", FORM_FIELD: form_token_of("secret"), **fields}

    page = await browser.post(f"/city/cases/{SHOWN}/{path}", given)

    assert page.status == 412
    assert "The case changed." in page.shown_text
    assert 'value="Pamannya bekerja di sana."' in page.text
    assert all(f'value="{value}"' in page.text for value in fields.values())
    assert page.text.count(" selected>") == {"offer": 2, "exclusions": 1}.get(path, 0)
    assert ('id="end-closed" checked' in page.text) is (path == "close")
    # Sent again, it is about the case as it is now.
    assert page.text.count('name="version" value="&#34;2&#34;"') == 6


SERVICE = {"service": "medical_care", "reroute_count": 0, "offered_at": "2026-11-27T01:00:00+00:00"}
REFERRAL = {"referral_id": str(OTHER), "code": "R-7K3Q2M", "answer_by": "2026-11-27T02:00:00+00:00"}


class KnowingRouting(RefusingRouting):
    """Shows what happened to the child, and three agencies: one has completed, one acts, one was passed over."""

    async def get(self, _: object, path: str, **__: Any) -> Any:
        answer = await super().get(_, path)
        if answer.content is CASE:
            states = {"polres-ppa": "completed", "ylpa": "accepted", "rs-rujukan": "rerouted"}
            referrals = [
                REFERRAL
                | {
                    "referral_id": agency,
                    "agency": agency,
                    "agency_name": agency.upper(),
                    "services": [
                        SERVICE
                        | {
                            "state": state,
                            "ended_at": None if state == "accepted" else "2026-11-27T03:00:00Z",
                            "service_id": agency,
                            "rerouted_from": None,
                        }
                    ],
                }
                for agency, state in states.items()
            ]
            facts = {"violence": ["sexual", "physical"], "age_band": "from_12_to_14", "safe_now": "no"}
            answer.content = CASE | {"facts": facts, "referrals": referrals}
        return answer


async def test_the_page_of_a_case_shows_what_a_decision_needs_and_whom_to_call() -> None:
    async def find_user(*_: object) -> User:
        return COORDINATOR

    web = FastAPI()
    web.state.find_user = find_user
    add_city_pages(web, the_pages(KnowingRouting()))
    browser = AsgiBrowser(web, cookies={SESSION_COOKIE: "secret"})

    page = await browser.get(f"/city/cases/{SHOWN}")

    assert "Sexual, Physical" in page.shown_text
    assert "12-14 years" in page.shown_text
    assert 'href="tel:110"' in page.text
    assert "no telephone on file" in page.shown_text
    # A letter can be printed after the last service too, but not of what another agency took over.
    assert [code in page.text for code in ("letters/polres-ppa", "letters/ylpa", "letters/rs-rujukan")] == [
        True,
        True,
        False,
    ]


class RecordingRouting(RefusingRouting):
    """Takes a change, or refuses it."""

    is_refusing = False

    def __init__(self) -> None:
        super().__init__()
        self.bodies: list[Any] = []

    async def call(self, *given: object, **named: object) -> None:
        self.bodies.append((*given[1:], named["body"]))
        if self.is_refusing:
            await super().call()


@pytest.mark.parametrize("is_refusing", [False, True])
async def test_a_question_to_the_reporting_person_is_sent_and_kept_when_it_is_refused(is_refusing: bool) -> None:
    async def find_user(*_: object) -> User:
        return COORDINATOR

    web, routing, question = FastAPI(), RecordingRouting(), "Is <he> at home?"
    web.state.find_user, routing.is_refusing = find_user, is_refusing
    add_city_pages(web, the_pages(routing))
    browser = AsgiBrowser(web, cookies={SESSION_COOKIE: "secret"})
    given = {"version": '"1"', "question": question, FORM_FIELD: form_token_of("secret")}

    page = await browser.post(f"/city/cases/{SHOWN}/questions", given)

    assert routing.bodies == [("POST", f"/cases/{SHOWN}/questions", {"question": question})]
    assert page.status == (412 if is_refusing else 303)
    assert ("Is &lt;he&gt; at home?</textarea>" in page.text) is is_refusing


class WarningRouting(RefusingRouting):
    """Says that the centre that filed the report may be too close to the suspect."""

    async def get(self, _: object, path: str, **__: Any) -> Any:
        found = await super().get(_, path)
        warned = CASE | {"is_reporter_cut_off": True}
        return SimpleNamespace(**vars(found) | {"content": warned}) if found.content is CASE else found


@pytest.mark.parametrize("routing", [WarningRouting(), RefusingRouting()])
async def test_a_case_manager_is_warned_where_questions_do_not_reach_the_reporting_person(
    routing: RefusingRouting,
) -> None:
    async def find_user(*_: object) -> User:
        return COORDINATOR

    web = FastAPI()
    web.state.find_user = find_user
    add_city_pages(web, the_pages(routing))

    page = await AsgiBrowser(web, cookies={SESSION_COOKIE: "secret"}).get(f"/city/cases/{SHOWN}")

    is_warned = "Use the safe contact in the dossier." in page.shown_text
    assert is_warned is isinstance(routing, WarningRouting)


async def test_a_coordinator_reads_what_agencies_noted() -> None:
    async def find_user(*_: object) -> User:
        return COORDINATOR

    web = FastAPI()
    web.state.find_user = find_user
    add_city_pages(web, the_pages(RefusingRouting()))

    page = await AsgiBrowser(web, cookies={SESSION_COOKIE: "secret"}).get(f"/city/cases/{SHOWN}")

    assert page.status == 200
    assert "A bruise <b>on</b> the arm." in page.shown_text
    # Whoever decides about an exclusion learns what its delay withholds.
    assert "the dossier is withheld from them: one that already helps keeps what it has" in page.shown_text
    assert "<b>on</b>" not in page.text


class AgreeingRouting(RefusingRouting):
    """Makes every change, and knows why rights stand where they do."""

    async def get(self, _: object, path: str, **__: Any) -> Any:
        found = await super().get(_, path)
        rights = {
            "accompaniment": {"state": "unanswered", "reason": "", "left_out": ["legal_aid"]},
            "restitution": {"state": "not_applicable", "reason": "agreement", "left_out": []},
        }
        return SimpleNamespace(**vars(found) | {"content": CASE | {"rights": rights}}) if path.endswith("2") else found

    async def call(self, *_: object, **__: object) -> None:
        return


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("plan", "The plan is confirmed. The agencies receive their services now."),
        ("questions", "The question was sent."),
        ("offer", "The service was offered to the agency."),
        ("exclusions/rs-rujukan", "Your decision about the agency was recorded."),
        ("exclusions", "Your decision about the agency was recorded."),
        ("close", "The case is closed."),
        ("reopen", "The case is open again."),
    ],
)
async def test_whoever_decides_reads_that_it_was_done(form: str, text: str) -> None:
    browser = browser_at(AgreeingRouting())

    answer = await browser.post(f"/city/cases/{SHOWN}/{form}", {"version": "1", FORM_FIELD: form_token_of("secret")})

    assert answer.status == 303
    assert text in (await browser.get(dict(answer.headers)["location"])).shown_text
    assert "notification-banner" not in (await browser.get(f"/city/cases/{SHOWN}?done=unknown")).text


async def test_a_right_shows_why_it_stands_there_and_what_was_left_out() -> None:
    page = await browser_at(AgreeingRouting()).get(f"/city/cases/{SHOWN}")

    assert "as a clause of the agreement says" in page.shown_text
    assert "Left out of the plan: Legal aid. Why stands under What happened." in page.shown_text


def browser_at(routing: Any) -> AsgiBrowser:
    async def find_user(*_: object) -> User:
        return COORDINATOR

    web = FastAPI()
    web.state.find_user = find_user
    add_city_pages(web, the_pages(routing))
    return AsgiBrowser(web, cookies={SESSION_COOKIE: "secret"})


@pytest.mark.parametrize(
    ("form", "fields"),
    [
        ("close", {"end": "transferred", "reason": "Diambil alih"}),
        ("reopen", {"reason": "Lapor lagi"}),
        ("exclusions", {"agency": "ylpa", "reason": "Pamannya bekerja di sana"}),
    ],
)
async def test_a_decision_about_a_case_reaches_routing_as_the_person_wrote_it(
    form: str, fields: Mapping[str, str]
) -> None:
    routing = RecordingRouting()

    given = {"version": '"1"', FORM_FIELD: form_token_of("secret"), **fields}
    page = await browser_at(routing).post(f"/city/cases/{SHOWN}/{form}", given)

    assert page.status == 303
    assert routing.bodies == [("POST", f"/cases/{SHOWN}/{form}", fields)]


class EndedRouting(RefusingRouting):
    """Knows a case that somebody closed meanwhile."""

    def __init__(self, merged_into: str | None = None) -> None:
        super().__init__()
        self.case = CASE | {
            "state": "terminated",
            "ended_as": None if merged_into else "transferred",
            "ended_at": "2026-11-28T01:00:00+00:00",
            "merged_into": merged_into,
        }

    async def get(self, _: object, path: str, **__: Any) -> Any:
        found = await super().get(_, path)
        return SimpleNamespace(content=self.case, version='"3"') if found.content is CASE else found


@pytest.mark.parametrize(("merged_into", "may_reopen"), [(None, True), (str(OTHER), False)])
async def test_a_case_that_ended_can_only_be_reopened_unless_another_continues_it(
    merged_into: str | None, may_reopen: bool
) -> None:
    page = await browser_at(EndedRouting(merged_into)).get(f"/city/cases/{SHOWN}")

    assert (f'action="/city/cases/{SHOWN}/reopen"' in page.text) is may_reopen
    assert f'action="/city/cases/{SHOWN}/close"' not in page.text
    assert ("ended (transferred to another region)" in page.shown_text) is may_reopen


async def test_what_was_written_is_shown_where_its_form_is_gone() -> None:
    given = {"version": '"1"', "question": "Apakah ia di rumah?", FORM_FIELD: form_token_of("secret")}

    page = await browser_at(EndedRouting()).post(f"/city/cases/{SHOWN}/questions", given)

    assert page.status == 412
    assert "You had written: Apakah ia di rumah?" in page.shown_text


async def test_a_plan_shows_whose_agency_is_full_before_a_person_confirms_it() -> None:
    class PlanningRouting(AgreeingRouting):
        async def get(self, _: object, path: str, **__: Any) -> Any:
            found = await super().get(_, path)
            psychologist, legal_aid = (
                {"service": service, "agency_name": name, "role": "lead", "is_full": is_full, "reasons": []}
                for service, name, is_full in (("psychologist", "Rumah sakit", True), ("legal_aid", "LBH", False))
            )
            plan = {"confirm_by": "2026-11-30T01:00:00+00:00", "is_sent_at_deadline": True}
            if path.endswith("/service-plan"):
                return SimpleNamespace(content=plan | {"services": [psychologist, legal_aid]}, version='"2"')
            return SimpleNamespace(content=CASE | {"service_plan": plan}, version="2") if path[-1] == "2" else found

    page = await browser_at(PlanningRouting()).get(f"/city/cases/{SHOWN}")

    assert "Psychologist: Rumah sakit (full)" in page.shown_text
    assert "LBH (full)" not in page.shown_text
    assert "Legal aid: LBH" in page.shown_text


async def test_a_locked_mediation_cites_no_law_that_may_not_be_the_reason() -> None:
    class LockedRouting(AgreeingRouting):
        async def get(self, _: object, path: str, **__: Any) -> Any:
            found = await super().get(_, path)
            return SimpleNamespace(content=CASE | {"mediation_locked": True}, version="2") if path[-1] == "2" else found

    page = await browser_at(LockedRouting()).get(f"/city/cases/{SHOWN}")

    assert "This case must not be settled by mediation or a family agreement." in page.shown_text
    assert "UU 12/2022" not in page.text
