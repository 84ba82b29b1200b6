"""Scenario 12: whatever happens in the city, no name, number, address or story is found outside the vault.

A whole city is played through with seeded reports, by every scenario before this one and more: amendments, duplicates,
refusals, replies, reroutes, consents, deadlines, alerts, a hospital at the desk, a failing gateway, messages that
cannot be used, wrong tokens, an erasure. Then every sink is searched.
"""

import asyncio
import copy
import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import aio_pika
import aiohttp
import asyncpg
import pytest
from aio_pika.exceptions import AMQPConnectionError
from typer.testing import CliRunner

from simpul_agency.sandbox.process import free_port
from simpul_cli.app import app
from simpul_cli.keys import directory_file
from simpul_dev.demo.handset import ACCOUNT, PASSWORD
from simpul_dev.local_city import ALL
from simpul_runtime.database import utc_now
from simpul_runtime.metrics import HELD_EVENTS, serve_metrics
from simpul_schema.catalog import SERVICES
from simpul_schema.messages.reply import CaseNote
from simpul_schema.names import EVENTS, REFERRALS, REPLIES, service_inbox
from simpul_schema.otlp_traces import ALLOWED
from simpul_schema.samples import samples
from simpul_schema.vocabulary import DossierSection
from simpul_seal import Directory, KeyRing, seal_section
from tests.faults.conftest import BreakableCity, breakable_city
from tests.integration.intake.test_follow_page import send_files
from tests.journeys.test_case_ends import change_case
from tests.journeys.test_cases_by_http import amend
from tests.journeys.test_deadlines_to_people import gateway, let_pass
from tests.journeys.test_scenarios import record_consent, withdraw_consent
from tests.support.canary import Canary, search
from tests.support.canary_desk import HOSTED, CanaryDesk
from tests.support.ledger import confirm_plan, eventually, rows, settle
from tests.support.otlp import Collector, export_span, read_traces, running_collector
from tests.support.raw_amqp import RawPublisher
from tests.support.reports import a_report
from tests.support.routing_api import call
from tests.support.signing import message, signed
from tests.support.sinks import Tap, read_sinks, store_uncompressed

CONSUMING: Final = ("uptd-ppa", "polres-ppa", "satgas-kel-bandar-lor", "ylpa", "dinsos-peksos")
"""The hospital works at the desk. Other agencies are away, so that their messages stay on the broker's disk."""
OPEN_TO_OUTSIDERS: Final = {"messages", "broker disk"}
UNSENT: Final = "SELECT 1 FROM outbox WHERE published_at IS NULL LIMIT 1"


