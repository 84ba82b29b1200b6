"""A consumer in plain Python with aio-pika, cryptography, SQLite and the published JSON schemas.

It shares no code with Simpul's kit and passes `simpul-agency conform`. Each message, with everything that it changes
and its replies, is stored in one transaction before it is acknowledged.
"""

import asyncio
import hashlib
import json
import os
import re
import signal
import sqlite3
import time
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aio_pika
import jsonschema
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

CITY, CODE = os.environ["SIMPUL_AGENCY_CITY"], os.environ["SIMPUL_AGENCY_CODE"]
AMQP_URL = os.environ["SIMPUL_AGENCY_AMQP_URL"]
SCHEMAS = Path(os.environ["SIMPUL_AGENCY_SCHEMA_DIR"])
GAP_TIMEOUT = float(os.environ.get("SIMPUL_AGENCY_GAP_TIMEOUT", "5"))
SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
TYPES = ("referral.*", "agency.*", "dossier.*")
PUBLISHERS = {"dossier": "intake"}
"""The service that may publish a type, by its first word; routing publishes all others."""
MAX_BYTES = 256 * 1024
HEADER, DOMAIN = "simpul-signature", b"simpul-event-v1\n"
STREAM = str(uuid.uuid5(uuid.NAMESPACE_OID, CODE))

FORMATS = jsonschema.FormatChecker()
FORMATS.checks("date-time", (ValueError, TypeError))(lambda text: datetime.fromisoformat(text).tzinfo is not None)


class Unusable(Exception):
    """The message must be parked, for the reason in the message of this error."""


def decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Keys:
    """The agency's private keys and the public keys of all parties."""

    def __init__(self) -> None:
        own = json.loads(Path(os.environ["SIMPUL_AGENCY_KEY_FILE"]).read_text())
        self.keyid = own["keyid"]
        self.signing = Ed25519PrivateKey.from_private_bytes(decode(own["signing"]))
        self.sealing = [X25519PrivateKey.from_private_bytes(decode(k["sealing"])) for k in (own, *own.get("older", ()))]
        directory = json.loads(Path(os.environ["SIMPUL_AGENCY_DIRECTORY_FILE"]).read_text())
        self.public = {key["keyid"]: key for key in directory["keys"]}

    def sign(self, body: bytes) -> str:
        signature = urlsafe_b64encode(self.signing.sign(DOMAIN + body)).rstrip(b"=").decode()
        return f"v1 {self.keyid} {signature}"

    def signer_of(self, body: bytes, header: Any) -> str:
        """Returns the party that signed these bytes with a valid key; raises Unusable."""
        if not header:
            raise Unusable("unsigned")
        value = re.fullmatch("v1 ([!-~]+) ([A-Za-z0-9_-]{86})", str(header))
        if value is None:
            raise Unusable("forged")
        key = self.public.get(value[1])
        now = datetime.now(UTC)
        if key is None or not moment_of(key["not_before"]) <= now < moment_of(key["not_after"]):
            raise Unusable("unknown_key")
        public = Ed25519PublicKey.from_public_bytes(decode(key["signing"]))
        try:
            public.verify(decode(value[2]), DOMAIN + body)
        except InvalidSignature as error:
            raise Unusable("forged") from error
        return str(key["party"])

    def open(self, event: dict[str, Any]) -> dict[str, Any]:
        """Opens the sections that were sealed to this agency, such as the facts of an offer or a child's identity."""
        return {name: self.open_section(event, name) for name in event["data"].get("sealed", {})}

    def open_section(self, event: dict[str, Any], name: str) -> Any:
        sealed = decode(event["data"]["sealed"][name]["ciphertext"])
        binding = f"simpul/1|{event['id']}|{event['correlationid']}|{name}".encode()
        for key in self.sealing:
            try:
                return json.loads(SUITE.decrypt(sealed, key, info=binding))
            except (InvalidTag, ValueError):
                continue
        raise Unusable("cannot_open")


