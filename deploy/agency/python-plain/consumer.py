"""A consumer in plain Python: aio-pika for the broker, cryptography for keys, SQLite for memory, the published schemas.

It shares no code with Simpul's kit and passes `simpul-agency conform`. Everything that a message changes, its replies
included, is written in one transaction before the message is acknowledged.
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
ASK_AFTER = float(os.environ.get("SIMPUL_AGENCY_ASK_AFTER", "5"))
SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
FROM_ROUTING = "referral."
MAX_BYTES = 256 * 1024
HEADER, DOMAIN = "simpul-signature", b"simpul-event-v1\n"
STREAM = str(uuid.uuid5(uuid.NAMESPACE_OID, CODE))

FORMATS = jsonschema.FormatChecker()
FORMATS.checks("date-time", (ValueError, TypeError))(lambda text: datetime.fromisoformat(text).tzinfo is not None)


class Unusable(Exception):
    """The message is kept aside; the word says why."""


def decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Keys:
    """The agency's private keys and everybody's public ones."""

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
        """Who signed these bytes, with a key that counts today; Unusable when nobody did."""
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

    def open(self, event: dict[str, Any]) -> dict[str, Any] | None:
        """The facts that were sealed to this agency; None where there are none."""
        section = event["data"].get("sealed", {}).get("facts")
        if section is None:
            return None
        binding = f"simpul/1|{event['id']}|{event['correlationid']}|facts".encode()
        for key in self.sealing:
            try:
                facts: dict[str, Any] = json.loads(SUITE.decrypt(decode(section["ciphertext"]), key, info=binding))
                return facts
            except (InvalidTag, ValueError):
                continue
        raise Unusable("cannot_open")


def read(body: bytes, header: Any, keys: Keys, validators: dict[str, Any]) -> dict[str, Any]:
    """The event, believed and understood; Unusable otherwise. Nothing is parsed before it is known who wrote it."""
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
    if signer != "routing":
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


TABLES = """
CREATE TABLE IF NOT EXISTS event (id text PRIMARY KEY, subject text, sequence int, type text, digest text, body blob,
    done int DEFAULT 0, at real);
