"""Each service has a broker user of its own with the permissions that it needs, and no administrator uses AMQP."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import aio_pika
import pytest
from aiormq.exceptions import AMQPError
from typer.testing import CliRunner

from simpul_agency.broker_api import BrokerApi
from simpul_cli import broker_users
from simpul_cli.app import app
from simpul_cli.broker_users import USERS, PasswordsIncomplete, read_passwords
from simpul_cli.city_topology import build_topology
from simpul_cli.topology import apply_topology, resend_messages
from simpul_dev.backends import Backends
from simpul_schema.catalog import ANY_SERVICE, CATALOG, SERVICES
from simpul_schema.names import DEAD, EVENTS, OPERATOR_USER, REFERRALS, REPLIES, UNROUTED, agency_inbox, service_inbox
from tests.conftest import broker_of_its_own
from tests.integration.isolation.test_matrix import Try, attempt

AGENCY = "ylpa"
QUEUES = (*map(service_inbox, SERVICES), agency_inbox(AGENCY), UNROUTED, DEAD)
EXCHANGES = (EVENTS, REFERRALS, REPLIES, UNROUTED, DEAD, "")
OF_EVENTS = tuple(row.wire_name for row in CATALOG if EVENTS in row.exchanges)
TO_AGENCIES = (
    f"referral.{AGENCY}.medical_care.high.offered.v1",
    f"agency.{AGENCY}.manifest.v1",
    f"referral.{AGENCY}.dossier.released.v1",
)
OTHERS = (f"reply.{AGENCY}.referral.accepted.v1", "#", "routing.inbox", "case.reported.v2")
PASSWORD = "x" * 24


def is_allowed(what: Try) -> bool:
    """What a service needs: its own inbox, its own events, and for routing the agencies' events."""
    if what.operation in ("get", "consume", "purge"):
        return what.resource == service_inbox(what.user)
    if what.operation != "publish":
        return False
    if what.resource == REFERRALS:
        return what.user == "routing" and what.key in TO_AGENCIES
    own = [row.wire_name for row in CATALOG if row.publisher in (what.user, ANY_SERVICE)]
    return what.resource == EVENTS and what.key in own and what.key in OF_EVENTS


def operations(service: str) -> list[Try]:
    few = (service_inbox("routing"), "case.reported.v1", *TO_AGENCIES, *OTHERS)
    tries = [Try(service, "publish", EVENTS, key) for key in (*OF_EVENTS, *TO_AGENCIES, *OTHERS)]
    tries += [Try(service, "publish", exchange, key) for exchange in EXCHANGES if exchange != EVENTS for key in few]
    tries += [
        Try(service, operation, queue)
        for queue in QUEUES
        for operation in ("get", "consume", "purge", "delete", "redeclare queue")
    ]
    tries += [Try(service, "bind", queue, f"{EVENTS}|#") for queue in QUEUES]
    tries += [
        Try(service, operation, exchange)
        for exchange in EXCHANGES
        for operation in ("redeclare exchange", "delete exchange")
    ]
    return tries


@dataclass
class Broker:
    api: BrokerApi
    admin_url: str

    def url(self, user: str, password: str = PASSWORD) -> str:
        parts = urlsplit(self.admin_url)
        return urlunsplit(parts._replace(netloc=f"{user}:{password}@{parts.netloc.rpartition('@')[2]}"))


@pytest.fixture
async def broker(backends: Backends) -> AsyncIterator[Broker]:
    with broker_of_its_own(backends) as own:
        async with BrokerApi(own.rabbitmq_api) as api:
            await apply_topology(api, build_topology([AGENCY]))
            await broker_users.create_users(api, dict.fromkeys(USERS, PASSWORD))
            yield Broker(api, own.amqp_url)


async def test_every_operation_of_every_service_is_allowed_or_refused_as_it_needs(broker: Broker) -> None:
    wrong, allowed = [], 0
    for service in SERVICES:
        url = broker.url(f"service.{service}")
        connection: Any = await aio_pika.connect(url)
        for what in operations(service):
            try:
                await attempt(connection, what)
                was_allowed = True
            except (AMQPError, ValueError):
                was_allowed = False
            allowed += was_allowed
            if was_allowed is not is_allowed(what):
                wrong.append((what, "allowed" if was_allowed else "refused"))
            if connection.is_closed:
                connection = await aio_pika.connect(url)
        await connection.close()

    assert wrong == []
    assert allowed == sum(is_allowed(what) for service in SERVICES for what in operations(service)) > 40


