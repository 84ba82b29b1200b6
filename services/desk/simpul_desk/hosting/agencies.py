"""Runs the kit of every hosted agency: what arrives appears on its worklist, what its people decide becomes a reply."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import UUID
from weakref import WeakValueDictionary
from zoneinfo import ZoneInfo

import structlog
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncEngine

from simpul_agency import Agency, AgencySettings, ReceivedEvent, Reply
from simpul_agency.agency import ReferralUnknown
from simpul_agency.command.files import AgencyFiles
from simpul_agency.connectors.reply_command import InvalidReply, ReplyCommand, ReplyKind
from simpul_agency.dossier_files import OpenedFile
from simpul_agency.referral_view import ReferralView, ServiceView
from simpul_agreement import AgreementMissing, Versions
from simpul_agreement.engine import Engines
from simpul_agreement.model import Clause
from simpul_desk.access.user import User
from simpul_desk.hosting import repository
from simpul_desk.hosting.deadlines import Deadline, find_answer, find_next_due, list_deadlines
from simpul_desk.hosting.known_facts import find_mediation_locks, read_known_facts
from simpul_desk.hosting.neighbour import ProcessSocket
from simpul_desk.hosting.records import Document, Record, RecordBook, RecordKind
from simpul_desk.hosting.worklist import Entry, EntryKind, build_entry, compute_version
from simpul_desk.live import LiveChannels
from simpul_runtime.audit import AuditEntry, append_entries
from simpul_runtime.database import utc_now
from simpul_runtime.supervision import is_cancelled
from simpul_schema import SectionContent
from simpul_schema.catalog import ANY_AGENCY, CATALOG
from simpul_schema.messages import (
    AgencyManifestV1,
    DossierWithdrawnV1,
    ReferralExclusionDecidedV1,
    ReferralExclusionSuggestedV1,
    ReferralPlanDecidedV1,
    ReferralPlanProposedV1,
    message_class,
)
from simpul_schema.messages.referral import ReferralFacts
from simpul_schema.names import subject_of_referral
from simpul_schema.vocabulary import DossierSection
from simpul_seal import KeyRing

RETRY_DELAY: Final = 5.0
"""Seconds until an agency that could not be opened is tried again."""
LOCK_FILE: Final = ".desk.lock"

log = structlog.get_logger()


_ACTIONS: Final = frozenset(
    {"note.written", "note.shared", "document.added", "information.missing", "information.complete"}
)
"""What a person does for a referral besides a reply; whoever did something last acts for it."""


class ReferralChanged(Exception):
    """The referral changed since the person read it; show it again and let them decide again."""


class HostedElsewhere(Exception):
    """Another process works on the agency's store: pass the request on to its socket, if it has one."""

    def __init__(self, socket: str = "") -> None:
        super().__init__(socket)
        self.socket = socket


@dataclass(frozen=True, slots=True)
class OpenReferral:
    """A referral as its agency may read it."""

    view: ReferralView
    facts: ReferralFacts | None = field(repr=False)
    deadlines: dict[UUID, list[Deadline]]
    """The deadlines of each service by its id."""
    dossier: Mapping[DossierSection, SectionContent] = field(default_factory=dict, repr=False)
    """Who the child is, as far as the services that the agency accepted need it."""

    @property
    def answer(self) -> Deadline | None:
        """Until when the agency answers: the earliest deadline of a service that it has not answered."""
        return find_answer(one for of_service in self.deadlines.values() for one in of_service)

    @property
    def version(self) -> str:
        """What a decision about it is based on."""
        return compute_version(self.view)


@dataclass(frozen=True)
class Surroundings:
    """What every hosted agency needs of the desk."""

    engine: AsyncEngine
    versions: Versions
    zone: ZoneInfo
    live: LiveChannels
    directory_file: Path
    """Public keys of all parties, for a folder that has no copy of its own."""
    intake_url: str
    """Where files of dossiers are fetched."""
    socket: ProcessSocket = field(default_factory=ProcessSocket)
    """Where other processes of the desk pass requests on to this one."""


