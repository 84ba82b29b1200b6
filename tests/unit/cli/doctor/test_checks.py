"""Every fault that the doctor knows, seeded one by one into a healthy city."""

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer

from simpul_cli.app import COMMANDS, load_command
from simpul_cli.commands import city as city_command
from simpul_cli.doctor import checks
from simpul_cli.doctor.checks.agencies import Agency, AgencyFacts
from simpul_cli.doctor.checks.agreement import AgreementFacts
from simpul_cli.doctor.checks.backups import BackupFacts
from simpul_cli.doctor.checks.broker import BrokerFacts, Node, QueueState
from simpul_cli.doctor.checks.certificates import CertificateFacts
from simpul_cli.doctor.checks.configuration import ConfigurationFacts
from simpul_cli.doctor.checks.databases import Database, DatabaseFacts, Standby
from simpul_cli.doctor.checks.keys import KeyFacts, KeyFile
from simpul_cli.doctor.checks.machine import MachineFacts
from simpul_cli.doctor.checks.messages import MessageFacts, ServiceMessages
from simpul_cli.doctor.checks.providers import Provider, ProviderFacts
from simpul_cli.doctor.checks.vault import VaultFacts
from simpul_cli.doctor.finding import Finding, Severity, critical, exit_code, sort_findings, warning
from simpul_cli.languages import Message
from simpul_seal import Directory, generate

NOW = datetime(2026, 11, 26, 21, tzinfo=UTC)
FOLDER = Path(checks.__file__).parent


def days(count: float) -> datetime:
    return NOW + timedelta(days=count)


NEXT_YEAR = days(300)


def keys_of(party: str, until: datetime = NEXT_YEAR) -> Any:
    return generate(party, not_before=days(-30), not_after=until)


INTAKE, INTAKE_PUBLIC = keys_of("intake")
OTHER, OTHER_PUBLIC = keys_of("intake")
AGENCY = keys_of("ylpa")[1]

SETTINGS = {"RABBITMQ_PASSWORD": "a" * 48, "AGENCY_BROKER": "amqps://simpul.kota.example:5671/"}
CONFIGURATION = ConfigurationFacts(SETTINGS, frozenset(SETTINGS), frozenset(SETTINGS))
KEYS = KeyFacts(
    NOW, Directory([INTAKE_PUBLIC, AGENCY]), "", {"intake": KeyFile(INTAKE)}, ("intake",), frozenset({"ylpa"})
)
CERTIFICATES = CertificateFacts(
    NOW, "", days(200), True, ("simpul.kota.example",), "simpul.kota.example", days(200), days(3000), days(90)
)
MACHINE = MachineFacts(True, {"postgres": timedelta(milliseconds=3)}, {"/srv": 0.6})
INBOX = QueueState("routing.inbox", 3, 1, 500_000)
BROKER = BrokerFacts("", [Node("rabbit@one")], 0, [INBOX], (), frozenset({"routing.inbox"}))
DATABASE = Database("", "7", "7", True, 20, 100, {"outbox": (10, 1_000_000)})
DATABASES = DatabaseFacts({"routing": DATABASE})
MESSAGES = MessageFacts({"routing": ServiceMessages(timedelta(seconds=1), 3)})
YLPA = Agency("ylpa", open_referrals=2)
AGREEMENT = AgreementFacts(NOW.date(), valid_until=date(2028, 1, 1), last_holiday=date(2027, 12, 25))
PROVIDERS = ProviderFacts({"sms": Provider(sent=100, failed=2), "mail": Provider(sent=10)})
BACKUPS = BackupFacts(NOW, True, NOW - timedelta(hours=9), "", 0, days(-20))
VAULT = VaultFacts()
HEALTHY = {
    "configuration": CONFIGURATION,
    "keys": KEYS,
    "certificates": CERTIFICATES,
    "machine": MACHINE,
    "broker": BROKER,
    "databases": DATABASES,
    "messages": MESSAGES,
    "agencies": AgencyFacts([YLPA]),
    "agreement": AGREEMENT,
    "providers": PROVIDERS,
    "vault": VAULT,
    "backups": BACKUPS,
}


def settings(**changed: str) -> ConfigurationFacts:
    return replace(CONFIGURATION, settings={**SETTINGS, **changed})


def database(**changed: Any) -> DatabaseFacts:
    return DatabaseFacts({"routing": replace(DATABASE, **changed)})


def queue(name: str, **changed: Any) -> BrokerFacts:
    return replace(BROKER, queues=[replace(INBOX, name=name, **changed)])


def differs(sentence: str) -> BrokerFacts:
    return replace(BROKER, differences=[sentence])


