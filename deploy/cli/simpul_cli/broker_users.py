"""The broker users of services and of the operator's commands, and the administrators, who only use the API."""

from collections.abc import Mapping
from typing import Final

from simpul_agency.broker_api import BrokerApi
from simpul_cli.city_topology import build_operator_user, build_service_user
from simpul_runtime.topology import MATCHES_NOTHING, BrokerUser
from simpul_schema.catalog import SERVICES
from simpul_schema.names import OPERATOR_USER

USERS: Final = (*SERVICES, OPERATOR_USER)
"""Names in `SIMPUL_BROKER_PASSWORDS`."""


class PasswordsIncomplete(Exception):
    """A password is missing or of nobody; the message names the users and no password."""


def read_passwords(given: str) -> dict[str, str]:
    """Reads `NAME=password` by spaces; raises PasswordsIncomplete unless it has one for each user or none at all."""
    found = dict(entry.partition("=")[::2] for entry in given.split())
    if found and (found.keys() != set(USERS) or not all(found.values())):
        msg = f"SIMPUL_BROKER_PASSWORDS is NAME=password by spaces, with the names {', '.join(USERS)}"
        raise PasswordsIncomplete(msg)
    return found


async def create_users(api: BrokerApi, passwords: Mapping[str, str]) -> None:
    """Creates users with their permissions, or gives existing ones these passwords and no more than is declared."""
    for name, password in passwords.items():
        user = build_operator_user() if name == OPERATOR_USER else build_service_user(name)
        await api.call("PUT", "users", user.name, body={"password": password, "tags": ""})
        await set_permissions(api, user)


async def set_permissions(api: BrokerApi, user: BrokerUser) -> None:
    """Gives a user exactly its permissions."""
    body = {"configure": user.configure, "write": user.write, "read": user.read}
    await api.call("PUT", "permissions", "{vhost}", user.name, body=body)
    for exchange, keys in user.topics.items():
        topic = {"exchange": exchange, "write": keys, "read": MATCHES_NOTHING}
        await api.call("PUT", "topic-permissions", "{vhost}", user.name, body=topic)


async def shut_out_administrators(api: BrokerApi) -> list[str]:
    """Keeps every administrator from logging in on the agencies' port and every other AMQP port; returns who they are.

    They use the management API, which is reachable inside only.
    """
    users = await api.call("GET", "users") or []
    found = sorted(user["name"] for user in users if "administrator" in user["tags"])
    for name in found:
        await api.call("PUT", "user-limits", name, "max-connections", body={"value": 0})
    return found