class Journey:
    """Plays the city through with reports that hold one canary, and with messages of outsiders that hold another.

    What an outsider publishes in clear passes through the broker, whatever the city does; it may stay nowhere else.
    """

    def __init__(self, city: BreakableCity, canary: Canary, outsider: Canary) -> None:
        self._city = city
        self._canary = canary
        self.outsider = outsider
        self.scenarios: set[int] = set()
        """Those of the domain that have been played, each with what it is to show."""
        self.answers: list[bytes] = []
        """Refusals: a refusal repeats nothing, because clients log it."""

    async def play(self) -> None:
        """Plays every part."""
        cases = await self._report()
        await settle(self._city, set(cases.values()))
        await self._send_invalid_requests(cases)
        await self._amend(cases)
        await self._act(cases)
        await self._transfer(cases)
        await self._withdraw_consent(cases)
        await self._work_at_desk(cases)
        await self._write_notes(cases)
        await self._answer_question(cases)
        await self._miss_deadlines()
        await self._send_unusable_messages(cases)
        await self._use_commands(cases)

        async def is_quiet() -> bool:
            unsent = [await rows(self._city, service, UNSENT) for service in ("intake", "routing", "notify")]
            return not any(unsent)

        await eventually(is_quiet)

    def _seeded(self, **facts: Any) -> dict[str, Any]:
        canary = self._canary
        return a_report(identity=canary.identity(), narrative=canary.narrative()) | facts

    async def _post(self, body: Any, path: str = "/reports", **more: Any) -> tuple[int, Any]:
        url = self._city.url("intake") + path
        async with aiohttp.ClientSession() as session, session.post(url, json=body, **more) as answer:
            content = await answer.read()
            if answer.status != 202:
                self.answers.append(str(answer.headers).encode() + content)
            return answer.status, json.loads(content) if answer.content_type == "application/json" else None

    async def _report(self) -> dict[str, str]:
        """Reports the child by every way in; returns the cases by name."""
        city, word = self._city, self._canary.word
        first, hub = self._seeded(safe_now="no", injured="yes"), city.token_of("uptd-ppa")
        reports = {
            # The first one, because a child who may wait and was perhaps reported before is held back.
            "consented": (
                self._seeded(
                    violence=["physical", "psychological"],
                    perpetrator_relation="teacher",
                    age=9,
                    perpetrator_lives_with_child="no",
                ),
                hub,
            ),
            "urgent": (first, hub),
            "sexual": (
                self._seeded(
                    violence=["sexual"],
                    safe_now="no",
                    perpetrator_relation="parent",
                    guardian_relation="parent",
                    guardian_is_suspect="yes",
                ),
                hub,
            ),
            "declined": (self._seeded(injured="yes", safe_now="no"), hub),
            "conflict": (self._seeded(injured="yes", safe_now="no"), hub),
            "unknown": (
                self._seeded(
                    kelurahan=f"Dusun {word}",
                    event_kelurahan=f"Gang {word}",
                    violence=[f"dipukul {word}"],
                    safe_now="no",
                ),
                hub,
            ),
            "anonymous": (self._seeded(complaint_centre="", excluded_agencies=["ylpa"], safe_now="no"), {}),
            "erased": (self._seeded(safe_now="no"), hub),
        }
        cases = {}
        for name, (body, headers) in reports.items():
            status, answer = await self._post(body, headers=headers)
            assert status == 202, answer
            cases[name] = answer["case_id"]
            self._receipts = getattr(self, "_receipts", {}) | {name: answer}
        # A retry, other content under the same id, and a duplicate that is found, answered and sent again.
        assert [(await self._post(first | change, headers=hub))[0] for change in ({}, {"age": 4})] == [202, 409]
        self.scenarios.add(1)
        again = self._seeded(complaint_centre="", safe_now="yes", injured="no", in_school="yes")
        status, held = await self._post(again, headers=city.token_of("polres-ppa"))
        assert (status, held["code"]) == (409, "maybe_reported_before")
        more = {"duplicate_search": held["search_id"], "duplicate_reason": "other_child"}
        _, answer = await self._post(again | more, headers=city.token_of("polres-ppa"))
        self.scenarios.add(5)
        return cases | {"duplicate": answer["case_id"]} | {"form": await self._use_form()}

    async def _use_form(self) -> str:
        """Sends the public form, after it was sent with mistakes."""
        form = {
            **self._canary.identity(),
            **self._canary.narrative(),
            "report_id": str(uuid4()),
            "violence": "physical",
        }
        url = f"{self._city.url('intake')}/lapor"
        async with aiohttp.ClientSession() as session:
            for wrong in ({"age": self._canary.word}, {"violence": ""}, {"report_id": self._canary.word}):
                async with session.post(url, data=form | wrong) as answer:
                    assert answer.status == 422
            async with session.post(url, data=json.dumps(form)) as answer:
                assert answer.status == 415
            async with session.post(url, data=form) as answer:
                assert answer.status == 200
        case_id = "SELECT case_id::text FROM report WHERE report_id = $1::uuid"
        return str((await rows(self._city, "intake", case_id, form["report_id"]))[0]["case_id"])

    async def _send_invalid_requests(self, cases: dict[str, str]) -> None:
        """Sends what is refused: each with the canary where it does not belong."""
        canary, text = self._canary, self._canary.sentence
        hub = self._city.token_of("uptd-ppa")
        for field in ("channel", "reporter", "place", "sex", "age", "safe_now", "report_id", "received_at"):
            assert (await self._post(self._seeded(**{field: text})))[0] == 422
        wrong_fields: list[dict[str, Any]] = [
            {"identity": {"child_name": text * 20}},
            {"identity": [text]},
            {"excluded_agencies": [text]},
            {"complaint_centre": text},
            {"violence": []},
            {"narrative": {"chronology": text * 9_000}},
        ]
        for wrong in wrong_fields:
            assert (await self._post(self._seeded(**wrong)))[0] in (413, 422)
        assert (await self._post(self._seeded(complaint_centre="polres-ppa"), headers=hub))[0] == 403
        url = self._city.url("intake")
        odd = {
            "Authorization": f"Bearer {canary.ascii_word}",
            "User-Agent": canary.ascii_word,
            "X-Forwarded-For": canary.ascii_word,
            "Cookie": f"a={canary.ascii_word}",
            "Referer": canary.ascii_word,
            "traceparent": f"00-{canary.digits}{'0' * 22}-{'1' * 16}-01",
            "Accept-Language": canary.ascii_word,
        }
        async with aiohttp.ClientSession() as session:
            for service in SERVICES:
                for path in (f"/{text}", f"/?q={text}", f"/cases/{text}", f"/health/{text}", f"/lapor?lang={text}"):
                    async with session.get(self._city.url(service) + path, headers=odd) as answer:
                        assert answer.status < 500
            for body in (f'{{"identity": {text}', f'"{text}"', text * 9_000, json.dumps({text: text})):
                headers = {"content-type": "application/json"}
                async with session.post(f"{url}/reports", data=body.encode(), headers=headers) as answer:
                    assert answer.status in (413, 422), await answer.text()
            async with session.post(f"{url}/reports", json=self._seeded(), headers=odd) as answer:
                assert answer.status == 401
                self.answers.append(await answer.read())
        for receipt in (text, canary.word):
            wrong_receipt = {"case_id": cases["urgent"], "receipt": receipt}
            assert (await amend(self._city, wrong_receipt, identity=canary.identity()))[0] in (404, 429)

    async def _amend(self, cases: dict[str, str]) -> None:
        """Adds facts, repeats the amendment, and reuses its id for other facts."""
        receipt, amendment_id = self._receipts["urgent"], str(uuid4())
        identity, narrative = self._canary.identity(), self._canary.narrative()
        answers = [
            await amend(self._city, receipt, amendment_id=amendment_id, identity=identity, narrative=narrative, **facts)
            for facts in ({"pregnant": "yes"}, {"pregnant": "yes"}, {"pregnant": "no"})
        ]
        assert [status for status, _ in answers] == [202, 202, 409]
        await self._send_files(receipt)
        await amend(self._city, receipt, kelurahan=self._canary.word, violence=[f"lain: {self._canary.word}"])

    async def _send_files(self, receipt: dict[str, Any]) -> None:
        """Adds a document, and files that are refused, each with the canary as its name and in its content."""
        text = self._canary.sentence
        letter, script = b"%PDF-1.7 " + text.encode(), f"<svg>{text}</svg>".encode()
        assert (await send_files(self._city, receipt, (f"{text}.pdf", letter)))[0] == 200
        for refused in ((f"{text}.svg", script), (f"{text}.pdf", letter * 90_000)):
            status, page = await send_files(self._city, receipt, refused)
            assert status in (413, 422)
            self.answers.append(page.replace(receipt["receipt"], "").encode())

    async def _act(self, cases: dict[str, str]) -> None:
        """Acts on the cases with reasons that name people, and is refused where that is not allowed."""
        reason = self._canary.sentence
        for path in ("urgency", "mediation", f"rights/{reason}", "close", f"referrals/{reason}/cancel"):
            _, refused, _ = await call(
                self._city,
                "POST",
                f"/cases/{cases['sexual']}/{path}",
                json={"reason": reason},
                headers={"If-Match": reason.split(",")[0].encode("ascii", "ignore").decode()},
            )
            self.answers.append(json.dumps(refused).encode())
        refused = await call(self._city, "GET", f"/cases/{cases['sexual']}", self._canary.ascii_word)
        assert refused[0] == 401
        await self._act_on_sexual_violence(cases["sexual"], reason)
        await change_case(self._city, cases["sexual"], "exclusions", agency="ylpa", reason=reason)
        await change_case(self._city, cases["sexual"], "consent-withdrawals", reason=reason)
        await change_case(self._city, cases["duplicate"], "merge", into=cases["form"], reason=reason)
        await change_case(self._city, cases["form"], "close", end="closed", reason=reason)
        await change_case(self._city, cases["form"], "reopen", reason=reason)
        await change_case(self._city, cases["erased"], "void", reason=reason)

    async def _transfer(self, cases: dict[str, str]) -> None:
        """Hands a case over to a party, at an address and to a person that the canary names, and takes it back."""
        city, path, text = self._city, f"/cases/{cases['unknown']}", self._canary.sentence
        letter = {"reason": text, "way": "paper", "party": text, "address": text}
        receipt = {"name": text, "office": text, "received_on": "2026-11-20"}
        answers: list[Any] = []

        async def is_changed(route: str, body: Any) -> bool:
            _, _, headers = await call(city, "GET", path)
            status, answer, _ = await call(city, "POST", path + route, json=body, headers={"If-Match": headers["ETag"]})
            answers[:] = [answer]
            return status in (201, 204)

        await eventually(lambda: is_changed("/transfers", letter))
        transfer = f"/transfers/{answers[0]['transfer_id']}"
        await eventually(lambda: is_changed(f"{transfer}/acknowledge", receipt))
        self.scenarios.add(8)

    async def _act_on_sexual_violence(self, case_id: str, reason: str) -> None:
        """Is refused a mediation and a consent of the suspected father; the police and the hub have the case."""
        _, case, _ = await call(self._city, "GET", f"/cases/{case_id}")
        assert {"polres-ppa", "uptd-ppa"} <= {one["agency"] for one in case["referrals"]}
        self.scenarios.add(2)
        status, refusal = await record_consent(self._city, case_id, reason=reason)
        self.answers.append(json.dumps(refusal).encode())
        assert (status, refusal["code"]) == (409, "consent_from_suspect")
        self.scenarios.add(3)
        refusals: list[dict[str, Any]] = []

        async def is_mediation_refused() -> bool:
            _, _, headers = await call(self._city, "GET", f"/cases/{case_id}")
            body, version = {"reason": reason}, {"If-Match": headers["ETag"]}
            _, refused, _ = await call(self._city, "POST", f"/cases/{case_id}/mediation", json=body, headers=version)
            refusals.append(refused)
            return bool(refused["code"] == "mediation_locked")

        await eventually(is_mediation_refused)
        self.answers.append(json.dumps(refusals).encode())
        self.scenarios.add(9)

    async def _withdraw_consent(self, cases: dict[str, str]) -> None:
        """Records a consent with the canary as its reason, and withdraws it when agencies serve by it."""
        case_id, reason = cases["consented"], self._canary.sentence
        assert (await record_consent(self._city, case_id, reason=reason))[0] == 204
        await confirm_plan(self._city, case_id)
        await withdraw_consent(self._city, case_id, agencies=3, reason=reason)
        self.scenarios.add(6)

    async def _work_at_desk(self, cases: dict[str, str]) -> None:
        """Has people of the hospital and of a complaint centre type the canary at the desk."""
        desk = CanaryDesk(self._city, self._canary.sentence)
        await desk.serve(cases["urgent"])
        await desk.decline(cases["declined"])
        self.scenarios.add(4)
        await desk.declare_conflict(cases["conflict"])
        self.scenarios.add(10)

    async def _write_notes(self, cases: dict[str, str]) -> None:
        """Has an agency that serves a case note the canary, and people read it."""
        city, case_id = self._city, UUID(cases["urgent"])
        serving = (
            "SELECT r.referral_id, r.agency FROM referral r JOIN referral_service s USING (referral_id)"
            " WHERE r.case_id = $1 AND s.accepted_at IS NOT NULL AND s.ended_at IS NULL ORDER BY r.agency LIMIT 1"
        )

        async def is_served() -> bool:
            return bool(await rows(city, "routing", serving, case_id))

        await eventually(is_served)
        (found,) = await rows(city, "routing", serving, case_id)
        agency, event_id = found["agency"], uuid4()
        keys = Directory.read(directory_file(city.keys)).current("routing", utc_now())
        content = CaseNote(about=DossierSection.NARRATIVE, text=self._canary.sentence).model_dump_json().encode()
        sealed = seal_section(content, keys, event_id=event_id, case_id=case_id, section="note")
        event = {
            "specversion": "1.0",
            "id": str(event_id),
            "type": "reply.note.added.v1",
            "source": f"/kediri/agency/{agency}",
            "subject": f"referral/{found['referral_id']}",
            "time": f"{utc_now():%Y-%m-%dT%H:%M:%SZ}",
            "sequence": "0000000001",
            "correlationid": str(case_id),
            "datacontenttype": "application/json",
            "data": {"referral_id": str(found["referral_id"]), "agency": agency, "sealed": {"note": sealed}},
        }
        body, signature = signed(event, KeyRing.read(city.keys / f"{agency}.key.json"))
        url = json.loads((city.folder / "addresses.json").read_text())[agency]
        async with await aio_pika.connect(url) as connection:
            channel = await connection.channel(publisher_confirms=True)
            exchange = await channel.get_exchange(REPLIES, ensure=False)
            await exchange.publish(message(body, signature), f"reply.{agency}.note.added.v1")

        async def is_noted() -> bool:
            return bool(await rows(city, "routing", "SELECT 1 FROM agency_note WHERE note_id = $1", event_id))

        await eventually(is_noted)
        _, notes, _ = await call(city, "GET", f"/cases/{case_id}/notes")
        assert [note["text"] for note in notes] == [self._canary.sentence]

    async def _answer_question(self, cases: dict[str, str]) -> None:
        """Has the case manager ask with the canary, and the reporting person read it and answer with it."""
        city, receipt, path = self._city, self._receipts["urgent"], f"/cases/{cases['urgent']}"
        wrong, _, _ = await call(city, "POST", f"{path}/questions", json={"question": self._canary.sentence * 30})
        assert wrong == 422

        async def is_sent() -> bool:
            _, _, headers = await call(city, "GET", path)
            question, version = {"question": self._canary.sentence}, {"If-Match": headers["ETag"]}
            return (await call(city, "POST", f"{path}/questions", json=question, headers=version))[0] == 204

        await eventually(is_sent)
        open_questions: list[dict[str, str]] = []

        async def is_shown() -> bool:
            url = f"{city.url('intake')}{path}/progress"
            body = {"receipt": receipt["receipt"]}
            async with aiohttp.ClientSession() as session, session.post(url, json=body) as answer:
                open_questions[:] = (await answer.json())["questions"]
            return bool(open_questions)

        await eventually(is_shown)
        assert [one["text"] for one in open_questions] == [self._canary.sentence]
        answers = [{"question_id": open_questions[0]["question_id"], "answer": self._canary.sentence}]
        assert (await amend(city, receipt, answers=answers))[0] == 202
        replaced = f"{city.url('intake')}{path}/receipt"
        async with (
            aiohttp.ClientSession() as session,
            session.post(replaced, headers=city.token_of("uptd-ppa")) as answer,
        ):
            assert answer.status == 200

    async def _miss_deadlines(self) -> None:
        """Lets the deadlines of a case pass while every agency is away and the gateway fails, and then works."""
        city = self._city
        city.kill("agencies")
        report = self._seeded(safe_now="no", injured="yes")
        case_id = (await self._post(report, headers=city.token_of("uptd-ppa")))[1]["case_id"]

        async def holds(condition: str) -> bool:
            found = await rows(
                city, "notify", f"SELECT 1 FROM alert WHERE case_id = $1 AND {condition} LIMIT 1", case_id
            )
            return bool(found)

        await eventually(lambda: holds("state = 'sent'"))
        await gateway(city, "on")
        await let_pass(city, case_id, timedelta(minutes=16))
        await eventually(lambda: holds("attempts > 0 AND state = 'pending'"))
        await gateway(city, "off")
        await let_pass(city, case_id, timedelta(minutes=16))
        await eventually(lambda: holds("step = 200 AND state = 'sent'"))
        self.scenarios |= {7, 11}
        city.start("agencies")
        city.wait_ready("agencies")

    async def _send_unusable_messages(self, cases: dict[str, str]) -> None:
        """Sends what an agency with a faulty or hacked system can send, and what cannot be read at all."""
        city, text = self._city, self.outsider.sentence
        agency = "polres-ppa"
        ring = KeyRing.read(city.keys / f"{agency}.key.json")
        found = (
            "SELECT referral_id::text FROM referral JOIN referral_service USING (referral_id)"
            " WHERE agency = $1 AND accepted_at IS NOT NULL LIMIT 1"
        )
        (referral,) = await rows(city, "routing", found, agency)
        bodies = [signed(event, ring) for event in self._faulty_replies(referral, agency)]
        body, signature = bodies[0]
        bodies += [
            (body, ""),
            (body.replace(b"case", b"cose"), signature),
            (text.encode(), ""),
            (b"\xff" + text.encode(), ""),
        ]
        bodies += [(text.encode(), f"v1 {text} {text}"), (json.dumps({text: [text]}).encode(), "")]
        url = json.loads((city.folder / "addresses.json").read_text())[agency]
        async with await aio_pika.connect(url) as connection:
            channel = await connection.channel(publisher_confirms=True)
            exchange = await channel.get_exchange(REPLIES, ensure=False)
            for one, its_signature in bodies:
                await exchange.publish(message(one, its_signature, note=text), f"reply.{agency}.accepted.v1")
        with closing(RawPublisher(city.backends.amqp_url)) as publisher:
            publisher.publish(text.encode(), EVENTS, b"case.reported.v1")
            publisher.publish(text.encode(), "", service_inbox("routing").encode())
            publisher.publish(text.encode(), REPLIES, f"reply.{agency}.{self.outsider.word}.v1".encode())

        async def are_parked() -> bool:
            count = await rows(city, "routing", "SELECT count(*) AS n FROM parked")
            return bool(count[0]["n"] >= 8)

        await eventually(are_parked)

    def _faulty_replies(self, referral: Mapping[str, Any], agency: str) -> Iterator[dict[str, Any]]:
        """Yields replies signed by the agency, with the canary in fields that the contract has, lacks or forbids."""
        text = self.outsider.sentence
        sample = json.loads(next(body for name, _, body in samples() if name == "reply.referral.declined.v1"))
        event = sample | {
            "source": f"/kediri/agency/{agency}",
            "subject": f"referral/{referral['referral_id']}",
            "data": sample["data"] | {"referral_id": referral["referral_id"], "agency": agency},
        }
        changes: list[dict[str, Any]] = [
            {"note": text, "data": event["data"] | {"note": text}, "sequence": "0000000900"},
            {"data": event["data"] | {"reason": text}},
            {"data": event["data"] | {"sealed": {text: {"recipient": text}}}},
            {"data": event["data"] | {"sealed": {text: {"recipient": text, "keyid": text, "ciphertext": text}}}},
            {"data": event["data"] | {"referral_id": text}},
            {"data": event["data"] | {"agency": text}},
            {"subject": text},
            {"type": text},
            {"source": f"/kediri/agency/{text}"},
            {"sequence": text, "time": text},
            {"traceparent": text, "sequence": "0000000901"},
            {"causationid": text},
        ]
        yield from (event | {"id": str(uuid4())} | change for change in changes)

    async def _use_commands(self, cases: dict[str, str]) -> None:
        """Uses the commands that look at parked messages and erase a case; their output is a sink as well."""
        city = self._city
        intake, routing = city.database_url("intake"), city.database_url("routing")
        commands = [
            ["parked", "list", "--database-url", routing],
            ["parked", "replay", "all", "--database-url", routing],
            ["vault", "erase", cases["erased"], "--reason", "request", "--by", "kepala", "--database-url", intake],
            ["vault", "certificate", cases["erased"], "--database-url", intake],
        ]
        for command in commands:
            done = await asyncio.to_thread(CliRunner().invoke, app, command)
            assert done.exit_code == 0, (command, done.output)
            self.answers.append(done.output.encode())


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    """A collector of traces, which the city exports to."""
    with running_collector() as running:
        yield running


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[BreakableCity]:
    """A city of its own, because what is parked and planted in it would disturb other tests."""
    folder = tmp_path_factory.mktemp("canary")
    settings = {
        "SIMPUL_FIRST_RETRY_DELAY": "0.2",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "500",
        # What FastAPI would trace by itself holds paths and exceptions.
        "FASTAPI_OTEL_AUTO_CONFIGURE": "true",
    }
    with breakable_city(folder, *ALL, accept=True, consuming=CONSUMING, hosted=(HOSTED,), **settings) as started:
        yield started