class HostedAgency:
    """One agency whose people work at the desk."""

    def __init__(self, folder: Path, surroundings: Surroundings) -> None:
        """Reads the settings in the folder; raises pydantic's ValidationError when one is missing."""
        self._folder = folder
        self._surroundings = surroundings
        self._settings = read_settings(folder, surroundings.directory_file, surroundings.intake_url)
        # A lock is needed only while somebody holds it or waits for it.
        self._locks: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()
        self._kit: Agency | None = None
        self.code = self._settings.code

    @property
    def is_open(self) -> bool:
        """Whether the agency's store is open in this process."""
        return self._kit is not None

    async def run(self) -> None:
        """Receives and replies until cancelled; tries again when it cannot."""
        while True:
            try:
                await self._run_once()
            except asyncio.CancelledError:
                if is_cancelled():
                    raise
                log.warning("hosted_agency_interrupted", agency=self.code)
            except HostedElsewhere:
                log.warning("hosted_agency_elsewhere", agency=self.code)
            except Exception as error:
                log.error("hosted_agency_failed", agency=self.code, error=type(error).__name__)
            await asyncio.sleep(RETRY_DELAY)

    async def read(self, referral_id: UUID) -> OpenReferral:
        """Reads a referral; raises ReferralUnknown when it was never offered to this agency."""
        kit = self._require_kit()
        return self._open(kit, await kit.find_referral(referral_id))

    async def reply(
        self, referral_id: UUID, version: str, command: ReplyCommand, user: User, *, note: str = ""
    ) -> None:
        """Replies for the agency and keeps the note, unless the referral is no longer the one that the person read.

        Raises ReferralChanged, InvalidReply for values such as an appointment in ten years, and ReferralUnknown when
        it was never offered to this agency.
        """
        kit = self._require_kit()
        async with self._lock(referral_id):
            view = await kit.find_referral(referral_id)
            if compute_version(view) != version:
                raise ReferralChanged
            if command.reply is ReplyKind.WITHDRAWAL_ACKNOWLEDGED and not view.is_served_on:
                # Before the reply, which says that it was done.
                await self._delete_records(referral_id)
            async with kit.reply(referral_id) as reply:
                try:
                    command.apply_to(reply)
                except ValidationError as error:
                    msg = "the contract does not allow these values"
                    raise InvalidReply(msg) from error
            await self._record(user, f"reply.{command.reply.value}", referral_id, len(command.service_ids or ()))
            if note:
                await self._write_note(referral_id, user, RecordKind.NOTE, note)
            await self.refresh(referral_id)

    async def mark_seen(self, referral_id: UUID, user: User) -> None:
        """Records that a person opened the referral; the city learns of the first."""
        kit = self._require_kit()
        async with self._surroundings.engine.connect() as connection:
            entry = await repository.find_entry(connection, self.code, referral_id, user.id)
        if entry is None or not entry.seen_by:
            # Stored before the reader is: a crash in between repeats the reply, and the kit sends it once.
            async with kit.reply(referral_id, idempotency_key="seen") as reply:
                reply.mark_seen()
        async with self._surroundings.engine.begin() as connection:
            is_new = await repository.record_reader(connection, referral_id, user.id, utc_now())
        if is_new:
            await self._record(user, "referral.read", referral_id, 0)
            self._announce(referral_id)

    async def record_dossier_read(self, found: OpenReferral, user: User) -> None:
        """Records that a person read who the child is, each time."""
        sections = ",".join(section.value for section in found.dossier)
        if sections:
            await self._record(user, "dossier.read", found.view.referral_id, 0, sections)

    async def fetch_file(self, found: OpenReferral, file_id: UUID, user: User) -> OpenedFile:
        """Fetches a file of the dossier from intake, and records who opened it; raises FileUnavailable."""
        opened = await self._require_kit().fetch_file(found.view, file_id)
        await self._record(user, "dossier.file_read", found.view.referral_id, 0, str(file_id))
        return opened

    async def mark_information(self, referral_id: UUID, user: User, *, is_missing: bool, what: str = "") -> None:
        """Notes for colleagues that somebody looked at it and information is missing, or no longer, and what.

        Raises ReferralChanged like `add_note`.
        """
        if what:
            async with self._lock_open(referral_id):
                await self._write_note(referral_id, user, RecordKind.MISSING, what)
        async with self._surroundings.engine.begin() as connection:
            await repository.mark_information(connection, self.code, referral_id, is_missing=is_missing)
        await self._record(user, "information.missing" if is_missing else "information.complete", referral_id, 0)
        self._announce(referral_id)

    async def add_note(self, referral_id: UUID, user: User, note: str) -> None:
        """Keeps a note for colleagues; raises ReferralChanged when the city has ended every service."""
        async with self._lock_open(referral_id):
            await self._write_note(referral_id, user, RecordKind.NOTE, note)
        self._announce(referral_id)

    async def share_note(self, referral_id: UUID, user: User, about: DossierSection, note: str) -> None:
        """Sends a note to the city, for those who may hold a section of the dossier.

        Raises ReferralChanged like `add_note`.
        """
        kit = self._require_kit()
        async with self._lock_open(referral_id), kit.reply(referral_id) as reply:
            reply.add_note(about, note)
        await self._record(user, "note.shared", referral_id, 0, about.value)
        self._announce(referral_id)

    async def add_document(self, referral_id: UUID, user: User, document: Document) -> None:
        """Keeps a document for colleagues; raises ReferralChanged like `add_note`."""
        book = self._book_of(referral_id)
        async with self._lock_open(referral_id), self._surroundings.engine.begin() as connection:
            await book.add_document(connection, document, author=user.id, now=utc_now())
        await self._record(user, "document.added", referral_id, 0)
        self._announce(referral_id)

    async def list_records(self, found: OpenReferral, user: User) -> Sequence[Record]:
        """Lists notes and documents, and records that the person read them; none of a referral that has ended."""
        if found.view.has_ended:
            return ()
        async with self._surroundings.engine.connect() as connection:
            records = await self._book_of(found.view.referral_id).list(connection)
        if records:
            await self._record(user, "notes.read", found.view.referral_id, 0)
        return records

    async def find_document(self, found: OpenReferral, record_id: UUID, user: User) -> Document | None:
        """Finds a document, and records that the person read it; none of a referral that has ended."""
        if found.view.has_ended:
            return None
        async with self._surroundings.engine.connect() as connection:
            document = await self._book_of(found.view.referral_id).find_document(connection, record_id)
        if document:
            await self._record(user, "document.read", found.view.referral_id, 0)
        return document

    async def declare_conflict(self, view: ReferralView, user: User) -> None:
        """Keeps the case from a person who has declared a conflict of interest; what they did stays in the audit."""
        case_id = view.first.data.case_id
        async with self._surroundings.engine.begin() as connection:
            await repository.exclude_case(connection, user.id, case_id, utc_now())
        await self._record(user, "conflict.declared", view.referral_id, 0)
        self._announce(view.referral_id)

    async def refresh(self, referral_id: UUID) -> None:
        """Brings the row of a referral up to date, and informs the open pages."""
        kit = self._require_kit()
        try:
            found = self._open(kit, await kit.find_referral(referral_id))
        except ReferralUnknown:
            return
        due = find_next_due([one for of_service in found.deadlines.values() for one in of_service])
        await self._save(build_entry(self.code, found.view, due))

    async def _run_once(self) -> None:
        with lock_folder(self._folder) as lock:
            write_lock(lock, self._surroundings.socket.open_in(self._folder))
            kit = Agency.from_settings(self._settings)
            for row in CATALOG:
                message = message_class(row.wire_name)
                if message is not None and ANY_AGENCY in row.consumers and message is not AgencyManifestV1:
                    kit.on(message)(self._take)
            self._kit = kit
            try:
                await kit.start()
                log.info("hosted_agency_opened", agency=self.code)
                await asyncio.Event().wait()
            finally:
                self._kit = None
                await kit.stop()

    async def _take(self, received: ReceivedEvent[Any], _: Reply) -> None:
        """Puts what arrived on the worklist."""
        match received.event:
            case ReferralPlanProposedV1(data=data, time=time):
                await self._save(self._decision(data, EntryKind.PLAN, data.confirm_by, time))
            case ReferralExclusionSuggestedV1(data=data, time=time):
                await self._save(self._decision(data, EntryKind.EXCLUSION, data.decide_by, time))
            case ReferralPlanDecidedV1(data=data) | ReferralExclusionDecidedV1(data=data):
                async with self._surroundings.engine.begin() as connection:
                    await repository.close_entry(connection, self.code, data.referral_id)
                self._announce(data.referral_id)
            case _:
                await self._delete_needless_records(received)
                await self.refresh(received.data.referral_id)

    async def _delete_needless_records(self, received: ReceivedEvent[Any]) -> None:
        """Deletes notes and documents when every service has ended, or nothing of the dossier is left.

        The kit confirms the deletion of a dossier only after this.
        """
        kit, referral_id = self._require_kit(), received.data.referral_id
        is_withdrawal = isinstance(received.event, DossierWithdrawnV1)
        async with self._lock(referral_id):
            if is_withdrawal:
                await kit.store.delete_outdated_sections(received.event.subject)
            try:
                view = await kit.find_referral(referral_id)
            except ReferralUnknown:
                return
            if view.has_ended or (is_withdrawal and not kit.open_dossier(view)):
                await self._delete_records(referral_id)

    def _decision(self, data: Any, kind: EntryKind, due_at: Any, received_at: Any) -> Entry:
        return Entry(
            self.code, data.referral_id, data.case_id, kind, data.urgency.value, due_at=due_at, received_at=received_at
        )

    def _open(self, kit: Agency, view: ReferralView) -> OpenReferral:
        facts = kit.open_facts(view.newest_facts)
        deadlines = {one.service_id: self._deadlines(view, one, facts) for one in view.services}
        return OpenReferral(view, facts, deadlines, kit.open_dossier(view))

    def _deadlines(self, view: ReferralView, service: ServiceView, facts: ReferralFacts | None) -> list[Deadline]:
        try:
            engines = self._surroundings.versions.of(view.first.data.agreement)
        except AgreementMissing:
            return []
        if not service.is_open:
            return []
        return list_deadlines(engines, service, facts, self._surroundings.zone, view.first.time)

    async def _save(self, entry: Entry) -> None:
        async with self._surroundings.engine.begin() as connection:
            await repository.save_entry(connection, entry)
        self._announce(entry.referral_id)

    async def _record(self, user: User, action: str, referral_id: UUID, services: int, sections: str = "") -> None:
        role = user.memberships[self.code].value
        detail = f"{self.code},services:{services}" if services else self.code
        detail = f"{detail}:{sections}" if sections else detail
        entry = AuditEntry(action, subject_of_referral(referral_id), str(user.id), role, detail)
        async with self._surroundings.engine.begin() as connection:
            if action.startswith("reply.") or action in _ACTIONS:
                await repository.record_action(connection, referral_id, user.id, utc_now())
            await append_entries(connection, [entry], utc_now())

    def _lock(self, referral_id: UUID) -> asyncio.Lock:
        return self._locks.setdefault(referral_id, asyncio.Lock())

    @asynccontextmanager
    async def _lock_open(self, referral_id: UUID) -> AsyncIterator[None]:
        """Keeps a referral from ending during the block; raises ReferralChanged when it has ended."""
        async with self._lock(referral_id):
            if (await self._require_kit().find_referral(referral_id)).has_ended:
                raise ReferralChanged
            yield

    async def _write_note(self, referral_id: UUID, user: User, kind: RecordKind, note: str) -> None:
        async with self._surroundings.engine.begin() as connection:
            await self._book_of(referral_id).add_note(connection, kind, note, author=user.id, now=utc_now())
        if kind is RecordKind.NOTE:
            await self._record(user, "note.written", referral_id, 0)

    async def _delete_records(self, referral_id: UUID) -> None:
        async with self._surroundings.engine.begin() as connection:
            await self._book_of(referral_id).delete(connection)

    def _book_of(self, referral_id: UUID) -> RecordBook:
        return RecordBook(self.code, referral_id, KeyRing.read(self._settings.key_file))

    def _announce(self, referral_id: UUID) -> None:
        self._surroundings.live.announce(self.code, f"{self.code}/{referral_id}")

    def _require_kit(self) -> Agency:
        if self._kit is None:
            raise HostedElsewhere(read_lock(self._folder))
        return self._kit


