"""Enrols the agencies whose requests lie in a folder: their keys before the broker runs, their broker users after."""

import asyncio
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from simpul_agency.broker_api import BrokerApi
from simpul_agency.enrolment import EnrolmentRequest, EnrolmentResponse, write_json
from simpul_city import City
from simpul_cli.agency import accounts
from simpul_cli.agency.certificates import Authority
from simpul_cli.agency.enrolment import enrol, read_enrolment
from simpul_cli.city_topology import build_agency_user
from simpul_seal import Directory

REQUEST: Final = ".enrolment-request.json"
RESPONSE: Final = ".enrolment-response.json"
ACCOUNTS_FILE: Final = "broker-accounts.json"
"""Broker user -> hash of its password, so that a broker that lost its volume gets the same users again."""
MAX_CONCURRENT: Final = 8


@dataclass(frozen=True, slots=True)
class Request:
    """A request that an agency sent, and whether the directory has its keys."""

    path: Path
    enrolment: EnrolmentRequest
    is_enrolled: bool

    @property
    def agency(self) -> str:
        """The code of the agency."""
        return self.enrolment.agency

    @property
    def fingerprint(self) -> str:
        """What the operator compares with the agency's screen, by phone."""
        return self.enrolment.public_keys().fingerprint


def requests_in(folder: Path, city: City, directory: Directory) -> Iterator[Request]:
    """Reads the requests of a folder by the agency in their names; raises NotEnrolled for one that is unusable."""
    known = {entry.keyid for entry in directory.entries}
    for path in sorted(folder.glob(f"*{REQUEST}")):
        found = read_enrolment(path, city.code, path.name.removesuffix(REQUEST))
        yield Request(path, found, found.public_keys().keyid in known)


def enrol_all(directory: Directory, requests: list[Request], now: datetime) -> Directory:
    """Returns the directory with the keys of these requests; it needs no broker."""
    for request in requests:
        directory = enrol(directory, request.enrolment.public_keys(), now, overlap=timedelta())
    return directory


@dataclass(frozen=True)
class Broker:
    """How to reach the broker, and how agencies reach it."""

    api: str
    for_agencies: str
    """Address without user, such as amqps://simpul.kota.example:5671/"""


async def connect_all(
    folder: Path, city: City, directory: Directory, broker: Broker, authority: Authority, now: datetime
) -> list[str]:
    """Gives every enrolled agency of the folder its queues and its broker user; returns who got a response.

    A user whom the broker has lost gets the password of before. Idempotent, also after a run that was killed.
    """
    requests = [request for request in requests_in(folder, city, directory) if request.is_enrolled]
    saved = _read_accounts(folder / ACCOUNTS_FILE)
    limit = asyncio.Semaphore(MAX_CONCURRENT)
    async with BrokerApi(broker.api) as api:

        async def connect(request: Request) -> str:
            async with limit:
                return await _connect(api, request, city, directory, broker, authority, saved, now)

        answered = await asyncio.gather(*(connect(request) for request in requests))
        users = await api.call("GET", "users") or []
    _write_accounts(folder / ACCOUNTS_FILE, users)
    return [code for code in answered if code]


async def _connect(
    api: BrokerApi,
    request: Request,
    city: City,
    directory: Directory,
    broker: Broker,
    authority: Authority,
    saved: Mapping[str, Any],
    now: datetime,
) -> str:
    """Connects one agency; returns its code if there is a response to send."""
    code = request.agency
    standing = await accounts.standing_of(api, code)
    queues = city.filtered_queues_of(code)
    if standing.state in (accounts.State.SUSPENDED, accounts.State.ACTIVE):
        # `simpul topology apply` has declared the queues of every agency.
        return ""
    if standing.state is accounts.State.ALTERED:
        await accounts.add(api, code, queues=queues)
        return ""
    user = build_agency_user(code).name
    if user in saved:
        await api.call("PUT", "users", user, body={**saved[user], "tags": ""})
        await accounts.add(api, code, queues=queues)
        return ""
    password = secrets.token_urlsafe(32)
    _write_response(folder_of(request), request, directory, authority, broker, password, now)
    await accounts.add(api, code, password, queues)
    return code


def folder_of(request: Request) -> Path:
    """Returns the folder of a request, in which its response appears."""
    return request.path.parent


def _write_response(
    folder: Path,
    request: Request,
    directory: Directory,
    authority: Authority,
    broker: Broker,
    password: str,
    now: datetime,
) -> None:
    """Writes the response before the user exists: a run that is killed in between replaces both."""
    code = request.agency
    response = EnrolmentResponse(
        city=request.enrolment.city,
        agency=code,
        amqp_url=SecretStr(accounts.address_for(broker.for_agencies, code, password)),
        directory=directory.to_json(),
        certificate=authority.for_agency(code, request.enrolment.certificate_request, now),
        authority=authority.pem,
    )
    path = folder / f"{code}{RESPONSE}"
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    write_json(unfinished, response)
    unfinished.replace(path)


def _read_accounts(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text())) if path.exists() else {}


def _write_accounts(path: Path, users: list[dict[str, Any]]) -> None:
    """Keeps the hashes of agencies' passwords; an administrator's comes from `.env`."""
    kept = {
        user["name"]: {name: user[name] for name in ("password_hash", "hashing_algorithm")}
        for user in users
        if user["name"].startswith("agency.") and user.get("password_hash")
    }
    unfinished = path.with_suffix(".new")
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(kept, file, indent=1, sort_keys=True)
    unfinished.replace(path)
