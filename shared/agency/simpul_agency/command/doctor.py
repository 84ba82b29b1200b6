"""Looks for what keeps an agency from receiving, and says for each what to do."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
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

from simpul_agency.drivers import driver_for
from simpul_agency.records import Standing
from simpul_agency.settings import AgencySettings
from simpul_agency.store import Store, StoreNewer
from simpul_agency.store.version import NEWEST
from simpul_schema.names import REPLIES, routing_key
from simpul_seal import Directory, KeyRing, UnknownKey

ANSWER_WITHIN: Final = 10.0
SOON: Final = timedelta(days=30)
"""Before its end a key or certificate is worth a word."""
MANY: Final = 1_000
"""Messages in the queue that look as if nobody takes them."""
SKEW: Final = timedelta(seconds=30)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    problem: str = ""
    """Empty when it is well."""
    remedy: str = ""
    is_warning: bool = False


async def examine(settings: AgencySettings, now: Optional[datetime] = None) -> AsyncIterator[Finding]:
    """Everything that can be seen from here, in the order in which one thing needs the other."""
    moment = now or datetime.now(timezone.utc)
    for finding in _keys(settings, moment):
        yield finding
    for finding in _certificate(settings, moment):
        yield finding
    async for finding in _broker(settings):
        yield finding
    async for finding in _store(settings):
        yield finding


def _keys(settings: AgencySettings, now: datetime) -> list[Finding]:
    try:
        ring = KeyRing.read(settings.key_file)
    except (OSError, ValueError, KeyError) as error:
        remedy = "look at SIMPUL_AGENCY_KEY_FILE; `simpul-agency init` makes keys"
        return [Finding("keys", f"cannot be read ({type(error).__name__})", remedy)]
    if settings.key_file.stat().st_mode & 0o077:
        return [Finding("keys", "others on this machine can read them", f"chmod 600 {settings.key_file}")]
    try:
        directory = Directory.read(settings.directory_file)
    except (OSError, ValueError, KeyError) as error:
        remedy = "look at SIMPUL_AGENCY_DIRECTORY_FILE; the city's file brings it, `simpul-agency join`"
        return [Finding("directory", f"cannot be read ({type(error).__name__})", remedy)]
    return _validity(ring, directory, now)


def _validity(ring: KeyRing, directory: Directory, now: datetime) -> list[Finding]:
    ended = [entry for entry in directory.entries if entry.keyid == ring.keyid and entry.not_after <= now]
    if ended:
        problem = (
            f"ended on {ended[0].not_after:%Y-%m-%d}: the city keeps what it has for this agency until new ones are "
            "enrolled, and takes no reply"
        )
        return [Finding("keys", problem, "simpul-agency rotate-key, and send the city the file")]
    try:
        known = directory.key(ring.keyid, now)
        directory.current("routing", now)
    except UnknownKey:
        remedy = (
            "send the city your enrolment file, and `simpul-agency join` what it sends back; "
            "if that was done, look at this machine's clock"
        )
        return [Finding("directory", "this agency's or the city's keys are not enrolled, or not valid now", remedy)]
    left = known.not_after - now
    if left < SOON:
        return [Finding("keys", f"end in {left.days} days", "simpul-agency rotate-key", is_warning=True)]
    return [Finding("keys"), _city_keys(directory, now)]


def _city_keys(directory: Directory, now: datetime) -> Finding:
    end = directory.usable_until("routing", now)
    if end is not None and end - now < SOON:
        remedy = "ask the city for its new directory.json, and put it in the place of yours"
        return Finding("directory", f"the city's keys in it end in {(end - now).days} days", remedy, is_warning=True)
    return Finding("directory")


def _certificate(settings: AgencySettings, now: datetime) -> list[Finding]:
    if settings.certificate_file is None:
        return []
    try:
        certificate = x509.load_pem_x509_certificate(settings.certificate_file.read_bytes())
    except (OSError, ValueError) as error:
        return [Finding("certificate", f"cannot be read ({type(error).__name__})", "simpul-agency join <file>")]
    left = certificate.not_valid_after_utc - now
    if left < timedelta():
        return [Finding("certificate", "has expired", "simpul-agency rotate-key, and send the city the file")]
    if left < SOON:
        return [Finding("certificate", f"expires in {left.days} days", "simpul-agency rotate-key", is_warning=True)]
    return [Finding("certificate")]


async def _broker(settings: AgencySettings) -> AsyncIterator[Finding]:
    try:
        connection = await asyncio.wait_for(aio_pika.connect(settings.broker_url), ANSWER_WITHIN)
    except (AuthenticationError, ProbableAuthenticationError):
        yield Finding("broker", "refuses this account", "ask the city: is it suspended, was its password renewed?")
        return
    except ssl.SSLError as error:
        yield Finding("broker", f"TLS fails ({error.reason or 'refused'})", "look at the three certificate settings")
        return
    except (AMQPError, OSError, asyncio.TimeoutError) as error:
        remedy = "look at SIMPUL_AGENCY_AMQP_URL and the network"
        yield Finding("broker", f"no connection ({type(error).__name__})", remedy)
        return
    async with connection:
        yield Finding("broker")
        yield await _queue(settings, connection)
        yield await _permission(settings, connection)


async def _queue(settings: AgencySettings, connection: AbstractConnection) -> Finding:
    channel = await connection.channel()
    try:
        queue = await channel.declare_queue(settings.queue_name, passive=True)
    except ChannelNotFoundEntity:
        remedy = f"the city runs `simpul agency add {settings.code}`"
        return Finding("queue", f"{settings.queue_name} is not there", remedy)
    except ChannelAccessRefused:
        return Finding("queue", "may not be read", "the city runs `simpul topology verify`; is the agency suspended?")
    waiting, consumers = queue.declaration_result.message_count or 0, queue.declaration_result.consumer_count or 0
    if waiting and not consumers:
        return Finding("queue", f"{waiting} messages wait and nobody takes them", "start the consumer", is_warning=True)
    if waiting > MANY:
        return Finding("queue", f"{waiting} messages wait", "the consumer is slow; see its log", is_warning=True)
    return Finding("queue")


async def _permission(settings: AgencySettings, connection: AbstractConnection) -> Finding:
    """Whether replies may be sent. The broker looks at permissions before it looks at the forged user and refuses."""
    channel = await connection.channel(publisher_confirms=True)
    exchange = await channel.get_exchange(REPLIES, ensure=False)
    trial = aio_pika.Message(b"", user_id="nobody")
    try:
        await exchange.publish(trial, routing_key(REPLIES, "reply.doctor.v1", settings.code), timeout=ANSWER_WITHIN)
    except ChannelPreconditionFailed:
        return Finding("permission")
    except (AMQPError, asyncio.TimeoutError):
        return Finding("permission", "this account may not reply", "the city runs `simpul topology verify`")
    return Finding("permission", "this account may speak as anybody", "the city takes its tags away")


async def _store(settings: AgencySettings) -> AsyncIterator[Finding]:
    store = Store(driver_for(settings.store_url))
    try:
        finding = await _version(store)
        yield finding
        if finding.problem:
            return
        waiting, unsaid, parked = await store.backlog()
        yield _counted("handlers", waiting, "events wait", "a handler fails; its log names the error")
        yield _counted("replies", unsaid, "replies wait for the broker", "start the consumer")
        yield _counted("parked", parked, "messages are set aside", "simpul-agency parked")
        standings = await store.settle()
        if not standings:
            remedy = "it comes within minutes of the consumer's start; call the city if it does not"
            yield Finding("heartbeat", "none has come yet", remedy, is_warning=True)
        for city in standings:
            yield _heartbeat(city)
            yield _clock(city)
            if city.hole:
                yield Finding("accounts", f"events {city.hole[0]} to {city.hole[1]} are missing", "start the consumer")
    finally:
        await store.close()


async def _version(store: Store) -> Finding:
    """A store without tables gets them; one with older tables is left to who stops the consumer first."""
    try:
        await store.connect()
        version = await store.version()
        if not version:
            await store.upgrade()
    except StoreNewer as error:
        return Finding("store", "has a newer version than this program", str(error))
    except Exception as error:
        return Finding("store", f"cannot be opened ({type(error).__name__})", "look at SIMPUL_AGENCY_STORE_URL")
    if version not in ("", NEWEST):
        remedy = "stop the consumer and start it again, or `simpul-agency upgrade`"
        return Finding("store", f"has version {version}, this program {NEWEST}", remedy, is_warning=True)
    return Finding(f"store, version {NEWEST}")


def _counted(what: str, count: int, words: str, remedy: str) -> Finding:
    return Finding(what, f"{count} {words}", remedy, is_warning=True) if count else Finding(what)


def _heartbeat(city: Standing) -> Finding:
    if city.is_silent(time.time()):
        return Finding("heartbeat", "is overdue", "is the consumer running? If it is, call the city")
    return Finding("heartbeat")


def _clock(city: Standing) -> Finding:
    """What comes from the future shows a clock that is behind; what is old may only have waited."""
    ahead = timedelta(seconds=city.received_at - city.issued_at)
    if ahead < -SKEW:
        return Finding(
            "clock", f"is {-ahead.total_seconds():.0f} s behind the city's", "set this machine's clock (NTP)"
        )
    if ahead > SKEW:
        problem = f"is {ahead.total_seconds():.0f} s ahead of the city's, or the last heartbeat had waited"
        return Finding("clock", problem, "set this machine's clock (NTP)", is_warning=True)
    return Finding("clock")