CREATE INDEX IF NOT EXISTS event_stream ON event (subject, sequence);
CREATE TABLE IF NOT EXISTS aside (digest text PRIMARY KEY, reason text, body blob, header text);
CREATE TABLE IF NOT EXISTS reply (place integer PRIMARY KEY, key text, body blob, header text, sent int DEFAULT 0);
CREATE TABLE IF NOT EXISTS stream (subject text PRIMARY KEY, last int);
CREATE TABLE IF NOT EXISTS account (number int PRIMARY KEY, event_id text, withheld int);
CREATE TABLE IF NOT EXISTS city (one int PRIMARY KEY, sequence int, last_number int, quiet_until real);
INSERT OR IGNORE INTO city VALUES (1, 0, 0, 1e18);
"""


_ADD = "INSERT INTO event (id, subject, sequence, type, digest, body, at) VALUES (?, ?, ?, ?, ?, ?, ?)"


class Agency:
    """What was received, what is to be said, and what is missing."""

    def __init__(self) -> None:
        self.keys = Keys()
        self.validators = {
            path.name.removesuffix(".json"): jsonschema.Draft202012Validator(
                json.loads(path.read_text()), format_checker=FORMATS
            )
            for path in SCHEMAS.glob(f"{FROM_ROUTING}*.json")
        }
        path = os.environ["SIMPUL_AGENCY_STORE_URL"].removeprefix("sqlite:///")
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;" + TABLES)
        self.asked: dict[str, float] = {}
        self.to_say = asyncio.Event()

    def take(self, body: bytes, header: Any) -> None:
        """Everything that a message changes, in one transaction."""
        with self.transaction():
            digest = hashlib.sha256(body).hexdigest()
            try:
                event = read(body, header, self.keys, self.validators)
                known = self.db.execute("SELECT digest FROM event WHERE id = ?", (event["id"],)).fetchone()
                if known and known[0] != digest:
                    raise Unusable("id_reused")
            except Unusable as error:
                self.set_aside(body, header, digest, str(error))
                return
            if event["type"] == "referral.heartbeat.v1":
                self.note_account(event)
            elif not known:
                row = (event["id"], event["subject"], int(event["sequence"]), event["type"], digest, body, time.time())
                self.db.execute(_ADD, row)
                self.handle_in_order(event["subject"])

    def transaction(self) -> sqlite3.Connection:
        self.db.execute("BEGIN IMMEDIATE")
        return self.db

    def handle_in_order(self, subject: str) -> None:
        """Those whose predecessor is done, one after the other."""
        query = "SELECT id, sequence, body FROM event WHERE subject = ? AND done = 0 ORDER BY sequence"
        for event_id, sequence, body in self.db.execute(query, (subject,)).fetchall():
            before = "SELECT 1 FROM event WHERE subject = ? AND sequence = ? AND done = 1"
            if sequence > 1 and not self.db.execute(before, (subject, sequence - 1)).fetchone():
                return
            self.handle(json.loads(body))
            self.db.execute("UPDATE event SET done = 1 WHERE id = ?", (event_id,))

    def handle(self, event: dict[str, Any]) -> None:
        """The agency's own work; here every offer is taken."""
        if event["type"] == "referral.offered.v1":
            for word in ("delivered", "accepted"):
                self.reply(event, f"reply.referral.{word}.v1")
        if event["type"] == "referral.consent_withdrawn.v1":
            self.reply(event, "reply.withdrawal.acknowledged.v1")

    def reply(self, about: dict[str, Any], wire_name: str) -> None:
        data = {"referral_id": about["data"]["referral_id"], "agency": CODE}
        self.say(wire_name, about["subject"], about["correlationid"], data, about["id"])

    def say(self, wire_name: str, subject: str, case_id: str, data: dict[str, Any], cause: str = "") -> None:
        last = self.db.execute("SELECT last FROM stream WHERE subject = ?", (subject,)).fetchone()
        place = (last[0] if last else 0) + 1
        self.db.execute("INSERT OR REPLACE INTO stream VALUES (?, ?)", (subject, place))
        event = {
            "specversion": "1.0", "id": str(uuid.uuid4()), "source": f"/{CITY}/agency/{CODE}", "type": wire_name,
            "subject": subject, "time": moment(datetime.now(UTC)), "datacontenttype": "application/json",
            "sequence": f"{place:010d}", "correlationid": case_id, "data": {**data, "sealed": {}},
        }  # fmt: skip
        event |= {"causationid": cause} if cause else {}
        key = f"reply.{CODE}.{wire_name.removeprefix('reply.').removeprefix('referral.')}"
        body = json.dumps(event).encode()
        self.db.execute("INSERT INTO reply (key, body, header) VALUES (?, ?, ?)", (key, body, self.keys.sign(body)))
        self.to_say.set()

    def set_aside(self, body: bytes, header: Any, digest: str, reason: str) -> None:
        row = (digest, reason, body, str(header or ""))
        added = self.db.execute("INSERT OR IGNORE INTO aside VALUES (?, ?, ?, ?)", row)
        if added.rowcount:
            data = {"agency": CODE, "reason": reason, "digest": digest}
            self.say("reply.message.parked.v1", f"agency/{CODE}", STREAM, data)

    def note_account(self, event: dict[str, Any]) -> None:
        data = event["data"]
        rows = [(one["number"], one["event_id"], one["is_withheld"]) for one in data["events"]]
        self.db.executemany("INSERT OR REPLACE INTO account VALUES (?, ?, ?)", rows)
        allowance = moment_of(data["next_by"]) - moment_of(event["time"])
        self.db.execute("UPDATE city SET last_number = max(last_number, ?)", (data["last_number"],))
        # An account that was overheard and comes again is no sign of life.
        self.db.execute(
            "UPDATE city SET quiet_until = ?, sequence = ? WHERE sequence < ?",
            (time.time() + allowance.total_seconds(), int(event["sequence"]), int(event["sequence"])),
        )

    def ask(self) -> None:
        """Ask for what is missing; the same thing again after a minute."""
        with self.transaction():
            for name, window in self.missing():
                if time.time() - self.asked.get(name, -1e9) > 60:
                    self.asked[name] = time.time()
                    self.say("reply.window.requested.v1", f"agency/{CODE}", STREAM, {"agency": CODE, **window})

    def missing(self) -> list[tuple[str, dict[str, Any]]]:
        [last, quiet_until] = self.db.execute("SELECT last_number, quiet_until FROM city").fetchone()
        query = """
            SELECT number FROM account a WHERE withheld OR EXISTS (SELECT 1 FROM event e WHERE e.id = a.event_id)
        """
        held = {number for (number,) in self.db.execute(query)}
        absent = [number for number in range(1, last + 1) if number not in held]
        found: list[tuple[str, dict[str, Any]]] = []
        if absent:
            found.append((f"from {absent[0]}", {"first_number": absent[0], "last_number": absent[-1]}))
        if time.time() > quiet_until:
            found.append((f"silence {quiet_until}", {"first_number": last + 1}))
        waiting = self.db.execute("SELECT id, body FROM event WHERE done = 0 AND at < ?", (time.time() - ASK_AFTER,))
        for event_id, body in waiting:
            until = moment_of(json.loads(body)["time"]) + timedelta(minutes=1)
            window = {"since": moment(until - timedelta(days=7)), "until": moment(until)}
            found.append((f"before {event_id}", window))
        return found


