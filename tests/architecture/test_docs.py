"""Links between the documents lead somewhere, and the README stays one screen."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/*/README.md"), *ROOT.glob("*/README.md")])
_LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#]+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file(page: Path) -> None:
    missing = [link for link in _LINK.findall(page.read_text()) if not (page.parent / link).exists()]

    assert missing == []


@pytest.mark.parametrize("page", ["threats.md", "asvs.md"])
def test_every_test_that_stands_for_a_threat_or_a_chapter_exists(page: str) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs" / page).read_text())

    missing = [name for path, name in named if not re.search(rf"def {name}\(", (ROOT / path).read_text())]

    assert len(named) > 20
    assert missing == []


def test_every_chapter_of_the_standard_is_answered_with_tests_or_is_not_used() -> None:
    rows = re.findall(r"^\| V(\d+) [^|]+\|([^|]+)\|([^|]*)\|", (ROOT / "docs" / "asvs.md").read_text(), re.MULTILINE)

    assert [int(number) for number, _, _ in rows] == list(range(1, 18))
    assert [number for number, how, evidence in rows if not evidence.strip() and how.strip() != "not used"] == []


def test_the_chapters_on_files_and_browsers_say_what_the_services_do() -> None:
    chapters = dict(re.findall(r"^\| (V\d+) (.+)$", (ROOT / "docs" / "asvs.md").read_text(), re.MULTILINE))
    takes_files = any("UploadFile" in path.read_text() for path in (ROOT / "services").rglob("simpul_*/**/*.py"))
    keeps_pages = any("serviceWorker" in path.read_text() for path in (ROOT / "services").rglob("static/desk.js"))

    assert takes_files == ("test_documents_and_notes_are_encrypted" in chapters["V5"])
    assert keeps_pages == ("test_the_kept_page_names_no_person" in chapters["V3"])


def test_the_readme_is_one_screen_and_names_the_two_commands() -> None:
    readme = (ROOT / "README.md").read_text()

    assert len(readme.splitlines()) <= 60
    assert "    make demo" in readme
    assert "    make test" in readme
