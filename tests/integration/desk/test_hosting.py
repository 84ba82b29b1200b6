"""The city learns once that a person opened a referral, and the audit of every page that shows a dossier."""

import json
import re
import sqlite3
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI, Request
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncEngine

from simpul_agency import Agency
from simpul_agency.command.files import AgencyFiles
from simpul_agency.connectors.reply_command import ReplyCommand, ReplyKind
from simpul_agency.dossier_files import OpenedFile
from simpul_agency.sandbox.events import EventFactory, references_to, wire_time
from simpul_desk.access import Role, User
from simpul_desk.access.session import form_token_of
from simpul_desk.access.web import FORM_FIELD, SESSION_COOKIE
from simpul_desk.hosting import repository
from simpul_desk.hosting.agencies import HostedAgencies, HostedAgency, Surroundings
from simpul_desk.hosting.records import Document, Record
from simpul_desk.live import LiveChannels
from simpul_desk.tables import AccountRoleRow, AccountRow
from simpul_desk.work_pages.pages import WorkPages
from simpul_desk.work_pages.routes import add_work_pages
from simpul_desk.work_pages.texts import Problem
from simpul_runtime.audit import AuditFilter, find_entries
from simpul_runtime.database import create_engine, utc_now
from simpul_schema.messages.dossier import DossierFile, DossierIdentity, DossierNarrative
from simpul_schema.names import subject_of_referral
from simpul_schema.vocabulary import DossierSection
from simpul_seal import Directory
from tests.support.agreements import CITY, signed_city
from tests.support.asgi_browser import AsgiBrowser, Page

AGENCY = "rs-rujukan"


@dataclass
class Hosting:
    """A hosted agency with one offered referral, without its broker."""

    engine: AsyncEngine
    agency: HostedAgency
    pages: WorkPages
    kit: Agency
    referral_id: UUID
    user: User

    offer: dict[str, Any]
    factory: EventFactory
    store_file: Path

    @property
    def references(self) -> list[dict[str, Any]]:
        """The services of the offer as an event lists them."""
        return references_to(self.offer["data"]["services"])

    def browser(self) -> AsgiBrowser:
        """Returns a browser in which the person is signed in."""

        async def find_user(*_: object) -> User:
            return self.user

        web = FastAPI()
        web.state.find_user = find_user
        add_work_pages(web, self.pages)
        return AsgiBrowser(web, cookies={SESSION_COOKIE: "secret"})

    def receive(self, wire_name: str, **data: Any) -> None:
        """Stores another event about the referral, as if it had arrived."""
        store_event(self.store_file, self.factory.create_next(self.offer, wire_name, **data), 2)

    async def handle(self, event: dict[str, Any]) -> None:
        """Stores an event and calls the desk's handler, before anything that the kit does itself."""
        store_event(self.store_file, event, event["sequence"])
        received = self.kit._open_stored(json.dumps(event).encode())
        await self.agency._take(received, self.kit._create_reply(received.event))

    async def list_records(self) -> list[Record]:
        """Lists the notes and documents that are stored."""
        async with self.engine.connect() as connection:
            return list(await self.agency._book_of(self.referral_id).list(connection))

    async def list_replies(self) -> list[str]:
        """Lists the types of the replies that wait for the broker."""
        return [reply.wire_name for reply in await self.kit.store.find_unpublished(10)]

    async def list_actions(self) -> list[str]:
        """Lists what the audit has about the referral."""
        async with self.engine.connect() as connection:
            about = AuditFilter(subject=subject_of_referral(self.referral_id))
            return [entry.action for entry in (await find_entries(connection, about, limit=20)).entries]


def store_event(store_file: Path, event: dict[str, Any], sequence: int) -> None:
    store = sqlite3.connect(store_file)
    with store:
        store.execute(
            "INSERT INTO inbox_message (source, event_id, subject, sequence, type, digest, body, state, reason,"
            " attempts, received_at, due_at, signature) VALUES (?, ?, ?, ?, ?, '', ?, 'done', '', 0, 0, 0, '')",
            ("/kediri/routing", event["id"], event["subject"], sequence, event["type"], json.dumps(event).encode()),
        )
    store.close()