async def test_users_of_services_have_no_tag_and_their_own_password(broker: Broker) -> None:
    users = {user["name"]: user["tags"] for user in await broker.api.call("GET", "users") or []}
    names = {f"service.{service}" for service in SERVICES} | {OPERATOR_USER}

    assert names < users.keys()
    assert {str(users[name]).strip("[]") for name in names} == {""}
    with pytest.raises((AMQPError, ConnectionError)):
        await aio_pika.connect(broker.url("service.intake", "another"))


async def test_no_administrator_logs_in_by_amqp_and_the_api_still_declares(broker: Broker) -> None:
    await (await aio_pika.connect(broker.admin_url)).close()

    names = await broker_users.shut_out_administrators(broker.api)

    assert names == ["guest"]
    with pytest.raises((AMQPError, ConnectionError)):
        await aio_pika.connect(broker.admin_url)
    await apply_topology(broker.api, build_topology([AGENCY, "rs-rujukan"]))
    assert await broker.api.call("GET", "queues", "{vhost}", agency_inbox("rs-rujukan"))


async def test_each_difference_of_a_user_is_named_and_applying_mends_it(broker: Broker) -> None:
    passwords = dict.fromkeys(USERS, PASSWORD)
    await broker_users.shut_out_administrators(broker.api)
    healthy = await broker_users.find_differences(broker.api, passwords)
    wide = {"configure": ".*", "write": ".*", "read": ".*"}
    await broker.api.call("PUT", "permissions", "{vhost}", "service.routing", body=wide)
    await broker.api.call("DELETE", "topic-permissions", "{vhost}", "service.intake")
    await broker.api.call("DELETE", "users", "service.desk")
    await broker.api.call("PUT", "users", OPERATOR_USER, body={"password": PASSWORD, "tags": "administrator"})
    changed = await broker_users.find_differences(broker.api, passwords | {"notify": "another"})
    without_passwords = await broker_users.find_differences(broker.api, {})
    await broker_users.create_users(broker.api, passwords)

    narrowed = [
        "broker user service.intake has other permissions than declared",
        "broker user service.routing has other permissions than declared",
    ]
    tagged = f"broker user {OPERATOR_USER} has a tag of administrators"
    assert healthy == []
    assert changed == [
        *narrowed,
        "broker user service.notify has another password than SIMPUL_BROKER_PASSWORDS",
        "broker user service.desk is missing",
        tagged,
        f"administrator {OPERATOR_USER} can log in on the agencies' port",
    ]
    assert without_passwords == [*narrowed, tagged]
    assert await broker_users.find_differences(broker.api, passwords) == []


async def test_the_operator_sends_waiting_messages_again_after_the_administrator_was_shut_out(broker: Broker) -> None:
    async with await aio_pika.connect(broker.admin_url) as connection:
        channel = await connection.channel()
        unrouted = await channel.get_exchange(UNROUTED, ensure=False)
        await unrouted.publish(aio_pika.Message(b"{}", headers={"simpul-exchange": EVENTS}), "case.reported.v1")
    await broker_users.shut_out_administrators(broker.api)

    assert await resend_messages(broker.url(OPERATOR_USER), UNROUTED) == 1


@pytest.mark.parametrize("given", ["intake=a", "intake=a routing=b notify=c desk=d operator=", "x"], ids=range(3))
def test_passwords_are_complete_or_refused_without_being_shown(given: str) -> None:
    with pytest.raises(PasswordsIncomplete) as refusal:
        read_passwords(given)

    assert "=b" not in str(refusal.value)
    assert read_passwords("") == {}
    assert read_passwords(" ".join(f"{name}={PASSWORD}" for name in USERS)) == dict.fromkeys(USERS, PASSWORD)


def test_the_command_creates_the_users_and_shuts_administrators_out(backends: Backends) -> None:
    with broker_of_its_own(backends) as own:
        passwords = " ".join(f"{name}={PASSWORD}" for name in USERS)
        operator = Broker(BrokerApi(own.rabbitmq_api), own.amqp_url).url(OPERATOR_USER)
        environment = {
            "SIMPUL_RABBITMQ_API": own.rabbitmq_api,
            "SIMPUL_AMQP_URL": operator,
            "SIMPUL_BROKER_PASSWORDS": passwords,
        }
        for _ in range(2):
            done = CliRunner().invoke(app, ["topology", "apply"], env=environment)
            assert done.exit_code == 0, done.output
            assert "guest can use the API only" in done.output
            assert PASSWORD not in done.output
        verified = CliRunner().invoke(app, ["topology", "verify"], env=environment)
        environment["SIMPUL_BROKER_PASSWORDS"] = passwords.replace(f"intake={PASSWORD}", "intake=another")
        refused = CliRunner().invoke(app, ["topology", "verify"], env=environment)

    assert "service.intake" not in verified.output
    assert "broker user service.intake has another password" in refused.output
    assert (refused.exit_code, "another\n" in refused.output) == (1, False)