def read_event(body: bytes, header: Any, keys: Keys, validators: dict[str, Any]) -> dict[str, Any]:
    """Returns the verified and valid event; raises Unusable. Nothing is parsed before the signature is verified."""
    if len(body) > MAX_BYTES:
        raise Unusable("too_large")
    signer = keys.signer_of(body, header)
    try:
        event = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Unusable("malformed") from error
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        raise Unusable("malformed")
    if event.get("source") != f"/{CITY}/{signer}":
        raise Unusable("forged")
    if signer != PUBLISHERS.get(event["type"].partition(".")[0], "routing"):
        raise Unusable("unauthorized_publisher")
    validator = validators.get(event["type"])
    if validator is None:
        raise Unusable("unknown_type")
    if not validator.is_valid(event):
        raise Unusable("invalid")
    if event["data"].get("agency") != CODE:
        raise Unusable("for_another_agency")
    keys.open(event)
    return event


def new_services(event: dict[str, Any]) -> list[str]:
    """Returns the ids of the services that an event asks for: all of an offer, and those that an amendment added."""
    if event["type"] not in ("referral.offered.v1", "referral.amended.v1"):
        return []
    listed = [one["service_id"] for one in event["data"]["services"]]
    return [one for one in listed if one in event["data"].get("added", listed)]


TABLES = """
CREATE TABLE IF NOT EXISTS event (id text PRIMARY KEY, subject text, sequence int, type text, digest text, body blob,
    done int DEFAULT 0, at real);
CREATE INDEX IF NOT EXISTS event_stream ON event (subject, sequence);
CREATE TABLE IF NOT EXISTS parked (digest text PRIMARY KEY, reason text, body blob, header text);
CREATE TABLE IF NOT EXISTS reply (position integer PRIMARY KEY, key text, body blob, header text, sent int DEFAULT 0);
CREATE TABLE IF NOT EXISTS stream (subject text PRIMARY KEY, last_sequence int);
CREATE TABLE IF NOT EXISTS manifest_entry (number int PRIMARY KEY, event_id text, withheld int);
CREATE TABLE IF NOT EXISTS manifest (id int PRIMARY KEY, sequence int, last_number int, next_due_at real);
INSERT OR IGNORE INTO manifest VALUES (1, 0, 0, 1e18);
"""


_ADD = "INSERT INTO event (id, subject, sequence, type, digest, body, at) VALUES (?, ?, ?, ?, ?, ?, ?)"