class HostedAgencies:
    """All agencies that work at this desk."""

    def __init__(self, folder: Path | None, surroundings: Surroundings) -> None:
        """Takes the folder with a folder for each hosted agency; None hosts nobody."""
        self._surroundings = surroundings
        found = sorted(AgencyFiles(path).settings for path in folder.iterdir() if path.is_dir()) if folder else []
        hosted = [HostedAgency(settings.parent, surroundings) for settings in found if settings.exists()]
        self._by_code = {agency.code: agency for agency in hosted}

    @property
    def codes(self) -> frozenset[str]:
        """The codes of the hosted agencies."""
        return frozenset(self._by_code)

    def find(self, code: str) -> HostedAgency | None:
        """Finds a hosted agency; None for any other."""
        return self._by_code.get(code)

    def engines_of(self, version: str) -> Engines | None:
        """Returns the agreement that decided a referral; None while none is active."""
        try:
            return self._surroundings.versions.of(version)
        except AgreementMissing:
            return None

    def find_mediation_locks(self, found: OpenReferral) -> list[Clause]:
        """Finds the clauses that lock mediation of a case, as far as its agency can know."""
        first = found.view.first
        engines = self.engines_of(first.data.agreement)
        if engines is None:
            return []
        known = read_known_facts(found.facts, found.view.urgency, first.time, self._surroundings.zone)
        return find_mediation_locks(engines, known, first.time)

    def find_problems(self) -> list[str]:
        """Finds agencies whose store is not open in this process."""
        closed = sorted(code for code, agency in self._by_code.items() if not agency.is_open)
        return [f"hosted agencies are not open: {', '.join(closed)}"] if closed else []

    async def run(self) -> None:
        """Runs every agency until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for agency in self._by_code.values():
                    tasks.create_task(agency.run())
                await asyncio.Event().wait()
        finally:
            await self._surroundings.socket.close()


def read_settings(folder: Path, directory_file: Path, intake_url: str) -> AgencySettings:
    """Reads the settings of an agency's folder, which may have been moved since `simpul-agency join` wrote them."""
    files = AgencyFiles(folder)
    own = {
        "key_file": files.keys,
        "directory_file": folder / "directory.json",
        "certificate_file": folder / "certificate.pem",
        "certificate_key_file": files.certificate_key,
        "ca_file": folder / "authority.pem",
    }
    here: dict[str, Any] = {name: path for name, path in own.items() if path.exists()}
    here.setdefault("directory_file", directory_file)
    here["store_url"] = f"sqlite:///{folder / 'agency.db'}"
    return AgencySettings(_env_file=files.settings, health_port=0, city_url=intake_url, **here)


@contextmanager
def lock_folder(folder: Path) -> Iterator[int]:
    """Keeps other processes off the agency's store during the block, which gets the lock; raises HostedElsewhere."""
    opened = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise HostedElsewhere from error
        yield opened
    finally:
        with suppress(OSError):
            os.close(opened)


def write_lock(lock: int, socket: str) -> None:
    """Writes into a lock where its holder takes requests of other processes."""
    os.ftruncate(lock, 0)
    os.pwrite(lock, socket.encode(), 0)


def read_lock(folder: Path) -> str:
    """Reads where the holder of the lock takes requests; empty if nobody does."""
    try:
        return (folder / LOCK_FILE).read_text()
    except OSError:
        return ""
