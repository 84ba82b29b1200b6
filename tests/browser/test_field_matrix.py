"""A generated matrix of role, page, field and case: who reads what of which child, on every page, list and file.

The hospital accepted one case and is excluded from another. Every route of the desk that only reads is opened by a
person of each role, for both cases and for one that does not exist.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from fastapi.routing import APIRoute
from pydantic import SecretStr

from simpul_cli.keys import directory_file, key_file
from simpul_desk.access import CITY_ROLES, Role
from simpul_desk.app import build
from simpul_desk.settings import DeskSettings
from simpul_dev.local_city import LocalCity
from tests.browser.conftest import HOSPITAL
from tests.support.desk import SignedIn, run_aside, sign_in
from tests.support.ledger import eventually
from tests.support.reports import a_report

STRANGERS = "satgas-kel-bujel"
"""An agency that is addressed in neither case."""
FIELDS: Mapping[str, str] = {
    "name": "Semanggika Hujanlintang",
    "nik": "9900000000000003",
    "address": "Jalan Matriks 11",
    "narrative": "Tetangga mendengar tangisan",
}
Opened = tuple[str, str, str]
"""Role, page and case."""
OTHER_CHILD = {"child_name": "Purwacandra Lintangjati", "nik": "9900000000000002", "address": "Jalan Rekaan 9"}
DOSSIER_PAGE = "/work/{agency}/{referral_id}"


@dataclass(frozen=True)
class Case:
    """A case with its ids, as they stand in addresses."""

    reference: str
    case_id: str
    referral_id: str

    def fill(self, path: str) -> str:
        """Returns the address of a page about the case; what is about nothing else gets an id of nothing."""
        known = {"case_id": self.case_id, "referral_id": self.referral_id, "agency": HOSPITAL}
        return re.sub(r"\{(\w+)[^}]*\}", lambda found: known.get(found[1], str(uuid4())), path)


def list_pages(city: LocalCity, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Lists the routes that only read, files and lists too, without streams, which do not end."""
    monkeypatch.setattr("simpul_runtime.service.configure_logging", lambda *_: None)
    settings = DeskSettings(
        database_url=SecretStr(city.database_url("desk")),
        amqp_url=SecretStr(city.backends.amqp_url),
        key_file=key_file(city.keys, "desk"),
        directory_file=directory_file(city.keys),
        city_dir=city.city_dir,
        routing_url=city.url("routing"),
        intake_url=city.url("intake"),
    )
    routes = [route for route in build(settings)[1].routes if isinstance(route, APIRoute)]
    found = [route.path for route in routes if "GET" in (route.methods or ())]
    return [path for path in found if "live" not in path and not path.startswith(("/static", "/health", "/docs"))]


async def find_cases(city: LocalCity, session: aiohttp.ClientSession, nurse: SignedIn) -> tuple[Case, Case]:
    """Reports a case that the hospital accepts, and one from which it is excluded."""
    reported = []
    child = {"child_name": FIELDS["name"], "nik": FIELDS["nik"], "address": FIELDS["address"]}
    own_child = {"identity": child, "narrative": {"chronology": f"{FIELDS['narrative']} pada malam hari."}}
    for more in (own_child, {"excluded_agencies": [HOSPITAL], "identity": OTHER_CHILD}):
        body = a_report(injured="yes", **more)
        async with session.post(
            city.url("intake") + "/reports", json=body, headers=city.token_of("uptd-ppa")
        ) as answer:
            assert answer.status == 202, await answer.text()
            reported.append(await answer.json())
    own, other = reported

    found: list[str] = []

    async def is_on_worklist() -> bool:
        _, text = await read(session, city, nurse, "/work?shown=1000")
        line = next((one for one in text.split("<tr") if own["case_reference"] in one), "")
        found[:] = re.findall(rf"/work/{HOSPITAL}/([0-9a-f-]+)", line)
        return bool(found)

    await eventually(is_on_worklist)
    referral_id = found[0]
    page = f"/work/{HOSPITAL}/{referral_id}"
    _, text = await read(session, city, nurse, page)
    given = [("reply", "accepted"), ("version", re.findall(r'name="version" value="([^"]+)"', text)[0])]
    given += [("service_ids", one) for one in set(re.findall(r'name="service_ids" value="([^"]+)"', text))]
    async with session.post(
        city.url("desk") + page, data=[*nurse.form.items(), *given], headers=nurse.headers, allow_redirects=False
    ) as answer:
        assert answer.status == 303

    async def has_dossier() -> bool:
        return FIELDS["name"] in (await read(session, city, nurse, page))[1]

    await eventually(has_dossier)
    return (
        Case(own["case_reference"], own["case_id"], referral_id),
        Case(other["case_reference"], other["case_id"], str(uuid4())),
    )