class Agency:
    """Stores events and replies, and finds what is missing."""

    def __init__(self) -> None:
        self.keys = Keys()
        self.validators = {
            path.name.removesuffix(".json"): jsonschema.Draft202012Validator(
                json.loads(path.read_text()), format_checker=FORMATS
            )
            for pattern in TYPES
            for path in SCHEMAS.glob(f"{pattern}.json")
        }
        path = os.environ["SIMPUL_AGENCY_STORE_URL"].removeprefix("sqlite:///")
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;" + TABLES)
        self.requested: dict[str, float] = {}
        self.has_replies = asyncio.Event()

    def receive(self, body: bytes, header: Any) -> None:
        """Stores everything that a message changes, in one transaction."""
        with self.transaction():
            digest = hashlib.sha256(body).hexdigest()
            try:
                event = read_event(body, header, self.keys, self.validators)
                known = self.db.execute("SELECT digest FROM event WHERE id = ?", (event["id"],)).fetchone()
                if known and known[0] != digest:
                    raise Unusable("id_reused")
            except Unusable as error:
                self.park(body, header, digest, str(error))
                return
            if event["type"] == "agency.manifest.v1":
                self.store_manifest(event)
            elif not known:
                row = (event["id"], event["subject"], int(event["sequence"]), event["type"], digest, body, time.time())
                self.db.execute(_ADD, row)
                self.handle_in_order(event["subject"])

    def transaction(self) -> sqlite3.Connection:
        self.db.execute("BEGIN IMMEDIATE")
        return self.db

    def handle_in_order(self, subject: str) -> None:
        """Handles the events whose predecessor is done, one after another."""
        query = "SELECT id, sequence, body FROM event WHERE subject = ? AND done = 0 ORDER BY sequence"
        for event_id, sequence, body in self.db.execute(query, (subject,)).fetchall():
            before = "SELECT 1 FROM event WHERE subject = ? AND sequence = ? AND done = 1"
            if sequence > 1 and not self.db.execute(before, (subject, sequence - 1)).fetchone():
                return
            self.handle(json.loads(body))
            self.db.execute("UPDATE event SET done = 1 WHERE id = ?", (event_id,))

    def handle(self, event: dict[str, Any]) -> None:
        """Does the agency's own work; here it accepts every service."""
        services = new_services(event)
        if services:
            self.reply(event, "reply.referral.delivered.v1")
            self.reply(event, "reply.referral.accepted.v1", service_ids=services)
        if event["type"] == "referral.consent_withdrawn.v1":
            self.reply(event, "reply.withdrawal.acknowledged.v1")
        if event["type"].startswith("dossier."):
            # Sections stay sealed in the store and are opened when somebody reads them.
            self.delete_outdated(event)
        if event["type"] == "dossier.withdrawn.v1":
            self.reply(event, "reply.dossier.deleted.v1", withdrawal_id=event["data"]["withdrawal_id"])

    def delete_outdated(self, event: dict[str, Any]) -> None:
        """Deletes from earlier releases the sections that this event withdraws or replaces."""
        names = {one["section"] if isinstance(one, dict) else one for one in event["data"]["sections"]}
        query = "SELECT id, body FROM event WHERE subject = ? AND sequence < ? AND type = 'dossier.released.v1'"
        for event_id, body in self.db.execute(query, (event["subject"], int(event["sequence"]))).fetchall():
            released = json.loads(body)
            sealed = released["data"]["sealed"]
            released["data"]["sealed"] = {name: sealed[name] for name in sealed.keys() - names}
            self.db.execute("UPDATE event SET body = ? WHERE id = ?", (json.dumps(released).encode(), event_id))

    def reply(self, about: dict[str, Any], wire_name: str, **details: Any) -> None:
        data = {"referral_id": about["data"]["referral_id"], "agency": CODE, **details}
        self.enqueue(wire_name, about["subject"], about["correlationid"], data, about["id"])

    def enqueue(self, wire_name: str, subject: str, case_id: str, data: dict[str, Any], cause: str = "") -> None:
        last = self.db.execute("SELECT last_sequence FROM stream WHERE subject = ?", (subject,)).fetchone()
        sequence = (last[0] if last else 0) + 1
        self.db.execute("INSERT OR REPLACE INTO stream VALUES (?, ?)", (subject, sequence))
        event = {
            "specversion": "1.0",
            "id": str(uuid.uuid4()),
            "source": f"/{CITY}/agency/{CODE}",
            "type": wire_name,
            "subject": subject,
            "time": moment(datetime.now(UTC)),
            "datacontenttype": "application/json",
            "sequence": f"{sequence:010d}",
            "correlationid": case_id,
            "data": {**data, "sealed": {}},
        }
        event |= {"causationid": cause} if cause else {}
        key = f"reply.{CODE}.{wire_name.removeprefix('reply.').removeprefix('referral.')}"
        body = json.dumps(event).encode()
        self.db.execute("INSERT INTO reply (key, body, header) VALUES (?, ?, ?)", (key, body, self.keys.sign(body)))
        self.has_replies.set()

    def park(self, body: bytes, header: Any, digest: str, reason: str) -> None:
        row = (digest, reason, body, str(header or ""))
        added = self.db.execute("INSERT OR IGNORE INTO parked VALUES (?, ?, ?, ?)", row)
        if added.rowcount:
            data = {"agency": CODE, "reason": reason, "digest": digest}
            self.enqueue("reply.message.parked.v1", f"agency/{CODE}", STREAM, data)

    def store_manifest(self, event: dict[str, Any]) -> None:
        data = event["data"]
        rows = [(one["manifest_number"], one["event_id"], one["is_withheld"]) for one in data["events"]]
        self.db.executemany("INSERT OR REPLACE INTO manifest_entry VALUES (?, ?, ?)", rows)
        max_silence = moment_of(data["next_by"]) - moment_of(event["time"])
        self.db.execute("UPDATE manifest SET last_number = max(last_number, ?)", (data["last_manifest_number"],))
        # An old manifest that somebody sends again does not end the silence.
        self.db.execute(
            "UPDATE manifest SET next_due_at = ?, sequence = ? WHERE sequence < ?",
            (time.time() + max_silence.total_seconds(), int(event["sequence"]), int(event["sequence"])),
        )

    def request_missing(self) -> None:
        """Requests what is missing; the same range again after a minute."""
        with self.transaction():
            for key, missing in self.find_missing():
                if time.time() - self.requested.get(key, -1e9) > 60:
                    self.requested[key] = time.time()
                    self.enqueue("reply.resend.requested.v1", f"agency/{CODE}", STREAM, {"agency": CODE, **missing})

    def find_missing(self) -> list[tuple[str, dict[str, Any]]]:
        [last, next_due_at] = self.db.execute("SELECT last_number, next_due_at FROM manifest").fetchone()
        query = """
            SELECT number FROM manifest_entry m WHERE withheld OR EXISTS (SELECT 1 FROM event e WHERE e.id = m.event_id)
        """
        held = {number for (number,) in self.db.execute(query)}
        absent = [number for number in range(1, last + 1) if number not in held]
        found: list[tuple[str, dict[str, Any]]] = []
        if absent:
            found.append(
                (f"from {absent[0]}", {"first_manifest_number": absent[0], "last_manifest_number": absent[-1]})
            )
        if time.time() > next_due_at:
            found.append((f"silence {next_due_at}", {"first_manifest_number": last + 1}))
        waiting = self.db.execute("SELECT id, body FROM event WHERE done = 0 AND at < ?", (time.time() - GAP_TIMEOUT,))
        for event_id, body in waiting:
            until = moment_of(json.loads(body)["time"]) + timedelta(minutes=1)
            missing = {"since": moment(until - timedelta(days=7)), "until": moment(until)}
            found.append((f"before {event_id}", missing))
        return found


