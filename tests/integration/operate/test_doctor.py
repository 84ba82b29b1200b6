"""The doctor on real servers: a running city, and faults that are seeded into databases, broker and providers."""

import asyncio
import json
import logging
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import aio_pika
import aiohttp
import asyncpg
import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from simpul_agency.broker_api import BrokerApi
from simpul_city import Agency, City
from simpul_cli.agency import accounts
from simpul_cli.app import app
from simpul_cli.broker_users import USERS
from simpul_cli.city_topology import build_agency_user, build_city_topology
from simpul_cli.databases import create_databases, migrate_services
from simpul_cli.doctor import checks, probes
from simpul_cli.doctor.sources import Sources
from simpul_cli.reconciliation import GRACE, find_missing
from simpul_cli.reconciliation_watch import ReconciliationWatch
from simpul_cli.topology import apply_topology
from simpul_dev.backends import Backends
from simpul_dev.local_city import LocalCity
from simpul_intake.vault import create_master_key, read_master_keys
from simpul_runtime.database import utc_now
from simpul_runtime.metrics import REGISTRY
from simpul_schema import service_source
from simpul_schema.catalog import SERVICES
from simpul_schema.names import agency_inbox
from tests.integration.runtime.test_refused_connections import refusing_server
from tests.support.agreements import CITY
from tests.support.ledger import eventually, post_until_accepted
from tests.support.reports import a_report

NEWCOMER = "dinas-uji"
"""An agency that the running city does not have, so that its faults disturb nobody."""


def codes_of(area: str, facts: Any) -> set[str]:
    return {finding.code for check in getattr(checks, area).CHECKS for finding in check(facts)}


@pytest.fixture
async def databases(backends: Backends) -> dict[str, str]:
    """Migrated databases of intake and routing that no service uses."""
    mark = uuid4().hex[:6]
    names = {service: f"doctor_{mark}_{service}" for service in ("intake", "routing")}
    await create_databases(backends.postgres_url, names)
    urls = {service: backends.database_url(name) for service, name in names.items()}
    await migrate_services(urls)
    return urls


@pytest.fixture
def enlarged_city() -> City:
    return replace(CITY, agencies=(*CITY.agencies, Agency(NEWCOMER, "Dinas Uji", "service")))


async def execute(url: str, statement: str, *values: Any) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement, *values)
    finally:
        await connection.close()


async def report_to(city: LocalCity) -> None:
    async with aiohttp.ClientSession() as session:
        await post_until_accepted(session, city, a_report())


def test_a_running_city_is_healthy_but_for_its_backups_and_this_machine(
    city: LocalCity, environment: dict[str, str]
) -> None:
    asyncio.run(report_to(city))
    done = CliRunner().invoke(app, ["doctor", "--json"], env=environment)
    found = json.loads(done.output)
    text = CliRunner().invoke(app, ["doctor", "--language", "id"], env=environment)

    # Other tests share the servers and leave queues and parked messages; this machine may follow no time server.
    allowed = {"clock_free", "broker_undeclared", "messages_parked", "messages_dead", "alerts_failed", "disk_filling"}
    codes = {finding["code"] for finding in found["findings"]} - allowed
    assert codes == {"backup_missing", "backup_recipient_missing"}
    # Other code in the same process may log again.
    assert logging.getLogger().isEnabledFor(logging.CRITICAL)
    assert (done.exit_code, found["skipped"]) == (2, [])
    assert "Tidak ada cadangan." in text.output


async def test_databases_that_cannot_be_used_are_named(backends: Backends, databases: dict[str, str]) -> None:
    name = f"doctor_{uuid4().hex[:6]}"
    await create_databases(backends.postgres_url, {"desk": name})
    async with refusing_server(b"28P01") as refusing:
        urls = {
            "intake": databases["intake"],
            "routing": refusing,
            "notify": backends.database_url("no_such_database"),
            "desk": backends.database_url(name),
        }
        facts, skews = await probes.databases.collect(urls)
    away, _ = await probes.databases.collect({"intake": "postgresql://nobody@127.0.0.1:9/none"})

    found = {finding.code: str(finding.cause) for check in checks.databases.CHECKS for finding in check(facts)}
    assert found.keys() == {"database_login", "database_missing", "database_not_migrated"}
    assert "of desk is at revision -" in found["database_not_migrated"]
    assert skews.keys() == {"postgres"}
    assert codes_of("databases", away) == {"database_unreachable"}