@pytest.fixture
async def hosting(desk_database: str, tmp_path: Path) -> AsyncIterator[Hosting]:
    versions, _, rings = signed_city(tmp_path, utc_now())
    files = AgencyFiles(tmp_path / "hosted" / AGENCY)
    files.folder.mkdir(parents=True)
    rings[AGENCY].write(files.keys)
    files.update_settings({"CODE": AGENCY, "AMQP_URL": "amqp://127.0.0.1:1/"})
    engine = create_engine(desk_database, connections=2)
    live = LiveChannels()
    surroundings = Surroundings(engine, versions, CITY.zone, live, tmp_path / "directory.json", "http://127.0.0.1:9")
    hosted = HostedAgencies(tmp_path / "hosted", surroundings)
    agency = hosted.find(AGENCY)
    assert agency is not None
    kit = Agency.from_settings(agency._settings)
    await kit.store.open()
    agency._kit = kit
    factory = EventFactory(AGENCY, Directory.read(tmp_path / "directory.json"))
    offer = factory.create_offer(1, answer_by=utc_now() + timedelta(hours=1))
    store_event(files.folder / "agency.db", offer, 1)
    user = User(uuid4(), "Wiji Rekaan", "en", memberships={AGENCY: Role.RESPONDER}, city_roles={})
    async with engine.begin() as connection:
        person = {"account_id": user.id, "login_name": f"rekaan-{user.id.hex}", "name": user.name, "language": "en"}
        await connection.execute(insert(AccountRow).values(person | {"created_at": utc_now(), "totp_step": 0}))
    service: Any = SimpleNamespace(engine=engine)
    routing: Any = SimpleNamespace()
    pages = WorkPages(service, CITY, hosted, live, routing)
    referral_id = UUID(offer["data"]["referral_id"])
    yield Hosting(engine, agency, pages, kit, referral_id, user, offer, factory, files.folder / "agency.db")
    await kit.store.close()
    await engine.dispose()


async def test_a_referral_without_a_row_on_the_worklist_is_seen_once(hosting: Hosting) -> None:
    await hosting.agency.mark_seen(hosting.referral_id, hosting.user)
    await hosting.agency.mark_seen(hosting.referral_id, hosting.user)

    assert await hosting.list_replies() == ["reply.referral.seen.v1"]
    assert await hosting.list_actions() == ["referral.read"]


async def test_a_crash_before_the_reply_is_stored_does_not_lose_that_it_was_seen(
    hosting: Hosting, monkeypatch: pytest.MonkeyPatch
) -> None:
    await hosting.agency.refresh(hosting.referral_id)

    async def fail(_: object) -> None:
        msg = "no space left"
        raise OSError(msg)

    with monkeypatch.context() as patch:
        patch.setattr(hosting.kit.store, "enqueue_replies", fail)
        with pytest.raises(OSError, match="no space left"):
            await hosting.agency.mark_seen(hosting.referral_id, hosting.user)
    await hosting.agency.mark_seen(hosting.referral_id, hosting.user)

    assert await hosting.list_replies() == ["reply.referral.seen.v1"]


async def test_the_load_of_a_team_counts_no_case_that_is_kept_from_its_lead(hosting: Hosting) -> None:
    await hosting.agency.refresh(hosting.referral_id)
    _, found = await hosting.pages.open(hosting.user, AGENCY, hosting.referral_id)

    async with hosting.engine.connect() as connection:
        [load] = await repository.count_load(connection, [AGENCY], [], utc_now())
        others = await repository.count_load(connection, [AGENCY], [found.view.first.data.case_id], utc_now())

    assert sum(one["cases"] for one in others) == load["cases"] - 1


