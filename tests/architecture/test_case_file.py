"""A case file is loaded in one place, changed by its own methods only, and saved in one place."""

import ast
import re
from functools import cache
from pathlib import Path

from tests.support.source_files import nodes_of

ROUTING = Path(__file__).parents[2] / "services/routing/simpul_routing"
TABLES = (
    "case_plan",
    "referral",
    "referral_service",
    "clock",
    "exclusion_review",
    "service_plan",
    "transfer",
    "case_event",
)
PARTS = {"save_review", "save_plan", "save_transfers", "add_case_events"}
"""What writes one part of a file, each next to what reads it."""
PARTS_IN = {"exclusions", "service_plans", "transfers", "history"}
STATE = {"case", "referrals", "review", "plan", "transfers", "pending", "history", "alarms"}


def modules(folder: str) -> tuple[Path, ...]:
    paths = tuple(sorted((ROUTING / folder).rglob("*.py")))
    assert paths, folder
    return paths


@cache
def calls_of(path: Path) -> set[str]:
    calls = [node.func for node in nodes_of(path) if isinstance(node, ast.Call)]
    return {call.attr if isinstance(call, ast.Attribute) else getattr(call, "id", "") for call in calls}


def test_one_module_writes_the_tables_of_a_case_file() -> None:
    written = re.compile(rf"(?:UPDATE|INSERT INTO|DELETE FROM) ({'|'.join(TABLES)})\b")
    rows = re.compile(r"add_row\(\s*(\w+)Row\b")
    writing = {
        path.stem: set(written.findall(path.read_text())) | set(rows.findall(path.read_text()))
        for path in modules(".")
        if "migrations" not in path.parts
    }

    assert {name for name, tables in writing.items() if tables & set(TABLES)} == {
        "saving",
        "exclusions",
        "service_plans",
        "transfers",
        # Moves when a step is due, and changes nothing else.
        "clocks",
    }
    assert calls_of(ROUTING / "repository/saving.py") >= PARTS
    others = [path.name for path in modules(".") if path.stem != "saving" and calls_of(path) & PARTS]
    assert others == []


def test_the_steps_that_are_moved_are_nothing_but_times() -> None:
    source = (ROUTING / "repository/clocks.py").read_text()

    changed = re.findall(r"UPDATE \w+(?: \w)? SET (.+?)(?: FROM|\n)", source)
    assert len(changed) == 4
    assert {name for one in changed for name in re.findall(r"(\w+) = ", one)} == {"next_at", "step"}


def test_use_cases_and_routes_change_a_file_by_its_methods_only() -> None:
    changed = []
    for folder in ("use_cases", "api"):
        for path in modules(folder):
            for node in nodes_of(path):
                targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
                fields = [one for one in targets if isinstance(one, ast.Attribute) and one.attr in STATE]
                changed += [f"{path.name}:{one.lineno} {one.attr}" for one in fields]

    assert changed == []


def test_one_place_encrypts_and_enqueues_what_a_file_publishes() -> None:
    building = [path.name for path in modules(".") if "build_event" in calls_of(path)]
    saving = [path.name for path in modules(".") if "save_case_files" in calls_of(path)]
    making = [path.name for path in modules(".") if "CaseFile" in calls_of(path)]

    assert building == ["saving.py"]
    assert saving == ["case_files.py"]
    assert making == ["case_files.py"]