@dataclass(frozen=True)
class Played:
    """The city after everything, what was seeded, and what every sink holds."""

    city: BreakableCity
    wal_position: str
    canary: Canary
    outsider: Canary
    sinks: dict[str, bytes]
    scenarios: set[int]

    def find_leaks(self) -> dict[str, list[str]]:
        """Returns the hits by sink."""
        found = {}
        for name, content in self.sinks.items():
            found[name] = search(content, self.canary, *([] if name in OPEN_TO_OUTSIDERS else [self.outsider]))
        return {name: hits for name, hits in found.items() if hits}


@pytest.fixture(scope="module")
def played(city: BreakableCity, collector: Collector) -> Played:
    """Plays everything once."""
    canary, outsider = Canary(), Canary()

    async def play() -> Played:
        position = await store_uncompressed(city)
        async with Tap(city).running() as tap:
            journey = Journey(city, canary, outsider)
            await journey.play()
            sinks = await read_sinks(city, tap, position)
        sinks["refusals and commands"] = b"\n".join(journey.answers)
        await eventually(lambda: _has_traces(collector))
        sinks["traces"] = read_traces(collector)
        return Played(city, position, canary, outsider, sinks, journey.scenarios)

    return asyncio.run(play())


async def _has_traces(collector: Collector) -> bool:
    """Whether the steps of every kind have been exported, each of which a process exports with the next batch."""
    return {"POST /reports", "send simpul.events", "process simpul.events", "send simpul.referrals"} <= {
        span["name"] for span in collector.spans
    } and any(span["service.name"].startswith("agency.") for span in collector.spans)


