"""The tree is what the README and the import rules say."""

import re
import tomllib
from pathlib import Path

import pytest

from simpul_city import FilteredQueue
from simpul_cli.city_topology import build_topology

ROOT = Path(__file__).parents[2]
MEMBERS = sorted(path.parent for path in ROOT.glob("*/*/pyproject.toml"))
SOURCES = [path for folder in ("shared", "services", "deploy") for path in (ROOT / folder).rglob("*.py")]


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_folder_distribution_and_package_share_one_name(member: Path) -> None:
    project = tomllib.loads((member / "pyproject.toml").read_text())["project"]

    assert project["name"] == f"simpul-{member.name}"
    assert project["license"] == "Apache-2.0"
    assert (member / f"simpul_{member.name}" / "py.typed").exists()
    assert (member / "README.md").exists()


def test_public_packages_depend_on_no_private_one() -> None:
    for name in ("schema", "seal", "city", "agreement", "agency"):
        dependencies = tomllib.loads((ROOT / "shared" / name / "pyproject.toml").read_text())["project"]["dependencies"]
        own = {dependency.split("[")[0] for dependency in dependencies if dependency.startswith("simpul-")}
        assert own <= {"simpul-schema", "simpul-seal", "simpul-city"}


def test_no_name_says_nothing() -> None:
    empty = {"utils", "helpers", "common", "manager", "misc"}

    assert [path for path in SOURCES if path.stem in empty] == []


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        (r"NACK_ON_ERROR|SkipMessage|ExceptionMiddleware", "a hot loop, a stuck message, a swallowed one"),
        (r"asyncapi_path|try_it_out", "opens an unauthenticated publish"),
        (r"@\w*broker\.publisher", "publishes after the commit, outside the outbox"),
        (r"TODO|FIXME|XXX", "unfinished"),
    ],
)
def test_known_pitfalls_stay_out(pattern: str, why: str) -> None:
    found = [path for path in SOURCES if re.search(pattern, path.read_text())]

    assert found == [], why


def test_services_publish_through_the_outbox_only() -> None:
    publishing = re.compile(r"basic_publish|\.publish\(")
    found = {path.name for path in (ROOT / "services").rglob("*.py") if publishing.search(path.read_text())}

    assert found == set()


def test_lock_names_no_host() -> None:
    assert not re.search(r"https?://|file:", (ROOT / "requirements.lock").read_text())


def test_every_inbox_has_a_dead_letter_policy_and_every_exchange_an_alternate() -> None:
    topology = build_topology(["ylpa"], [FilteredQueue("ylpa", "night")])
    inbox = re.compile(topology.policies[0].pattern)

    assert all(inbox.match(queue.name) or queue.is_catch_all or queue.is_copy for queue in topology.queues)
    assert {e.name for e in topology.exchanges if not e.alternate} == {"simpul.unrouted", "simpul.dead"}
    assert all(key for queue in topology.queues for _, key in queue.bindings)


_SHOWN = [
    path
    for folder in ("shared", "services", "deploy")
    for ending in ("html", "css", "js", "mjs", "svg", "typ", "py")
    for path in (ROOT / folder).rglob(f"*.{ending}")
    if "node_modules" not in path.parts
]
_LOADED_FROM_ELSEWHERE = re.compile(
    r"""<(?:script|img|iframe|source|link|object|embed|form|base)\b[^>]*\b(?:src|srcset|href|data|action)=["']?(?:https?:)?//"""
    r"""|url\(\s*["']?(?:https?:)?//|@import\s|get_swagger_ui_html|get_redoc_html|jsdelivr|unpkg|cdnjs|googleapis"""
)


def test_no_page_loads_anything_from_another_host() -> None:
    found = [path for path in _SHOWN if _LOADED_FROM_ELSEWHERE.search(path.read_text(encoding="utf-8"))]

    assert found == [], "blank without internet, and another host learns who reads it"


@pytest.mark.parametrize(
    "markup",
    [
        '<script src="https://cdn.example/ui.js"></script>',
        "<link rel=stylesheet href=//fonts.example/a.css>",
        "body { background: url('http://images.example/a.png') }",
        '@import "other.css";',
        '<form method="post" action="https://forms.example/">',
    ],
)
def test_a_resource_of_another_host_would_be_found(markup: str) -> None:
    assert _LOADED_FROM_ELSEWHERE.search(markup)
    assert not _LOADED_FROM_ELSEWHERE.search('<a href="https://www.bmkg.go.id/">')


def test_every_api_has_its_own_documentation_page() -> None:
    made = [path for path in SOURCES if re.search(r"\bFastAPI\(", path.read_text())]

    assert [path.name for path in made] == ["web.py"]
    assert re.search(r"docs_url=None,\s+redoc_url=None", made[0].read_text())