async def read(session: aiohttp.ClientSession, city: LocalCity, person: SignedIn, path: str) -> tuple[int, str]:
    """Opens a page as a person."""
    headers = person.headers
    async with session.get(city.url("desk") + path, headers=headers, allow_redirects=False) as answer:
        return answer.status, (await answer.read()).decode(errors="replace")


async def sign_in_roles(url: str) -> dict[str, SignedIn]:
    """Signs in a person of the hospital in each of its roles, one of another agency, and one for each city role."""
    people = {
        f"{HOSPITAL} {role.value}": await sign_in(url, {HOSPITAL: role}) for role in Role if role not in CITY_ROLES
    }
    people[f"{STRANGERS} responder"] = await sign_in(url, {STRANGERS: Role.RESPONDER})
    return people | {role.value: await sign_in(url, city_roles={role: "uptd-ppa"}) for role in sorted(CITY_ROLES)}


async def open_everything(city: LocalCity, pages: list[str]) -> tuple[Case, Case, dict[Opened, tuple[int, str]]]:
    """Opens every page as every person: role, page and case -> status and text."""
    people = await sign_in_roles(city.database_url("desk"))
    answers = {}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        own, other = await find_cases(city, session, people[f"{HOSPITAL} responder"])
        cases = {"own": own, "other": other, "nowhere": Case("K-0000-0000", str(uuid4()), str(uuid4()))}
        for (role, person), path, (name, case) in product(people.items(), pages, cases.items()):
            if name == "own" or "{" in path:
                answers[role, path, name] = await read(session, city, person, case.fill(path))
    return own, other, answers


def test_who_reads_what_of_which_child(hosting_city: LocalCity, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = list_pages(hosting_city, monkeypatch)

    own, other, answers = run_aside(open_everything(hosting_city, pages))

    shown: dict[str, set[Any]] = {name: set() for name in FIELDS}
    for (role, path, case), (_, text) in answers.items():
        for name, value in FIELDS.items():
            shown[name] |= {(role, path, case)} if value in text else set()
    hospital = {f"{HOSPITAL} {role.value}" for role in Role if role not in CITY_ROLES}
    on_dossier = {(role, DOSSIER_PAGE, "own") for role in hospital}
    assert shown["name"] == on_dossier
    assert all(found <= on_dossier for found in shown.values()), shown

    assert not [key for key, (_, text) in answers.items() if any(value in text for value in OTHER_CHILD.values())]
    referenced = {role for (role, path, _), (_, text) in answers.items() if other.reference in text}
    assert referenced == {"coordinator"}
    knowing = {role for (role, _, _), (_, text) in answers.items() if own.reference in text}
    assert knowing == hospital | {"coordinator"}

    # What is not theirs and what does not exist answer alike.
    about_cases = [path for path in pages if "{case_id}" in path or "{referral_id}" in path]
    for role, path in product({role for role, _, _ in answers} - {"coordinator"}, about_cases):
        assert _shape(answers[role, path, "other"]) == _shape(answers[role, path, "nowhere"]), (role, path)


def _shape(answer: tuple[int, str]) -> tuple[int, str]:
    """An answer without the ids in its address, and without the tokens of its forms."""
    status, text = answer
    return status, re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|value=\"[^\"]{20,}\"", "", text)


def test_every_page_that_reads_is_in_the_matrix(hosting_city: LocalCity, monkeypatch: pytest.MonkeyPatch) -> None:
    pages: Any = set(list_pages(hosting_city, monkeypatch))

    assert pages >= {
        "/work",
        DOSSIER_PAGE,
        "/work/{agency}/{referral_id}/others",
        "/city",
        "/city/cases/{case_id}",
        "/team",
        "/team/{agency}/{account_id}",
        "/capacity",
        "/audit",
        "/city/register.csv",
        "/city/register.xlsx",
        "/reach",
        "/report",
        "/emergency",
        "/members",
        "/roster",
    }