def test_every_scenario_of_the_domain_was_played(played: Played) -> None:
    assert played.scenarios == set(range(1, 12))


def test_every_sink_was_used(played: Played) -> None:
    """Shows that the search below reads what the journeys left behind."""
    cases = {row["case_id"] for row in asyncio.run(rows(played.city, "routing", "SELECT case_id::text FROM case_plan"))}
    sinks = played.sinks

    assert len(cases) >= 8
    for name in ("messages", "broker disk", "kit stores", "agencies' ledger", *(f"database of {s}" for s in SERVICES)):
        assert any(case_id.encode() in sinks[name] for case_id in cases), name
    assert {name for name in sinks if name.startswith("log of")} >= {f"log of {service}" for service in SERVICES}
    assert all(b"simpul_" in sinks[f"metrics of {service}"] for service in SERVICES)
    assert {"message_parked", "message_failed"} & set(sinks["log of routing"].decode().split('"'))
    assert b"To:" in sinks["gateway spool"]
    assert b"X-Kannel-To" in sinks["gateway spool"]
    # Identities left the vault, so the search covers them on their way and in the stores of those who accepted.
    for name in ("messages", "broker disk", "kit stores", "database of intake", "database of routing"):
        assert b"dossier.released.v1" in sinks[name], name
    assert b"dossier.withdrawn.v1" in sinks["kit stores"]
    assert b"dossier.released.v1" in sinks["stores at the desk"]
    for action in (b"conflict.declared", b"note.written", b"note.shared"):
        assert action in sinks["database of desk"], action
    for kind in (b"consent_recorded", b"withdrawal_acknowledged"):
        assert kind in sinks["database of routing"], kind
    assert b"files.stored" in sinks["database of intake"]
    # Both hold the canary, sealed; what became of them is encrypted in the databases.
    for name in ("messages", "database of routing"):
        assert b"reply.note.added.v1" in sinks[name], name
    for name in ("messages", "database of intake", "database of routing"):
        assert b"case.question_sent.v1" in sinks[name], name
        assert b"case.note_added.v1" in sinks[name], name


