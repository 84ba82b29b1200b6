"""A browser keeps what was typed into a form, for the next start after a crash, unless the form forbids it.

Of a `<textarea>` Chromium reads only the attribute of its form.
"""

import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
TEMPLATES: Final = [
    path
    for folder in (
        "services/desk/simpul_desk/templates",
        "services/intake/simpul_intake/templates",
        "shared/agency/simpul_agency/connectors/templates",
    )
    for path in sorted((ROOT / folder).rglob("*.html"))
    # Names and passwords of an account are for the password manager of whoever wants one.
    if path.parent.name != "account" or path.name.startswith("emergency")
]


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_form_lets_the_browser_keep_what_is_typed_about_a_child(template: Path) -> None:
    forms = re.findall(r"<form\b[^>]*>", template.read_text())

    assert [form for form in forms if 'autocomplete="off"' not in form] == []


def test_the_forms_are_found() -> None:
    assert sum(path.read_text().count("<form") for path in TEMPLATES) > 40
