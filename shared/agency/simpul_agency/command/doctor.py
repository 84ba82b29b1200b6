"""Checks everything that an agency needs in order to receive, and says how to fix what is wrong."""

import asyncio
import os
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Final, Optional

import aio_pika
from aio_pika.abc import AbstractConnection
from aiormq.exceptions import (
    AMQPError,
    AuthenticationError,
    ChannelAccessRefused,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
    ProbableAuthenticationError,
)
from cryptography import x509

from simpul_agency.command.files import SETTINGS_FILE
from simpul_agency.command.unknown_settings import find_unknown_settings
from simpul_agency.drivers import driver_for
from simpul_agency.records import DeliveryStatus
from simpul_agency.settings import AgencySettings
from simpul_agency.store import Store, StoreNewer
from simpul_agency.store.version import NEWEST
from simpul_schema.names import REPLIES, routing_key
from simpul_seal import Directory, KeyRing, UnknownKey

BROKER_TIMEOUT: Final = 10.0
"""Seconds the broker has to answer."""
EXPIRY_WARNING: Final = timedelta(days=30)
"""How long before the end of a key or certificate the doctor warns."""
MAX_QUEUED: Final = 1_000
"""Messages in the queue from which the consumer counts as slow."""
MAX_CLOCK_SKEW: Final = timedelta(seconds=30)


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    name: str
    problem: str = ""
    """Empty when the check passed."""
    remedy: str = ""
    is_warning: bool = False


async def examine(settings: AgencySettings, now: Optional[datetime] = None) -> AsyncIterator[Finding]:
    """Runs all checks, in the order in which they depend on each other."""
    moment = now or datetime.now(timezone.utc)
    for finding in check_names_of_settings(os.environ, Path(SETTINGS_FILE)):
        yield finding
    for finding in check_keys(settings, moment):
        yield finding
    for finding in check_certificate(settings, moment):
        yield finding
    async for finding in _check_broker(settings):
        yield finding
    async for finding in _check_store(settings):
        yield finding


def check_names_of_settings(environment: Mapping[str, str], settings_file: Path) -> list[Finding]:
    """Checks that every setting is one that the kit reads."""
    return [
        Finding(
            "settings", f"{name} is unknown and has no effect", f"the closest setting is {closest}", is_warning=True
        )
        for name, closest in find_unknown_settings(environment, settings_file).items()
    ]


def check_keys(settings: AgencySettings, now: datetime) -> list[Finding]:
    """Checks the agency's keys and the directory."""
    try:
        ring = KeyRing.read(settings.key_file)
    except (OSError, ValueError, KeyError) as error:
        remedy = "check SIMPUL_AGENCY_KEY_FILE; `simpul-agency init` makes keys"
        return [Finding("keys", f"cannot be read ({type(error).__name__})", remedy)]
    if settings.key_file.stat().st_mode & 0o077:
        return [Finding("keys", "others on this machine can read them", f"chmod 600 {settings.key_file}")]
    try:
        directory = Directory.read(settings.directory_file)
    except (OSError, ValueError, KeyError) as error:
        remedy = "check SIMPUL_AGENCY_DIRECTORY_FILE; `simpul-agency join` writes it"
        return [Finding("directory", f"cannot be read ({type(error).__name__})", remedy)]
    return _check_validity(ring, directory, now)


def _check_validity(ring: KeyRing, directory: Directory, now: datetime) -> list[Finding]:
    ended = [entry for entry in directory.entries if entry.keyid == ring.keyid and entry.not_after <= now]
    if ended:
        problem = (
            f"ended on {ended[0].not_after:%Y-%m-%d}: the city holds back events and parks replies until new keys are "
            "enrolled"
        )
        return [Finding("keys", problem, "simpul-agency rotate-key, and send the city the file")]
    try:
        known = directory.key(ring.keyid, now)
        directory.current("routing", now)
    except UnknownKey:
        remedy = (
            "send your enrolment request to the city, and `simpul-agency join` its response; "
            "if that was done, check this machine's clock"
        )
        return [Finding("directory", "this agency's or the city's keys are not enrolled, or not valid now", remedy)]
    left = known.not_after - now
    if left < EXPIRY_WARNING:
        return [Finding("keys", f"end in {left.days} days", "simpul-agency rotate-key", is_warning=True)]
    return [Finding("keys"), _check_city_keys(directory, now)]


def _check_city_keys(directory: Directory, now: datetime) -> Finding:
    end = directory.usable_until("routing", now)
    if end is not None and end - now < EXPIRY_WARNING:
        remedy = "get the city's new directory.json, and replace yours"
        return Finding("directory", f"the city's keys end in {(end - now).days} days", remedy, is_warning=True)
    return Finding("directory")


def check_certificate(settings: AgencySettings, now: datetime) -> list[Finding]:
    """Checks the certificate for TLS; there is none to check without TLS."""
    if settings.certificate_file is None:
        return []
    try:
        certificate = x509.load_pem_x509_certificate(settings.certificate_file.read_bytes())
    except (OSError, ValueError) as error:
        return [Finding("certificate", f"cannot be read ({type(error).__name__})", "simpul-agency join <file>")]
    left = certificate.not_valid_after_utc - now
    if left < timedelta():
        return [Finding("certificate", "has expired", "simpul-agency rotate-key, and send the city the file")]
    if left < EXPIRY_WARNING:
        return [Finding("certificate", f"expires in {left.days} days", "simpul-agency rotate-key", is_warning=True)]
    return [Finding("certificate")]


