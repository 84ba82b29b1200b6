"""The agreement at the desk: versions and their state, who has signed, what a new one changes, who serves what."""

import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from fastapi import FastAPI

from simpul_agreement import Versions
from simpul_agreement.versions import sign_version, signatories
from simpul_desk.access import Role, User
from simpul_desk.access.web import SESSION_COOKIE
from simpul_desk.city_pages.agreements import AgreementPages, add_agreement_pages
from simpul_seal import KeyRing
from tests.support.agreements import CITY, kediri, signed_city
from tests.support.asgi_browser import AsgiBrowser

NOW = datetime.now(UTC)
NEXT = "2026-12"


@pytest.fixture
def city(tmp_path: Path) -> tuple[Path, Versions, Mapping[str, KeyRing]]:
    """A city whose version is signed; its folder, versions and key rings."""
    versions, _, rings = signed_city(tmp_path, NOW)
    return tmp_path / "city" / "agreement", versions, rings


def browser(versions: Versions, language: str = "en") -> AsgiBrowser:
    async def find_user(*_: object) -> User:
        return User(UUID(int=1), "Wiji Rekaan", language, {}, {Role.COORDINATOR: "uptd-ppa"})

    web = FastAPI()
    web.state.find_user = find_user
    add_agreement_pages(web, AgreementPages(versions, CITY))
    return AsgiBrowser(web, cookies={SESSION_COOKIE: "secret"})


def add_version(folder: Path, old: str, new: str) -> Path:
    """Copies the version to a draft in which a text of the clauses is another one."""
    draft = Path(shutil.copytree(folder / "2026-11", folder / NEXT))
    shutil.rmtree(draft / "signatures")
    (draft / "proof.json").unlink()
    changed = [path for path in (draft / "clauses").iterdir() if old in path.read_text()]
    assert changed
    changed[0].write_text(changed[0].read_text().replace(old, new, 1))
    head = draft / "agreement.yaml"
    head.write_text(head.read_text().replace("2026-11", NEXT, 1))
    return draft


async def test_the_version_in_force_names_who_signed_and_who_serves_what(
    city: tuple[Path, Versions, Mapping[str, KeyRing]],
) -> None:
    _, versions, _ = city
    desk = browser(versions)

    listed, shown = await desk.get("/agreements"), await desk.get("/agreements/2026-11")

    assert "decides new cases" in listed.shown_text
    assert "9 of 9" in listed.shown_text
    assert shown.shown_text.count("signed") >= 9
    assert "not signed" not in shown.shown_text
    assert "Who serves what" in shown.shown_text
    assert "Article 20 paragraph (1)" in shown.shown_text
    assert (await desk.get("/agreements/2020-01")).status == 404
    assert "Siapa melayani apa" in (await browser(versions, "id").get("/agreements/2026-11")).shown_text


async def test_a_draft_shows_what_it_would_change_and_that_nobody_signed(
    city: tuple[Path, Versions, Mapping[str, KeyRing]],
) -> None:
    folder, versions, _ = city
    add_version(folder, "lead: [uptd-ppa, ylpa]", "lead: [ylpa, uptd-ppa]")
    versions.read(NOW)
    desk = browser(versions)

    listed, shown = await desk.get("/agreements"), await desk.get(f"/agreements/{NEXT}")

    assert "Draft" in listed.shown_text
    assert "0 of 9" in listed.shown_text
    assert shown.shown_text.count("not signed") == 9
    assert "What it changes against version 2026-11" in shown.shown_text
    assert "examples are referred differently" in shown.shown_text
    assert "Yayasan Lembaga Perlindungan Anak" in shown.shown_text


async def test_a_version_of_which_the_text_is_invalid_is_listed_and_shown(
    city: tuple[Path, Versions, Mapping[str, KeyRing]],
) -> None:
    folder, versions, _ = city
    draft = add_version(folder, "lead: [uptd-ppa, ylpa]", "lead: [nobody-at-all]")
    versions.read(NOW)
    desk = browser(versions)

    assert "Its text cannot be read" in (await desk.get("/agreements")).shown_text
    assert "simpul agreement check" in (await desk.get(f"/agreements/{draft.name}")).shown_text


async def test_a_missing_signature_is_named(city: tuple[Path, Versions, Mapping[str, KeyRing]]) -> None:
    folder, versions, rings = city
    missing, *others = signatories(kediri(), CITY)
    (folder / "2026-11" / "signatures" / f"{missing}.json").unlink()
    for party in others:
        sign_version(folder / "2026-11", rings[party], NOW)

    shown = await browser(versions).get("/agreements/2026-11")

    assert shown.shown_text.count("not signed") == 1
    assert "waits for signatures" in shown.shown_text


async def test_the_text_that_the_parties_sign_is_one_page_that_loads_nothing(
    city: tuple[Path, Versions, Mapping[str, KeyRing]],
) -> None:
    _, versions, _ = city
    desk = browser(versions, "id")

    assert 'href="/agreements/2026-11/text"' in (await desk.get("/agreements")).text
    page = await desk.get("/agreements/2026-11/text")

    assert "Pasal 1" in page.text
    policy = dict(page.headers)["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert " style=" not in page.text
    assert (await desk.get("/agreements/2020-01/text")).status == 404
