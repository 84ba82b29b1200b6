"""The broker users of services and of the operator's commands, and the administrators, who only use the API."""

import base64
import hashlib
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from simpul_agency.broker_api import BrokerApi
from simpul_cli.city_topology import build_operator_user, build_service_user
from simpul_runtime.topology import MATCHES_NOTHING, BrokerUser
from simpul_schema.catalog import SERVICES
from simpul_schema.names import OPERATOR_USER

USERS: Final = (*SERVICES, OPERATOR_USER)
"""Names in `SIMPUL_BROKER_PASSWORDS`."""
_SALT: Final = 4
"""Bytes of salt before the digest in what RabbitMQ stores of a password."""
_DIGESTS: Final = {"rabbit_password_hashing_sha256": "sha256", "rabbit_password_hashing_sha512": "sha512"}


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
        user = _declare(name)
        await api.call("PUT", "users", user.name, body={"password": password, "tags": ""})
        await set_permissions(api, user)


def _declare(name: str) -> BrokerUser:
    return build_operator_user() if name == OPERATOR_USER else build_service_user(name)


async def find_differences(api: BrokerApi, passwords: Mapping[str, str]) -> list[str]:
    """Finds differences between the users and their declaration, one sentence each and without a password.

    Without passwords, as where all services share one user, only those that exist are compared.
    """
    found = []
    for name in USERS:
        user = _declare(name)
        held = await api.call("GET", "users", user.name)
        if held is None:
            found += [f"broker user {user.name} is missing"] if passwords else []
            continue
        if held.get("tags"):
            found.append(f"broker user {user.name} has a tag of administrators")
        if await load_permissions(api, user.name) != permissions_of(user):
            found.append(f"broker user {user.name} has other permissions than declared")
        if passwords and not _is_password(passwords[name], held):
            found.append(f"broker user {user.name} has another password than SIMPUL_BROKER_PASSWORDS")
    if passwords:
        found += [f"administrator {name} can log in on the agencies' port" async for name in _find_admitted(api)]
    return found


def _is_password(password: str, held: Mapping[str, Any]) -> bool:
    """Whether a user's password is this one; a digest of an unknown kind counts as another password."""
    algorithm = _DIGESTS.get(held.get("hashing_algorithm", ""))
    stored = base64.b64decode(held.get("password_hash") or "")
    if algorithm is None or len(stored) <= _SALT:
        return False
    return hashlib.new(algorithm, stored[:_SALT] + password.encode()).digest() == stored[_SALT:]


async def load_permissions(api: BrokerApi, user: str) -> dict[str, Any]:
    """Loads the permissions of a user in this virtual host."""
    permission = await api.call("GET", "permissions", "{vhost}", user) or {}
    topics = await api.call("GET", "topic-permissions", "{vhost}", user) or []
    return {
        **{name: permission.get(name, MATCHES_NOTHING) for name in ("configure", "write", "read")},
        "topics": {topic["exchange"]: (topic["write"], topic["read"]) for topic in topics},
    }


def permissions_of(user: BrokerUser) -> dict[str, Any]:
    """Returns declared permissions as `load_permissions` returns those that a user has."""
    return {
        "configure": user.configure,
        "write": user.write,
        "read": user.read,
        "topics": {exchange: (keys, MATCHES_NOTHING) for exchange, keys in user.topics.items()},
    }


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
    found = await _find_administrators(api)
    for name in found:
        await api.call("PUT", "user-limits", name, "max-connections", body={"value": 0})
    return found


async def _find_administrators(api: BrokerApi) -> list[str]:
    users = await api.call("GET", "users") or []
    return sorted(user["name"] for user in users if "administrator" in user["tags"])


async def _find_admitted(api: BrokerApi) -> AsyncIterator[str]:
    """Yields administrators whom nothing keeps from logging in by AMQP."""
    limits = {limit["user"]: limit["value"] for limit in await api.call("GET", "user-limits") or []}
    for name in await _find_administrators(api):
        if limits.get(name, {}).get("max-connections") != 0:
            yield name