async def test_a_worklist_that_is_cut_says_how_many_there_are_and_shows_more(hosting: Hosting) -> None:
    await hosting.agency.refresh(hosting.referral_id)
    async with hosting.engine.begin() as connection:
        copied = """
            INSERT INTO worklist_entry (agency, referral_id, case_id, kind, urgency, due_at, received_at, services,
                must_acknowledge, is_open, version, lacks_information)
            SELECT agency, gen_random_uuid(), case_id, kind, urgency, due_at, received_at, services, must_acknowledge,
                is_open, version, lacks_information
            FROM worklist_entry, generate_series(1, 59) WHERE referral_id = :referral_id"""
        await connection.execute(text(copied), {"referral_id": hosting.referral_id})
        counted = text("SELECT count(*) FROM worklist_entry WHERE agency = :agency AND is_open")
        total = (await connection.execute(counted, {"agency": AGENCY})).scalar_one()
    browser = hosting.browser()

    first = await browser.get("/work")
    more = await browser.get("/work?shown=100")

    assert f"The first 50 of {total} cases are shown." in first.shown_text
    assert 'href="/work?shown=100"' in first.text
    assert more.text.count("desk-reference") == min(total, 100) > 50
    async with hosting.engine.begin() as connection:
        await connection.execute(text("DELETE FROM worklist_entry WHERE agency = :agency"), {"agency": AGENCY})


async def test_a_responder_reports_on_a_service_and_keeps_notes_for_colleagues(hosting: Hosting) -> None:
    browser, address = hosting.browser(), f"/work/{AGENCY}/{hosting.referral_id}"
    await hosting.agency.refresh(hosting.referral_id)

    async def send(path: str = "", **fields: str) -> Page:
        [service] = (await hosting.kit.find_referral(hosting.referral_id)).services
        page = await browser.get(address)
        version = re.search(r'name="version" value="([^"]+)"', page.text)
        given = {"service_ids": str(service.service_id), "version": version[1] if version else ""} | fields
        return await browser.post(address + path, given | {FORM_FIELD: form_token_of("secret")})

    assert (await send(reply="accepted")).status == 303
    refused = await send(reply="scheduled", scheduled_for="besok pagi")
    assert (refused.status, 'value="besok pagi"' in refused.text) == (422, True)
    assert (await send(reply="scheduled", scheduled_for="2050-01-07T09:00")).status == 422
    soon = f"{utc_now() + timedelta(days=3):%Y-%m-%dT09:00}"
    assert (await send(reply="scheduled", scheduled_for=soon)).status == 303
    assert (await send(reply="unattended")).status == 303
    assert (await send("/information", is_missing="yes", what="Nomor BPJS")).status == 303
    assert "Information is missing" in (await browser.get("/work")).shown_text
    assert (await send("/note", note="Ibu meminta <b>dihubungi</b> sore")).status == 303
    forgotten = await send(reply="completed", note="Luka dirawat")
    assert (forgotten.status, forgotten.text.count("Luka dirawat</textarea>")) == (422, 1)
    assert (await send(reply="completed", outcome="served", note="Luka dirawat")).status == 303

    shown = (await browser.get(address)).shown_text
    for written in ("Nomor BPJS", "Ibu meminta <b>dihubungi</b> sore", "Luka dirawat"):
        assert written in shown
    assert await hosting.list_replies() == [
        f"reply.referral.{kind}.v1" for kind in ("seen", "accepted", "scheduled", "unattended", "completed")
    ]
    assert {"note.written", "notes.read", "information.missing"} <= set(await hosting.list_actions())


async def test_a_note_for_other_agencies_leaves_sealed_and_is_audited(hosting: Hosting) -> None:
    address, token = f"/work/{AGENCY}/{hosting.referral_id}", {FORM_FIELD: form_token_of("secret")}
    await hosting.agency.read(hosting.referral_id)
    note = {"shared_note": "Wenthilora sleeps at her aunt's.", "about": "logistics"}

    refused = await hosting.browser().post(f"{address}/shared-note", token | note | {"about": ""})
    done = await hosting.browser().post(f"{address}/shared-note", token | note)

    assert (refused.status, done.status) == (422, 303)
    assert "choose what it is about" in refused.shown_text
    [reply] = [one for one in await hosting.kit.store.find_unpublished(10) if one.wire_name == "reply.note.added.v1"]
    assert b"Wenthilora" not in reply.body
    assert "note.shared" in await hosting.list_actions()


