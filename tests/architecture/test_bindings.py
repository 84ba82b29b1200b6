"""Each service's queue is bound to what its handlers handle, and the list of services stands once."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from simpul_cli.city_topology import SERVICE_BINDINGS
from simpul_schema.catalog import CATALOG, SERVICES, row_of
from simpul_schema.names import REFERRALS, routing_key
from tests.support.handlers import HANDLERS

ROOT = Path(__file__).parents[2]
WITHOUT_HANDLER = {
    ("desk", "right.#"): "no other queue takes these events; without a queue they would count as unrouted",
}
"""Bindings whose events their service ignores, with the reason."""


def matches(binding: str, key: str) -> bool:
    """Whether a topic exchange routes a message with this key to a queue with this binding."""
    pattern = re.escape(binding).replace(r"\*", "[^.]+").replace(r"\.\#", r"(\..*)?").replace(r"\#", ".*")
    return re.fullmatch(pattern, key) is not None


def routes_of(wire_name: str) -> Iterator[tuple[str, str]]:
    """Yields exchange and routing key of every copy of an event that services may receive."""
    for exchange in row_of(wire_name).exchanges:
        if exchange != REFERRALS:
            yield exchange, routing_key(exchange, wire_name, "ylpa")


def is_bound(service: str, wire_name: str) -> bool:
    return any(
        exchange == bound_exchange and matches(binding, key)
        for exchange, key in routes_of(wire_name)
        for bound_exchange, binding in SERVICE_BINDINGS[service]
    )


def test_every_service_with_handlers_declares_bindings() -> None:
    assert SERVICE_BINDINGS.keys() == HANDLERS.keys()
    consuming = {path.parent.name.removeprefix("simpul_") for path in ROOT.glob("services/*/*/consumers.py")}
    assert SERVICE_BINDINGS.keys() == consuming


@pytest.mark.parametrize(("service", "handlers"), HANDLERS.items(), ids=list(HANDLERS))
def test_every_handled_event_reaches_the_queue_of_its_service(service: str, handlers: Mapping[Any, Any]) -> None:
    names = [message.WIRE_NAME for message in handlers]

    assert [name for name in names if not is_bound(service, name)] == []


@pytest.mark.parametrize("service", SERVICE_BINDINGS)
def test_every_binding_has_a_handler_or_a_reason(service: str) -> None:
    handled = [route for message in HANDLERS[service] for route in routes_of(message.WIRE_NAME)]

    unused = {
        (service, binding)
        for exchange, binding in SERVICE_BINDINGS[service]
        if not any(exchange == used and matches(binding, key) for used, key in handled)
    }

    assert unused == {entry for entry in WITHOUT_HANDLER if entry[0] == service}


def test_every_event_for_services_reaches_a_queue() -> None:
    published = {row.wire_name for row in CATALOG if any(True for _ in routes_of(row.wire_name))}

    assert [name for name in sorted(published) if not any(is_bound(one, name) for one in SERVICE_BINDINGS)] == []


@pytest.mark.parametrize(
    ("binding", "key", "is_match"),
    [
        ("case.#", "case.reported.v1", True), ("case.#", "case", True), ("case.#", "right.changed.v1", False),
        ("referral.*.offered", "referral.ylpa.offered", True), ("referral.*.offered", "referral.a.b.offered", False),
        ("case.reported.v1", "case.reported.v2", False),
    ],
)  # fmt: skip
def test_keys_match_as_in_a_topic_exchange(binding: str, key: str, is_match: bool) -> None:
    assert matches(binding, key) == is_match


def test_the_catalogue_lists_the_services_that_exist() -> None:
    assert set(SERVICES) == {path.parent.name for path in ROOT.glob("services/*/pyproject.toml")}


def test_files_that_cannot_import_the_list_name_the_same_services() -> None:
    compose = YAML(typ="safe").load((ROOT / "docker-compose.yml").read_text())["services"]
    created = re.search(r"^for service in (.+); do$", (ROOT / "deploy/postgres/init.sh").read_text(), re.MULTILINE)
    members = re.search(r"^MEMBERS := (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)

    assert created
    assert set(created[1].split()) == set(SERVICES)
    assert {name.removeprefix("migrate-") for name in compose if name.startswith("migrate-")} == set(SERVICES)
    assert set(SERVICES) <= compose.keys()
    assert members
    assert {path.removeprefix("services/") for path in members[1].split() if path.startswith("services/")} == set(
        SERVICES
    )


@pytest.mark.parametrize("path", sorted((ROOT / "shared/runtime").rglob("*.py")), ids=lambda path: path.name)
def test_the_runtime_names_no_service_and_no_numbering_of_messages(path: Path) -> None:
    services = "|".join(SERVICES)
    # A routing key is AMQP's word, and pg_notify PostgreSQL's.
    named = rf"(?i)(?<![a-z])(?<!pg_)(?:{services})(?![a-z]| keys?\b|_keys?\b)|manifest|heartbeat"

    found = [line for line in path.read_text().splitlines() if re.search(named, line)]

    assert found == []