def moment_of(text: str) -> datetime:
    return datetime.fromisoformat(text)


def moment(when: datetime) -> str:
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def receive(agency: Agency, connection: Any) -> None:
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=50)
    queue = await channel.get_queue(f"agency.{CODE}.inbox", ensure=False)
    async with queue.iterator() as messages:
        async for message in messages:
            agency.take(message.body, message.headers.get(HEADER))
            await message.ack()


async def speak(agency: Agency, connection: Any) -> None:
    channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
    exchange = await channel.get_exchange("simpul.replies", ensure=False)
    while True:
        agency.to_say.clear()
        unsent = "SELECT place, key, body, header FROM reply WHERE sent = 0 ORDER BY place LIMIT 50"
        for place, key, body, header in agency.db.execute(unsent).fetchall():
            message = aio_pika.Message(
                body, message_id=str(uuid.uuid4()), content_type="application/cloudevents+json",
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT, user_id=f"agency.{CODE}",
                headers={"simpul-exchange": "simpul.replies", HEADER: header},
            )  # fmt: skip
            await exchange.publish(message, key, timeout=10)
            agency.db.execute("UPDATE reply SET sent = 1 WHERE place = ?", (place,))
            agency.to_say.set()
        await agency.to_say.wait()


async def watch(agency: Agency) -> None:
    while True:
        await asyncio.sleep(ASK_AFTER)
        agency.ask()


async def work(agency: Agency) -> None:
    """Until cancelled; a connection that breaks is made again."""
    while True:
        try:
            async with await aio_pika.connect(AMQP_URL) as connection, asyncio.TaskGroup() as tasks:
                for loop in (receive(agency, connection), speak(agency, connection), watch(agency), ended(connection)):
                    tasks.create_task(loop)
        except (OSError, aio_pika.exceptions.AMQPError, ExceptionGroup) as error:
            print(f"broker away ({type(error).__name__}), trying again")
        await asyncio.sleep(1)


async def ended(connection: Any) -> None:
    closed = asyncio.get_running_loop().create_future()
    connection.close_callbacks.add(lambda *_: closed.done() or closed.set_result(None))
    await closed
    raise ConnectionError


async def main() -> None:
    task = asyncio.create_task(work(Agency()))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        print("ended")


asyncio.run(main())