async def _check_broker(settings: AgencySettings) -> AsyncIterator[Finding]:
    try:
        connection = await asyncio.wait_for(aio_pika.connect(settings.broker_url), BROKER_TIMEOUT)
    except (AuthenticationError, ProbableAuthenticationError):
        yield Finding(
            "broker",
            "refuses this broker user",
            "ask the city whether the agency is suspended or its password was changed",
        )
        return
    except ssl.SSLError as error:
        yield Finding(
            "broker",
            f"TLS fails ({error.reason or 'refused'})",
            "check SIMPUL_AGENCY_CA_FILE, _CERTIFICATE_FILE and _CERTIFICATE_KEY_FILE",
        )
        return
    except (AMQPError, OSError, asyncio.TimeoutError) as error:
        remedy = "check SIMPUL_AGENCY_AMQP_URL and the network"
        yield Finding("broker", f"no connection ({type(error).__name__})", remedy)
        return
    async with connection:
        yield Finding("broker")
        yield await _check_queue(settings, connection)
        yield await _check_permission(settings, connection)


async def _check_queue(settings: AgencySettings, connection: AbstractConnection) -> Finding:
    channel = await connection.channel()
    try:
        queue = await channel.declare_queue(settings.queue_name, passive=True)
    except ChannelNotFoundEntity:
        remedy = f"the city runs `simpul agency add {settings.code}`"
        return Finding("queue", f"{settings.queue_name} does not exist", remedy)
    except ChannelAccessRefused:
        return Finding("queue", "may not be read", "the city runs `simpul topology verify`; is the agency suspended?")
    waiting, consumers = queue.declaration_result.message_count or 0, queue.declaration_result.consumer_count or 0
    if waiting and not consumers:
        return Finding(
            "queue", f"{waiting} messages wait and no consumer is running", "start the consumer", is_warning=True
        )
    if waiting > MAX_QUEUED:
        return Finding("queue", f"{waiting} messages wait", "the consumer is slow: see its log", is_warning=True)
    return Finding("queue")


async def _check_permission(settings: AgencySettings, connection: AbstractConnection) -> Finding:
    """Checks that replies may be published: the broker checks permissions before it refuses the forged user."""
    channel = await connection.channel(publisher_confirms=True)
    exchange = await channel.get_exchange(REPLIES, ensure=False)
    probe = aio_pika.Message(b"", user_id="nobody")
    try:
        await exchange.publish(probe, routing_key(REPLIES, "reply.doctor.v1", settings.code), timeout=BROKER_TIMEOUT)
    except ChannelPreconditionFailed:
        return Finding("permission")
    except (AMQPError, asyncio.TimeoutError):
        return Finding("permission", "this broker user may not reply", "the city runs `simpul topology verify`")
    return Finding("permission", "this broker user may publish as anybody", "the city removes its tags")


async def _check_store(settings: AgencySettings) -> AsyncIterator[Finding]:
    store = Store(driver_for(settings.store_url))
    try:
        finding = await check_version(store)
        yield finding
        if finding.problem:
            return
        backlog = await store.count_backlog()
        yield _count("handlers", backlog.pending_events, "events wait", "if a handler fails, the log names the error")
        yield _count("replies", backlog.unpublished_replies, "replies wait for the broker", "start the consumer")
        yield _count("parked", backlog.parked_messages, "messages are parked", "simpul-agency parked")
        statuses = await store.compare_manifests()
        if not statuses:
            remedy = "one comes within minutes of the consumer's start; call the city if it does not"
            yield Finding("manifest", "none has come yet", remedy, is_warning=True)
        for city in statuses:
            yield _check_manifest(city)
            yield check_clock(city)
            if city.first_missing:
                first, last = city.first_missing
                yield Finding("delivery", f"events {first} to {last} are missing", "start the consumer")
    finally:
        await store.close()


async def check_version(store: Store) -> Finding:
    """Checks the store's version; creates missing tables, but leaves an upgrade to a stopped consumer."""
    try:
        await store.connect()
        version = await store.read_version()
        if not version:
            await store.upgrade()
    except StoreNewer as error:
        return Finding("store", "has a newer version than this program", str(error))
    except Exception as error:
        return Finding("store", f"cannot be opened ({type(error).__name__})", "check SIMPUL_AGENCY_STORE_URL")
    if version not in ("", NEWEST):
        remedy = "restart the consumer, or run `simpul-agency upgrade` while it is stopped"
        return Finding("store", f"has version {version}, this program {NEWEST}", remedy, is_warning=True)
    return Finding(f"store, version {NEWEST}")


def _count(name: str, count: int, problem: str, remedy: str) -> Finding:
    return Finding(name, f"{count} {problem}", remedy, is_warning=True) if count else Finding(name)


def _check_manifest(city: DeliveryStatus) -> Finding:
    if city.is_silent(time.time()):
        return Finding("manifest", "is overdue", "start the consumer; if it is running, call the city")
    return Finding("manifest")


def check_clock(city: DeliveryStatus) -> Finding:
    """Compares the clocks: a manifest from the future shows a slow clock; an old one may have waited in the queue."""
    skew = timedelta(seconds=city.received_at - city.issued_at)
    if skew < -MAX_CLOCK_SKEW:
        return Finding("clock", f"is {-skew.total_seconds():.0f} s behind the city's", "set this machine's clock (NTP)")
    if skew > MAX_CLOCK_SKEW:
        problem = f"is {skew.total_seconds():.0f} s ahead of the city's, or the last manifest waited in the queue"
        return Finding("clock", problem, "set this machine's clock (NTP)", is_warning=True)
    return Finding("clock")
