"""Finds barriers on a page with axe-core, which `make assets` installs from npm."""

from pathlib import Path
from typing import Final

from playwright.sync_api import Page

AXE: Final = Path(__file__).parents[2] / "services/desk/node_modules/axe-core/axe.min.js"
_TAGS: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def find_barriers(page: Page) -> list[str]:
    """Lists what breaks WCAG 2.2 AA or a best practice, with the elements."""
    assert AXE.exists(), "run make assets"
    # As a debugger does it: the page's own policy forbids foreign scripts.
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("tags => axe.run(document, {runOnly: {type: 'tag', values: tags}})", _TAGS)
    return [
        f"{one['id']}: {one['help']}: {'; '.join(node['html'][:120] for node in one['nodes'])}"
        for one in found["violations"]
    ]