def test_no_seeded_datum_is_in_any_sink(played: Played) -> None:
    leaks = played.find_leaks()

    assert leaks == {}


def test_one_trace_leads_from_a_report_to_the_handler_of_an_agency(played: Played, collector: Collector) -> None:
    by_id = {span["id"]: span for span in collector.spans}
    reached = [s for s in collector.spans if s.get("cloudevents.event_type") == "referral.offered.v1"]

    ways = []
    for last in (span for span in reached if span["name"].startswith("process agency.")):
        way = [last]
        while way[-1]["parent"] in by_id:
            way.append(by_id[way[-1]["parent"]])
        ways.append([(step["service.name"].partition(".")[0], step["name"].partition(" agency.")[0]) for step in way])

    expected = [
        ("agency", "process"),
        ("routing", "send simpul.referrals"),
        ("routing", "process simpul.events"),
        ("intake", "send simpul.events"),
        ("intake", "POST /reports"),
    ]
    assert expected in ways
    begun = {step for *_, (service, step) in ways if service == "intake"}
    assert begun == {"POST /reports", "POST /lapor"}
    # The people on duty are alerted because of the same report.
    traces = {span["trace"] for span in reached if span["service.name"] == "notify"}
    assert traces & {span["trace"] for span in collector.spans if span["name"] == "POST /reports"}