def node(**changed: Any) -> BrokerFacts:
    return replace(BROKER, nodes=[replace(Node("rabbit@one"), **changed)])


def waiting(**changed: Any) -> MessageFacts:
    return MessageFacts({"routing": ServiceMessages(**changed)})


def agency(**changed: Any) -> AgencyFacts:
    return AgencyFacts([replace(YLPA, **changed)])


def provider(**changed: Any) -> ProviderFacts:
    return ProviderFacts({"sms": Provider(**changed)})


def service_keys(until: datetime) -> KeyFacts:
    ring, public = keys_of("intake", until)
    return replace(KEYS, directory=Directory([public, AGENCY]), files={"intake": KeyFile(ring)})


def agency_keys(until: datetime) -> KeyFacts:
    return replace(KEYS, directory=Directory([INTAKE_PUBLIC, keys_of("ylpa", until)[1]]))


W, C = Severity.WARNING, Severity.CRITICAL
SEEDS: list[tuple[str, Severity, str, Any]] = [
    ("configuration", C, "city_unreadable", replace(CONFIGURATION, city_problem="city.yaml: two agencies")),
    ("configuration", C, "setting_empty", settings(RABBITMQ_PASSWORD="")),
    ("configuration", W, "setting_unknown", settings(RABITMQ_PASSWORD="a" * 48)),
    ("configuration", C, "password_unusable", settings(RABBITMQ_PASSWORD="p@ss/word" * 4)),
    ("configuration", W, "password_weak", settings(RABBITMQ_PASSWORD="secret123")),
    ("configuration", C, "settings_readable", replace(CONFIGURATION, is_readable_by_others=True)),
    ("configuration", C, "agency_address_plain", settings(AGENCY_BROKER="amqp://simpul.kota.example:5672/")),
    ("configuration", W, "zone_foreign", replace(CONFIGURATION, zone="Europe/Amsterdam")),
    ("configuration", C, "roster_incomplete", replace(CONFIGURATION, roster_gaps=["ylpa: nobody on duty"])),
    ("keys", C, "directory_unreadable", replace(KEYS, directory=None, directory_problem="ValueError")),
    ("keys", C, "key_file_unreadable", replace(KEYS, files={"intake": KeyFile(problem="FileNotFoundError")})),
    ("keys", C, "key_file_swapped", replace(KEYS, files={"intake": KeyFile(keys_of("routing")[0])})),
    ("keys", C, "key_file_readable", replace(KEYS, files={"intake": KeyFile(INTAKE, mode=0o644)})),
    ("keys", C, "key_not_in_file", replace(KEYS, directory=Directory([INTAKE_PUBLIC, OTHER_PUBLIC, AGENCY]))),
    ("keys", C, "service_keys_ended", service_keys(days(-1))),
    ("keys", W, "service_keys_end_soon", service_keys(days(20))),
    ("keys", C, "service_keys_end_soon", service_keys(days(6))),
    ("keys", W, "agency_not_enrolled", replace(KEYS, agencies=frozenset({"ylpa", "polres"}))),
    ("keys", C, "agency_keys_ended", agency_keys(days(-1))),
    ("keys", W, "agency_keys_end_soon", agency_keys(days(29))),
    ("certificates", C, "certificate_unreadable", CertificateFacts(NOW, problem="FileNotFoundError")),
    ("certificates", W, "certificate_ends_soon", replace(CERTIFICATES, ends_at=days(30), served_ends_at=None)),
    ("certificates", C, "certificate_ends_now", replace(CERTIFICATES, ends_at=days(7), served_ends_at=None)),
    ("certificates", C, "certificate_ended", replace(CERTIFICATES, ends_at=days(0), served_ends_at=None)),
    ("certificates", C, "certificate_foreign", replace(CERTIFICATES, is_signed_by_authority=False)),
    ("certificates", C, "certificate_host", replace(CERTIFICATES, wanted_host="broker.kota.example")),
    ("certificates", W, "certificate_not_served", replace(CERTIFICATES, served_ends_at=days(20))),
    ("certificates", W, "authority_ends", replace(CERTIFICATES, authority_ends_at=days(300))),
    ("certificates", W, "gateway_certificate_ends", replace(CERTIFICATES, gateway_ends_at=days(28))),
    ("certificates", C, "gateway_certificate_ends", replace(CERTIFICATES, gateway_ends_at=days(2))),
    ("machine", W, "clock_free", replace(MACHINE, is_synchronised=False)),
    ("machine", W, "clock_skew", replace(MACHINE, skews={"postgres": timedelta(seconds=-9)})),
    ("machine", C, "clock_skew", replace(MACHINE, skews={"postgres": timedelta(minutes=3)})),
    ("machine", W, "disk_filling", replace(MACHINE, free={"/srv": 0.12})),
    ("machine", C, "disk_full", replace(MACHINE, free={"/srv": 0.01})),
    ("broker", C, "broker_unreachable", BrokerFacts("unreachable")),
    ("broker", C, "broker_login", BrokerFacts("login")),
    ("broker", C, "broker_node_down", node(is_running=False)),
    ("broker", C, "broker_partition", node(partitions=("rabbit@two",))),
    ("broker", C, "broker_memory_alarm", node(has_memory_alarm=True)),
    ("broker", C, "broker_disk_alarm", node(has_disk_alarm=True)),
    ("broker", W, "broker_descriptors", node(descriptors_used=0.95)),
    ("broker", C, "broker_blocked", replace(BROKER, blocked_connections=2)),
    ("broker", C, "broker_queue_missing", differs("queue agency.ylpa.inbox is missing")),
    ("broker", C, "broker_binding_missing", differs("queue routing.inbox is not bound to simpul.events with x")),
    ("broker", C, "broker_policy_missing", differs("policy simpul-inbox differs")),
    ("broker", C, "broker_policy_missing", differs("queue routing.inbox has no dead-letter target")),
    ("broker", C, "broker_kind", differs("queue routing.inbox is not a quorum queue")),
    ("broker", W, "broker_undeclared", differs("queue agency.other.inbox is not declared")),
    ("broker", C, "broker_users", replace(BROKER, user_differences=["broker user service.desk is missing"])),
    ("broker", C, "queue_full", queue("agency.ylpa.inbox", messages=490_000)),
    ("broker", W, "queue_full", queue("routing.inbox", messages=300_000)),
    ("broker", C, "messages_unrouted", queue("simpul.unrouted", consumers=0)),
    ("broker", C, "messages_dead", queue("simpul.dead", consumers=0)),
    ("broker", C, "inbox_without_consumer", queue("routing.inbox", consumers=0)),
    ("broker", W, "queue_degraded", queue("routing.inbox", members=3, members_online=2)),
    ("databases", C, "database_unreachable", DatabaseFacts({"routing": Database("unreachable")})),
    ("databases", C, "database_login", DatabaseFacts({"routing": Database("login")})),
    ("databases", C, "database_missing", DatabaseFacts({"routing": Database("missing")})),
    ("databases", C, "database_not_migrated", database(revision="6")),
    ("databases", W, "database_newer", database(revision="8", is_revision_known=False)),
    ("databases", C, "database_connections", database(connections=85)),
    ("databases", W, "database_bloat", database(dead_rows={"outbox": (200_000, 100_000)})),
    ("databases", W, "database_transaction", database(longest_transaction=timedelta(minutes=11))),
    ("databases", C, "database_wraparound", database(oldest_transaction_age=1_500_000_000)),
    ("databases", C, "database_not_durable", database(not_durable=["fsync"])),
    ("databases", W, "database_replication_lag", database(standbys=[Standby("two", timedelta(minutes=2))])),
    ("messages", C, "outbox_lag", waiting(oldest_unpublished=timedelta(seconds=61), unpublished=9)),
    ("messages", C, "outbox_refused", waiting(refused=1)),
    ("messages", W, "messages_parked", waiting(parked={"forged": 1})),
    ("messages", W, "messages_waiting", waiting(waiting=1)),
    ("messages", W, "events_held", waiting(held={"ylpa": 4})),
    ("messages", C, "reports_unseen", replace(MESSAGES, unseen_reports=10)),
    ("agencies", C, "agency_silent", agency(missed_manifests=40)),
    ("agencies", C, "agency_suspended", agency(account="suspended")),
    ("agencies", C, "agency_without_account", agency(account="missing")),
    ("agencies", C, "agency_altered", agency(account="altered")),
    ("agencies", W, "agency_not_consuming", agency(waiting=4, consumers=0)),
    ("agencies", C, "agency_wrong_key", agency(parked_for_key=1)),
    ("agreement", C, "agreement_invalid", replace(AGREEMENT, problem="clauses overlap")),
    ("agreement", C, "agreement_unsigned", replace(AGREEMENT, version="")),
    ("agreement", W, "agreement_interim", replace(AGREEMENT, is_interim=True, unsigned_by=["ylpa"])),
    ("agreement", W, "agreement_unproven", replace(AGREEMENT, newest="2", is_newest_proven=False)),
    ("agreement", W, "agreement_ends", replace(AGREEMENT, valid_until=days(59).date())),
    ("agreement", C, "agreement_ends", replace(AGREEMENT, valid_until=days(-1).date())),
    ("agreement", W, "holidays_end", replace(AGREEMENT, last_holiday=days(29).date())),
    ("providers", C, "provider_unreachable", provider(problem="unreachable")),
    ("providers", C, "provider_login", provider(problem="login")),
    ("providers", C, "provider_certificate", provider(problem="certificate")),
    ("providers", C, "alerts_waiting", provider(oldest_waiting=timedelta(minutes=6))),
    ("providers", W, "alerts_refused", provider(attempts=3)),
    ("providers", W, "alerts_failed", provider(sent=10, failed=5)),
    ("vault", C, "vault_key_unreadable", replace(VAULT, key_file_problem="the file is empty")),
    ("vault", C, "vault_key_readable", replace(VAULT, is_readable_by_others=True)),
    ("vault", C, "vault_key_missing", replace(VAULT, missing={"file:0a1b": 12})),
    ("vault", C, "vault_rows_altered", replace(VAULT, unopened=1)),
    ("vault", C, "routing_key_wrong", replace(VAULT, routing_unopened=2, routing_key="9f")),
    ("backups", C, "backup_recipient_missing", replace(BACKUPS, has_recipient=False)),
    ("backups", C, "backup_missing", replace(BACKUPS, newest_at=None)),
    ("backups", W, "backup_old", replace(BACKUPS, newest_at=NOW - timedelta(hours=27))),
    ("backups", C, "backup_old", replace(BACKUPS, newest_at=days(-4))),
    ("backups", C, "backup_damaged", replace(BACKUPS, newest_problem="routing.dump.age")),
    ("backups", W, "backup_unfinished", replace(BACKUPS, unfinished=1)),
    ("backups", W, "drill_missing", replace(BACKUPS, last_drill_at=days(-40))),
]
"""Area, severity and code of the only finding, and the facts with one fault."""