async def test_a_note_is_not_lost_when_the_service_ends_meanwhile(hosting: Hosting) -> None:
    browser, address = hosting.browser(), f"/work/{AGENCY}/{hosting.referral_id}"
    await hosting.agency.refresh(hosting.referral_id)
    [service] = (await hosting.kit.find_referral(hosting.referral_id)).services
    hosting.receive("referral.revoked.v1", reason="plan_changed", services=hosting.references)

    page = await browser.post(
        address,
        {
            "reply": "completed",
            "outcome": "served",
            "note": "Luka dirawat",
            "version": "old",
            "service_ids": str(service.service_id),
            FORM_FIELD: form_token_of("secret"),
        },
    )

    assert (page.status, page.text.count("Luka dirawat</textarea>")) == (409, 1)


@pytest.mark.parametrize(
    ("form", "fields"),
    [
        ("note", {"note": "Ibu minta dihubungi sore"}),
        ("shared-note", {"shared_note": "Ibu minta dihubungi sore", "about": "logistics"}),
        ("information", {"what": "Ibu minta dihubungi sore", "is_missing": "yes"}),
    ],
)
async def test_what_is_written_for_others_is_shown_again_when_the_service_ends_meanwhile(
    hosting: Hosting, form: str, fields: dict[str, str]
) -> None:
    await hosting.agency.refresh(hosting.referral_id)
    hosting.receive("referral.revoked.v1", reason="plan_changed", services=hosting.references)

    address = f"/work/{AGENCY}/{hosting.referral_id}/{form}"
    page = await hosting.browser().post(address, fields | {FORM_FIELD: form_token_of("secret")})

    assert (page.status, page.text.count("Ibu minta dihubungi sore</textarea>")) == (409, 1)


async def test_documents_and_notes_are_encrypted_and_go_with_the_consent(hosting: Hosting) -> None:
    browser, address = hosting.browser(), f"/work/{AGENCY}/{hosting.referral_id}"
    await hosting.agency.refresh(hosting.referral_id)

    async def upload(content: bytes) -> Page:
        fields = {"agency": AGENCY, "referral_id": hosting.referral_id, FORM_FIELD: form_token_of("secret")}
        parts = [
            f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
            for name, value in fields.items()
        ]
        parts.append(b'--x\r\nContent-Disposition: form-data; name="document"; filename="C:\\surat.pdf"\r\n\r\n')
        body = b"".join([*parts, content, b"\r\n--x--\r\n"])
        return await browser.send("POST", "/work/documents", body, content_type="multipart/form-data; boundary=x")

    assert (await upload(b"MZ a program")).status == 422
    assert (await upload(b"%PDF-1.7 surat persetujuan")).status == 303
    found = re.search(rf'href="({address}/documents/[^"]+)" download>surat.pdf<', (await browser.get(address)).text)
    assert found
    page = await browser.get(found[1])
    assert (page.text, page.header("content-type")) == ("%PDF-1.7 surat persetujuan", "application/pdf")
    assert page.header("content-disposition").startswith("attachment")
    async with hosting.engine.connect() as connection:
        stored = [
            b"".join(row)
            for row in await connection.execute(
                text("SELECT content, attachment FROM referral_record WHERE referral_id = :id"),
                {"id": hosting.referral_id},
            )
        ]
    assert len(stored) == 1
    assert b"surat" not in stored[0]

    now = wire_time(utc_now())
    hosting.receive("referral.consent_withdrawn.v1", withdrawn_at=now, acknowledge_by=now)
    [version] = set(re.findall(r'name="version" value="([^"]+)"', (await browser.get(address)).text))
    ended = {"reply": "withdrawal_acknowledged", "version": version, FORM_FIELD: form_token_of("secret")}
    assert (await browser.post(address, ended)).status == 303
    assert (await browser.get(found[1])).status == 404