async def test_a_long_transaction_and_lost_durability_are_seen(databases: dict[str, str]) -> None:
    connection = await asyncpg.connect(databases["routing"])
    try:
        async with connection.transaction():
            await connection.execute("SELECT 1")
            facts, _ = await probes.databases.collect({"routing": databases["routing"]})
    finally:
        await connection.close()
    name = databases["routing"].rpartition("/")[2]
    await execute(databases["routing"], f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    changed, _ = await probes.databases.collect({"routing": databases["routing"]})

    assert timedelta() < facts.databases["routing"].longest_transaction < timedelta(minutes=1)
    assert codes_of("databases", facts) == set()
    assert codes_of("databases", changed) == {"database_not_durable"}


async def test_faults_of_the_broker_are_named(backends: Backends, enlarged_city: City) -> None:
    mark = f"doctor-{uuid4().hex[:6]}"
    async with BrokerApi(backends.rabbitmq_api) as api:
        await apply_topology(api, build_city_topology(CITY))
        await api.call("DELETE", "policies", "{vhost}", "simpul-filtered-queue")
        limits = {"pattern": f"^{mark}$", "definition": {"max-length": 2}, "apply-to": "queues", "priority": 9}
        await api.call("PUT", "policies", "{vhost}", mark, body=limits)
        try:
            async with await aio_pika.connect(backends.amqp_url) as connection:
                channel = await connection.channel()
                await channel.declare_queue(mark, durable=True)
                for _ in range(2):
                    await channel.default_exchange.publish(aio_pika.Message(b"x"), mark)
            await eventually(lambda: _is_found(backends, enlarged_city, "queue_full"))
            found = codes_of("broker", await probes.broker.collect(backends.rabbitmq_api, enlarged_city))
        finally:
            await api.call("DELETE", "queues", "{vhost}", mark)
            await api.call("DELETE", "policies", "{vhost}", mark)
            await apply_topology(api, build_city_topology(CITY))
    right = backends.rabbitmq_api
    login = await probes.broker.collect(right.replace("guest:guest", "guest:wrong"), CITY)
    users = await probes.broker.collect(right, CITY, dict.fromkeys(USERS, "another"))
    away = await probes.broker.collect("http://guest:guest@127.0.0.1:9", CITY)

    assert {"broker_queue_missing", "broker_binding_missing", "broker_policy_missing", "queue_full"} <= found
    assert codes_of("broker", login) == {"broker_login"}
    assert "broker_users" in codes_of("broker", users)
    assert codes_of("broker", away) == {"broker_unreachable"}


async def _is_found(backends: Backends, city: City, code: str) -> bool:
    return code in codes_of("broker", await probes.broker.collect(backends.rabbitmq_api, city))


async def test_a_suspended_agency_with_open_referrals_and_a_wrong_key_is_named(
    backends: Backends, databases: dict[str, str], enlarged_city: City
) -> None:
    await add_open_referral(databases["routing"])
    await execute(
        databases["routing"],
        "INSERT INTO parked (digest, reason, exchange, routing_key, body) VALUES ('x', 'unknown_key', "
        f"'simpul.replies', 'reply.{NEWCOMER}.accepted.v1', '')",
    )
    sources = Sources(Path(), databases=databases, rabbitmq_api=backends.rabbitmq_api)
    async with BrokerApi(backends.rabbitmq_api) as api:
        await api.call("PUT", "queues", "{vhost}", agency_inbox(NEWCOMER), body={"durable": True, "arguments": {}})
        try:
            await accounts.add_all(backends.rabbitmq_api, backends.amqp_url, [NEWCOMER])
            active = await probes.agencies.collect(
                sources,
                enlarged_city,
                is_broker_usable=True,
                is_routing_usable=True,
            )
            await accounts.suspend(api, NEWCOMER)
            facts = await probes.agencies.collect(sources, enlarged_city, is_broker_usable=True, is_routing_usable=True)
        finally:
            await api.call("DELETE", "users", build_agency_user(NEWCOMER).name)
            await api.call("DELETE", "queues", "{vhost}", agency_inbox(NEWCOMER))

    def found(of: checks.agencies.AgencyFacts) -> set[str]:
        return codes_of("agencies", replace(of, agencies=[one for one in of.agencies if one.code == NEWCOMER]))

    assert found(active) == {"agency_silent", "agency_wrong_key"}
    assert found(facts) == {"agency_suspended", "agency_wrong_key"}


async def add_open_referral(url: str) -> None:
    case, now = uuid4(), utc_now()
    await execute(
        url,
        "INSERT INTO case_plan (case_id, state, urgency, urgency_from_facts, mediation_locked, agreement, "
        "agreement_digest, situation, rights, version, decided_at) "
        "VALUES ($1, 'open', 'high', 'high', false, '1', '', 'sealed elsewhere', '{}', 1, $2)",
        case,
        now,
    )
    await execute(
        url,
        "INSERT INTO referral (referral_id, case_id, agency, offered_at, answer_by) VALUES ($1, $2, $3, $4, $4)",
        uuid4(),
        case,
        NEWCOMER,
        now,
    )
    await execute(url, "INSERT INTO agency_manifest VALUES ($1, 7, 45)", NEWCOMER)


async def test_messages_that_do_not_move_are_counted_and_a_lost_report_is_published_again(
    databases: dict[str, str],
) -> None:
    old, event = utc_now() - timedelta(hours=1), uuid4()
    add = (
        "INSERT INTO outbox (message_id, exchange, routing_key, body, event_id, correlation_id, attempts, due_at, "
        "created_at, published_at) VALUES ($1, 'simpul.events', 'case.reported.v1', $2, $1, $1, 4, $3, $3, $4)"
    )
    await execute(databases["intake"], add, uuid4(), b"waits", old, None)
    await execute(databases["intake"], add, event, b"lost", old, old)
    arrived = uuid4()
    await execute(databases["intake"], add, arrived, b"arrived", old, old)
    receive = (
        "INSERT INTO inbox (source, event_id, type, subject, sequence, digest, state, received_at) "
        "VALUES ($1, $2, 'case.reported.v1', 's', $3, '', $4, $5)"
    )
    source = service_source("kediri", "intake")
    await execute(databases["routing"], receive, source, arrived, 1, "done", old)
    await execute(databases["routing"], receive, source, uuid4(), 3, "waiting_for_predecessor", old)
    await execute(databases["routing"], "INSERT INTO parked (digest, reason, body) VALUES ('x', 'forged', '')")
    await execute(
        databases["routing"],
        "INSERT INTO held_event (waits_for, exchange, routing_key, agency, subject, sequence, event_id, case_id, "
        "content) VALUES ('ylpa', 'e', 'k', 'ylpa', 's', 1, $1, $1, '')",
        uuid4(),
    )

    facts = await probes.messages.collect(databases, "kediri", utc_now())
    since, before = old - timedelta(days=1), utc_now() - GRACE
    [missing] = await find_missing(databases, "kediri", since=since, before=before)
    watch = ReconciliationWatch(databases, "kediri", repair=True)
    with capture_logs() as logs:
        counts = [await watch.compare(utc_now()), REGISTRY.get_sample_value("simpul_events_missing")]
        counts.append(await watch.compare(utc_now()))

    assert codes_of("messages", facts) == {
        "outbox_lag",
        "outbox_refused",
        "messages_parked",
        "messages_waiting",
        "events_held",
        "reports_unseen",
    }
    assert (missing.sender, missing.receiver, missing.wire_name) == ("intake", "routing", "case.reported.v1")
    assert counts == [1, 1.0, 0]
    assert [(line["event"], line["count"]) for line in logs] == [("events_missing", 1)]


async def test_no_receiver_of_a_running_city_lacks_anything(city: LocalCity) -> None:
    await report_to(city)
    urls = {service: city.database_url(service) for service in SERVICES}
    later = utc_now() + GRACE

    async def is_complete() -> bool:
        return await find_missing(urls, "kediri", since=later - timedelta(days=1), before=later) == []

    await eventually(is_complete)


async def test_a_wrong_vault_key_names_the_key_that_is_needed(city: LocalCity, data: Path) -> None:
    await report_to(city)
    right = read_master_keys(data / "secrets" / "vault.key")[0].key_id
    urls = {"intake_url": city.database_url("intake"), "routing_url": city.database_url("routing")}
    healthy = await probes.vault.collect(data, **urls)
    (data / "secrets" / "vault.key").unlink()
    create_master_key(data / "secrets" / "vault.key")
    shutil.copy2(city.keys / "intake.key.json", data / "secrets" / "routing.key.json")
    wrong = await probes.vault.collect(data, **urls)
    (data / "secrets" / "vault.key").write_text("no key")
    damaged = await probes.vault.collect(data, **urls)

    assert codes_of("vault", healthy) == set()
    assert codes_of("vault", wrong) == {"vault_key_missing", "routing_key_wrong"}
    assert set(wrong.missing) == {right}
    assert "vault_key_unreadable" in codes_of("vault", damaged)


async def test_wrong_passwords_and_certificates_of_providers_are_named(city: LocalCity, data: Path) -> None:
    settings = Sources(city.city_dir, data).settings()
    assert settings

    async def problems(**changed: str) -> dict[str, str]:
        facts = await probes.providers.collect({**settings, **changed}, "", city.city_dir)
        return {channel: provider.problem for channel, provider in facts.providers.items()}

    assert await problems() == {"sms": "", "mail": ""}
    assert await problems(KANNEL_PASSWORD="x", SMTP_PASSWORD="x") == {"sms": "login", "mail": "login"}
    assert (await problems(SIMPUL_SMTP_CA_FILE=""))["mail"] == "certificate"
    assert await problems(KANNEL_URL="http://127.0.0.1:9/", SMTP_PORT="9") == {
        "sms": "unreachable",
        "mail": "unreachable",
    }