def findings_in(area: str, facts: Any) -> list[Finding]:
    return [finding for check in getattr(checks, area).CHECKS for finding in check(facts)]


@pytest.mark.parametrize("area", HEALTHY)
def test_a_healthy_city_has_no_fault(area: str) -> None:
    assert findings_in(area, HEALTHY[area]) == []


@pytest.mark.parametrize(
    ("area", "severity", "code", "facts"), SEEDS, ids=[f"{code}-{severity.name}" for _, severity, code, _ in SEEDS]
)
def test_a_seeded_fault_is_found_and_no_other(area: str, severity: Severity, code: str, facts: Any) -> None:
    [finding] = findings_in(area, facts)

    assert (finding.code, finding.severity) == (code, severity)
    assert finding.remedy
    # In both languages, with every placeholder filled.
    assert all(str(text) and "{" not in text for text in map(finding.cause.in_language, ("en", "id")))


def test_a_zone_that_does_not_exist_is_named_with_its_consequence() -> None:
    found = findings_in("configuration", replace(CONFIGURATION, zone="Asia/Kediri"))

    assert [finding.code for finding in found] == ["zone_unknown", "zone_foreign"]


def codes_in_the_source() -> Iterator[str]:
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and getattr(node.func, "id", "") in ("critical", "warning", "make")
                and isinstance(node.args[0], ast.Constant)
            ):
                yield str(node.args[0].value)


