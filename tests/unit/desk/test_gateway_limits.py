"""The gateway lets through whatever a service takes; its own refusal explains nothing."""

import re
from pathlib import Path

from simpul_desk.report_pages.routes import REPORT_LIMITS
from simpul_desk.work_pages.pages import DOCUMENTS
from simpul_desk.work_pages.record_forms import DOCUMENT_LIMITS
from simpul_intake.pages import FILES_LIMITS, FILES_PATH

CADDYFILE = Path(__file__).parents[3] / "deploy" / "gateway" / "Caddyfile"
MEGABYTE = 1_000_000


def test_the_gateway_takes_as_much_as_the_services() -> None:
    rules = CADDYFILE.read_text()
    large, others = (re.findall(rf"{name} path (.+)", rules) for name in ("@files", "@others not"))
    sizes = {
        name: int(size) * MEGABYTE for name, size in re.findall(r"request_body (@\w+) {\s+max_size (\d+)MB", rules)
    }

    limits = {FILES_PATH: FILES_LIMITS, DOCUMENTS: DOCUMENT_LIMITS, **REPORT_LIMITS}
    assert [set(one.split()) for one in (*large, *others)] == [set(limits)] * 2
    assert all(one.body_bytes <= sizes["@files"] for one in limits.values())
