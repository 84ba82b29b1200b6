"""The tree is what the README and the import rules say."""

import re
import tomllib
from pathlib import Path

import pytest

from simpul_runtime.city import OwnQueue
from simpul_runtime.topology import topology_of

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
    for name in ("schema", "seal", "agency"):
        dependencies = tomllib.loads((ROOT / "shared" / name / "pyproject.toml").read_text())["project"]["dependencies"]
        assert not {"simpul-runtime", "simpul-cli"} & set(dependencies)


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
    topology = topology_of(["ylpa"], [OwnQueue("ylpa", "night")])
    inbox = re.compile(topology.policies[0].pattern)

    assert all(inbox.match(queue.name) or queue.is_last_net or queue.is_copy for queue in topology.queues)
    assert {e.name for e in topology.exchanges if not e.alternate} == {"simpul.unrouted", "simpul.dead"}
    assert all(key for queue in topology.queues for _, key in queue.bindings)