async def test_a_file_of_the_dossier_is_saved_not_shown_and_each_opening_is_in_the_audit(
    hosting: Hosting, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, browser = "<script>alert(1)</script>", hosting.browser()
    listed = DossierFile(
        file_id=uuid4(),
        name='surat "é"; x.pdf',
        media_type="application/pdf",
        size=25,
        digest="0" * 64,
        received_at=utc_now(),
    )
    dossier = {DossierSection.NARRATIVE: DossierNarrative(files=(listed,))}
    monkeypatch.setattr(hosting.kit, "open_dossier", lambda _: dossier)
    address, yours = f"/work/{AGENCY}/{hosting.referral_id}", hosting.user
    target = f"{address}/files/{listed.file_id}"

    # Nothing listens at the address of intake.
    away = await browser.get(target)
    assert (away.status, away.header("retry-after")) == (503, "60")
    assert "The file is not lost" in away.shown_text
    assert (await browser.get(f"{address}/files/{uuid4()}")).status == 404

    async def fetch(*_: object) -> OpenedFile:
        return OpenedFile(listed, content.encode())

    monkeypatch.setattr(hosting.kit._files, "fetch", fetch)
    case_id = UUID(hosting.offer["data"]["case_id"])
    for other in (replace(yours, memberships={}), replace(yours, excluded_cases=frozenset({case_id}))):
        hosting.user = other
        assert (await browser.get(target)).status == 404
    hosting.user = yours
    assert "dossier.file_read" not in await hosting.list_actions()

    assert f'href="{target}"' in (await browser.get(address)).text
    page = await browser.get(target)

    assert (page.status, page.text, page.header("content-type")) == (200, content, "application/pdf")
    assert page.header("content-disposition") == "attachment; filename*=UTF-8''surat%20%22%C3%A9%22%3B%20x.pdf"
    assert page.header("content-security-policy") == "default-src 'none'; sandbox"
    assert (await hosting.list_actions()).count("dossier.file_read") == 1


async def test_notes_and_documents_are_deleted_before_the_deletion_of_the_dossier_is_confirmed(
    hosting: Hosting,
) -> None:
    contents = {"identity": {"child_name": "Bunga Rekaan"}, "narrative": {"chronology": "Rekaan"}}
    await hosting.handle(hosting.factory.create_release(hosting.offer, contents))
    await hosting.agency.add_note(hosting.referral_id, hosting.user, "Bunga minta dihubungi sore")
    await hosting.agency.add_document(hosting.referral_id, hosting.user, Document.read("surat.pdf", b"%PDF-1.7"))

    await hosting.handle(hosting.factory.create_withdrawal(hosting.offer, ["narrative"]))
    assert len(await hosting.list_records()) == 2

    await hosting.handle(hosting.factory.create_withdrawal(hosting.offer, ["identity"]))
    assert await hosting.list_records() == []


@pytest.mark.parametrize(
    ("wire_name", "why"),
    [("referral.revoked.v1", "agency_excluded"), ("referral.cancelled.v1", "case_ended")],
)
async def test_an_agency_that_no_longer_helps_keeps_no_notes_and_writes_none(
    hosting: Hosting, wire_name: str, why: str
) -> None:
    browser, address = hosting.browser(), f"/work/{AGENCY}/{hosting.referral_id}"
    await hosting.agency.refresh(hosting.referral_id)
    await hosting.agency.add_note(hosting.referral_id, hosting.user, "Bunga minta dihubungi sore")
    ended = hosting.factory.create_ending(hosting.offer, wire_name, hosting.offer["data"]["services"], why)

    await hosting.handle(ended)

    assert await hosting.list_records() == []
    late = await browser.post(f"{address}/note", {"note": "Alamat Bunga", FORM_FIELD: form_token_of("secret")})
    assert (late.status, late.text.count("Alamat Bunga</textarea>")) == (409, 1)
    assert await hosting.list_records() == []


async def test_an_excluded_agency_reads_no_notes_before_they_are_deleted(hosting: Hosting) -> None:
    await hosting.agency.refresh(hosting.referral_id)
    await hosting.agency.add_note(hosting.referral_id, hosting.user, "Bunga minta dihubungi sore")
    hosting.receive("referral.revoked.v1", why="agency_excluded", services=hosting.references)

    page = await hosting.browser().get(f"/work/{AGENCY}/{hosting.referral_id}")

    assert page.status == 200
    assert "dihubungi" not in page.text


async def test_notes_are_deleted_before_the_agency_acknowledges_that_it_has_stopped(
    hosting: Hosting, monkeypatch: pytest.MonkeyPatch
) -> None:
    await hosting.agency.add_note(hosting.referral_id, hosting.user, "Bunga minta dihubungi sore")
    now = wire_time(utc_now())
    hosting.receive("referral.consent_withdrawn.v1", withdrawn_at=now, acknowledge_by=now)
    version = (await hosting.agency.read(hosting.referral_id)).version
    command = ReplyCommand(reply=ReplyKind.WITHDRAWAL_ACKNOWLEDGED)

    async def fail(_: object) -> None:
        msg = "the database is away"
        raise OSError(msg)

    with monkeypatch.context() as patch:
        patch.setattr(hosting.agency, "_delete_records", fail)
        with pytest.raises(OSError, match="database is away"):
            await hosting.agency.reply(hosting.referral_id, version, command, hosting.user)
    assert await hosting.list_replies() == []

    await hosting.agency.reply(hosting.referral_id, version, command, hosting.user)

    assert await hosting.list_records() == []


@pytest.mark.parametrize("problem", [None, Problem.NOTHING_CHOSEN, Problem.CHANGED])
async def test_every_page_that_shows_the_dossier_is_in_the_audit(hosting: Hosting, problem: Problem | None) -> None:
    _, found = await hosting.pages.open(hosting.user, AGENCY, hosting.referral_id)
    found = replace(found, dossier={DossierSection.IDENTITY: DossierIdentity(child_name="Bunga Rekaan")})
    state = {"user": hosting.user}
    request = Request(
        {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": [], "state": state}
    )

    await hosting.pages.render_referral(request, hosting.user, AGENCY, found, problem=problem)

    assert await hosting.list_actions() == ["dossier.read"]


async def test_a_lead_sees_who_acts_for_which_case_and_what_is_late(hosting: Hosting) -> None:
    second = User(uuid4(), "Sari Rekaan", "en", memberships={AGENCY: Role.RESPONDER}, city_roles={})
    async with hosting.engine.begin() as connection:
        for person in (hosting.user, second):
            if person is second:
                row = {"account_id": second.id, "login_name": f"rekaan-{second.id.hex}", "name": second.name}
                row |= {"language": "en", "created_at": utc_now(), "totp_step": 0}
                await connection.execute(insert(AccountRow).values(row))
            role = {"account_id": person.id, "agency": AGENCY, "role": "responder", "granted_at": utc_now()}
            await connection.execute(insert(AccountRoleRow).values(role))
    await hosting.agency.refresh(hosting.referral_id)
    case_id = UUID(hosting.offer["data"]["case_id"])

    async def loads(later: timedelta, hidden: Sequence[UUID] = ()) -> dict[str, tuple[int, int, int]]:
        async with hosting.engine.connect() as connection:
            found = await repository.count_member_loads(connection, [AGENCY], hidden, utc_now() + later)
        names = {hosting.user.id: "first", second.id: "second"}
        return {
            names[one["account_id"]]: (one["acting"], one["late"], one["opened"])
            for one in found
            if one["account_id"] in names
        }

    await hosting.agency.mark_seen(hosting.referral_id, hosting.user)
    await hosting.agency.mark_seen(hosting.referral_id, second)
    opened = await loads(timedelta())
    await hosting.agency.add_note(hosting.referral_id, hosting.user, "Called the mother's sister.")
    noted = await loads(timedelta())
    await hosting.agency.add_note(hosting.referral_id, second, "She comes tomorrow.")
    late = await loads(timedelta(days=30))

    assert opened == {"first": (0, 0, 1), "second": (0, 0, 1)}
    assert noted == {"first": (1, 0, 1), "second": (0, 0, 1)}
    assert late == {"first": (0, 0, 1), "second": (1, 1, 1)}
    assert await loads(timedelta(), [case_id]) == {"first": (0, 0, 0), "second": (0, 0, 0)}
    async with hosting.engine.connect() as connection:
        [(entry, is_acting)] = await repository.list_entries_of_member(
            connection, AGENCY, second.id, hosting.user.id, [], 10
        )
    assert (entry.referral_id, is_acting) == (hosting.referral_id, True)