def moment_of(text: str) -> datetime:
    return datetime.fromisoformat(text)


def moment(when: datetime) -> str:
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def consume(agency: Agency, connection: Any) -> None:
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=50)
    queue = await channel.get_queue(f"agency.{CODE}.inbox", ensure=False)
    async with queue.iterator() as messages:
        async for message in messages:
            agency.receive(message.body, message.headers.get(HEADER))
            await message.ack()


async def publish_replies(agency: Agency, connection: Any) -> None:
    channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
    exchange = await channel.get_exchange("simpul.replies", ensure=False)
    while True:
        agency.has_replies.clear()
        unsent = "SELECT position, key, body, header FROM reply WHERE sent = 0 ORDER BY position LIMIT 50"
        for position, key, body, header in agency.db.execute(unsent).fetchall():
            message = aio_pika.Message(
                body,
                message_id=str(uuid.uuid4()),
                content_type="application/cloudevents+json",
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                user_id=f"agency.{CODE}",
                headers={"simpul-exchange": "simpul.replies", HEADER: header},
            )
            await exchange.publish(message, key, timeout=10)
            agency.db.execute("UPDATE reply SET sent = 1 WHERE position = ?", (position,))
            agency.has_replies.set()
        await agency.has_replies.wait()


async def monitor_gaps(agency: Agency) -> None:
    while True:
        await asyncio.sleep(GAP_TIMEOUT)
        agency.request_missing()


async def run(agency: Agency) -> None:
    """Runs until cancelled, and reconnects when the connection breaks."""
    while True:
        try:
            async with await aio_pika.connect(AMQP_URL) as connection, asyncio.TaskGroup() as tasks:
                for loop in (
                    consume(agency, connection),
                    publish_replies(agency, connection),
                    monitor_gaps(agency),
                    wait_until_closed(connection),
                ):
                    tasks.create_task(loop)
        except (OSError, aio_pika.exceptions.AMQPError, ExceptionGroup) as error:
            print(f"no connection to the broker ({type(error).__name__}), trying again")
        await asyncio.sleep(1)


async def wait_until_closed(connection: Any) -> None:
    closed = asyncio.get_running_loop().create_future()
    connection.close_callbacks.add(lambda *_: closed.done() or closed.set_result(None))
    await closed
    raise ConnectionError


async def main() -> None:
    task = asyncio.create_task(run(Agency()))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        print("stopped")


asyncio.run(main())