def test_a_span_has_allowed_attributes_only(played: Played, collector: Collector) -> None:
    own = {"service.name", "name", "trace", "id", "parent", "nanoseconds"}

    assert {name for span in collector.spans for name in span} - own <= ALLOWED
    assert {span["service.name"].partition(".")[0] for span in collector.spans} == {*SERVICES, "agency"}
    # A client's own trace is not continued, and no request that only reads is traced.
    assert not any(played.canary.digits in span["trace"] for span in collector.spans)
    assert not any(span["name"].startswith("GET") for span in collector.spans)


async def plant(played: Played, canary: Canary) -> None:
    """Puts a canary into each sink, as a fault of a program would."""
    city, text = played.city, canary.sentence
    async with await aio_pika.connect(city.backends.amqp_url) as connection:
        channel = await connection.channel(publisher_confirms=True)
        exchange = await channel.get_exchange(REFERRALS, ensure=False)
        # This agency is away, so the message stays on the broker's disk.
        await exchange.publish(message(text.encode()), "referral.klinik-pendidikan.offered.v1")
    address = urlsplit(city.backends.amqp_url)
    with pytest.raises(AMQPConnectionError):
        await aio_pika.connect(address._replace(netloc=f"{canary.ascii_word}:x@127.0.0.1:{address.port}").geturl())
    for service in SERVICES:
        await rows(city, service, "CREATE TABLE planted (content bytea)")
        await rows(city, service, "INSERT INTO planted VALUES ($1)", text.encode("utf-16-le"))
        await rows(city, service, "DROP TABLE planted" if service == "intake" else "SELECT 1")
    await rows(city, "intake", "CREATE TABLE planted AS SELECT $1::text AS content", text)
    with pytest.raises(asyncpg.DataError):
        await rows(city, "routing", "SELECT $1::text::int", text)
    await rows(city, "desk", "UPDATE board SET agency = $1, accepted_at = NULL", canary.ascii_word)
    for folder in (city.ledger.parent / "agencies", city.hosted_dir / HOSTED):
        with closing(sqlite3.connect(folder / "planted.db")) as store:
            store.execute("CREATE TABLE planted (content)")
            store.execute("INSERT INTO planted VALUES (?)", (text,))
            store.commit()
    for file in (city.ledger, *(city.log(name) for name in ALL)):
        with file.open("a") as sink:
            sink.write(json.dumps({"event": "note_added", "reason": text}) + "\n")
    account = {"X-Kannel-Username": ACCOUNT, "X-Kannel-Password": PASSWORD, "X-Kannel-To": f"+62800{canary.digits}"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{city.url('handset')}/cgi-bin/sendsms", data=text.encode(), headers=account) as answer,
    ):
        assert answer.status == 202


async def test_the_search_finds_a_canary_that_was_planted_in_each_sink(played: Played) -> None:
    planted = Canary()
    HELD_EVENTS.labels(planted.word).set(1)
    port = free_port()
    try:
        with serve_metrics("127.0.0.1", port):
            city = copy.copy(played.city)
            city.metrics_ports = dict.fromkeys(SERVICES, port)
            async with Tap(city).running() as tap:
                await plant(played, planted)
                await asyncio.sleep(0.2)
                sinks = await read_sinks(city, tap, played.wal_position)
        with running_collector() as collector:
            await export_span(collector, planted.sentence)
            sinks["traces"] = read_traces(collector)
    finally:
        HELD_EVENTS.remove(planted.word)

    assert sinks.keys() == played.sinks.keys() - {"refusals and commands"}
    assert {name for name, content in sinks.items() if not planted.search(content)} == set()