def test_every_fault_that_the_doctor_knows_is_seeded() -> None:
    seeded = {code for _, _, code, _ in SEEDS} | {"zone_unknown"}

    assert seeded == set(codes_in_the_source())
    assert len(seeded) > 40


def _subcommands(name: str) -> set[str]:
    return set(getattr(load_command(name), "commands", ()))


def test_every_remedy_names_a_command_that_exists() -> None:
    city = set(typer.main.get_command(city_command.app).commands)  # type: ignore[attr-defined]
    for area, _, code, facts in SEEDS:
        remedy = findings_in(area, facts)[0].remedy
        for command, subcommand in re.findall(r"\bsimpul ([a-z-]+)(?: ([a-z-]+))?", remedy):
            assert command in COMMANDS, code
            assert not subcommand or not _subcommands(command) or subcommand in _subcommands(command), code
        for subcommand in re.findall(r"deploy/up ([a-z]+)", remedy):
            assert subcommand in city, code


def test_the_exit_code_is_the_highest_severity_and_critical_findings_come_first() -> None:
    mild, severe = warning("a", Message("a"), "x"), critical("b", Message("b"), "y")

    assert (exit_code([]), exit_code([mild]), exit_code([mild, severe])) == (0, 1, 2)
    assert list(sort_findings([mild, severe])) == [severe, mild]
