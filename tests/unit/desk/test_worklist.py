"""A row of a worklist says what runs out next; its version changes with what a person decides about, and only then."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from simpul_agency.connectors.reply_command import ReplyKind
from simpul_agency.records import TypedBody
from simpul_agency.referral_view import ReferralView
from simpul_agreement.engine import Engines
from simpul_agreement.model import ClockName
from simpul_agreement.phrases import clause_sentence
from simpul_desk.hosting.deadlines import Deadline, find_answer, find_next_due, list_deadlines
from simpul_desk.hosting.known_facts import find_mediation_locks, read_known_facts
from simpul_desk.hosting.steps import ServiceStep, may_reply, step_of
from simpul_desk.hosting.worklist import Entry, EntryKind, Pressure, build_entry, compute_version, divide_by_pressure
from simpul_desk.wording import Wording
from simpul_schema.messages.referral import ReferralFacts
from simpul_schema.samples import section_sample
from simpul_schema.vocabulary import Answer, ReferralRole, Relation, Service, Urgency, Violence
from tests.support.agreements import CITY, kediri
from tests.unit.agency.test_referral_view import amended, event, offered, reply, view

NOW = datetime(2026, 11, 27, 15, 0, tzinfo=UTC)
SHELTER = "shelter"


@cache
def engines() -> Engines:
    return Engines(kediri())


def deadlines(found: ReferralView, **changes: object) -> list[Deadline]:
    service = found.services[0]
    service.requested = service.requested.model_copy(update=changes)
    facts = ReferralFacts.read_json(section_sample("facts"))
    return list_deadlines(engines(), service, facts, CITY.zone, found.first.time)


@pytest.mark.parametrize(
    ("events", "replies", "step"),
    [
        ([offered(SHELTER)], [], ServiceStep.WAITING),
        ([offered(SHELTER), event("referral.overdue.v1", SHELTER)], [], ServiceStep.WAITING),
        ([offered(SHELTER)], [reply("accepted")], ServiceStep.ACCEPTED),
        ([offered(SHELTER), event("referral.accepted.v1", SHELTER)], [reply("accepted")], ServiceStep.ACCEPTED),
        ([offered(SHELTER), event("referral.accepted.v1", SHELTER), event("referral.overdue.v1", SHELTER)],
         [reply("accepted")], ServiceStep.ACCEPTED),
        ([offered(SHELTER)], [reply("accepted"), reply("scheduled")], ServiceStep.SCHEDULED),
        ([offered(SHELTER)], [reply("accepted"), reply("unattended")], ServiceStep.UNATTENDED),
        ([offered(SHELTER)], [reply("accepted"), reply("started")], ServiceStep.STARTED),
        ([offered(SHELTER), event("referral.started.v1", SHELTER), event("referral.escalated.v1", SHELTER)],
         [reply("accepted"), reply("started")], ServiceStep.STARTED),
        ([offered(SHELTER)], [reply("accepted"), reply("completed")], ServiceStep.COMPLETED),
        ([offered(SHELTER)], [reply("declined")], ServiceStep.DECLINED),
        ([offered(SHELTER), event("referral.rerouted.v1", SHELTER)], [reply("declined")], ServiceStep.DECLINED),
        ([offered(SHELTER), event("referral.cancelled.v1", SHELTER)], [], ServiceStep.CANCELLED),
        ([offered(SHELTER), event("referral.revoked.v1", SHELTER)], [], ServiceStep.REVOKED),
    ],
)  # fmt: skip
def test_a_service_stands_where_its_agency_left_it(
    events: list[TypedBody], replies: list[TypedBody], step: ServiceStep
) -> None:
    assert step_of(view(events, replies).services[0]) is step


@pytest.mark.parametrize(
    ("step", "replies"),
    [
        (ServiceStep.WAITING, {"accepted", "declined"}),
        (ServiceStep.ACCEPTED, {"declined", "scheduled", "started", "completed"}),
        (ServiceStep.SCHEDULED, {"declined", "scheduled", "unattended", "started", "completed"}),
        (ServiceStep.UNATTENDED, {"declined", "scheduled", "started", "completed"}),
        (ServiceStep.STARTED, {"declined", "completed"}),
        (ServiceStep.COMPLETED, set()),
        (ServiceStep.DECLINED, set()),
        (ServiceStep.CANCELLED, set()),
        (ServiceStep.REVOKED, set()),
        (None, set()),
    ],
)
def test_where_a_service_stands_decides_what_can_be_reported(step: ServiceStep | None, replies: set[str]) -> None:
    assert {reply.value for reply in ReplyKind if may_reply(reply, step)} == replies


def test_the_version_changes_with_what_is_decided_about_and_not_with_a_confirmation() -> None:
    offer, accepted = offered(SHELTER, "legal_aid"), [reply("accepted", SHELTER)]
    first = compute_version(view([offer]))
    answered = compute_version(view([offer], accepted))

    assert first == compute_version(view([offer, event("referral.reminded.v1", SHELTER)]))
    assert answered == compute_version(view([offer, event("referral.accepted.v1", SHELTER)], accepted))
    others = [
        answered,
        compute_version(view([offer, amended(SHELTER, "legal_aid", "psychologist", added=("psychologist",))])),
        compute_version(view([offer, amended(SHELTER, "legal_aid")])),
        compute_version(view([offer, event("referral.revoked.v1", SHELTER)])),
    ]
    assert len({first, *others}) == 1 + len(others)


def test_an_answered_referral_runs_out_when_the_service_must_begin() -> None:
    waiting, accepted = view([offered(SHELTER)]), view([offered(SHELTER)], [reply("accepted")])
    requested_at = waiting.services[0].requested_at
    answer_by = requested_at + timedelta(minutes=15)
    given = {"urgency": Urgency.HIGH, "role": ReferralRole.LEAD, "answer_by": answer_by, "rerouted_from": None}

    assert find_next_due(deadlines(waiting, **given)) == answer_by
    assert find_next_due(deadlines(accepted, **given)) == requested_at + timedelta(hours=1)
    assert find_next_due(deadlines(view([offered(SHELTER)], [reply("accepted"), reply("started")]), **given)) is None


def test_a_referral_has_one_deadline_for_its_answer_the_earliest_that_is_not_met() -> None:
    found = view([offered(SHELTER, "legal_aid")], [reply("accepted", SHELTER)])
    soon, later = (found.services[0].requested_at + timedelta(minutes=minutes) for minutes in (15, 90))
    given = {"urgency": Urgency.HIGH, "role": ReferralRole.LEAD, "rerouted_from": None}
    waiting = [
        *deadlines(view([offered(SHELTER)]), **given, answer_by=later),
        *deadlines(view([offered(SHELTER)]), **given, answer_by=soon),
    ]

    answer = find_answer(waiting)

    assert answer is not None
    assert (answer.clock, answer.due_at) == (ClockName.ANSWER, soon)
    assert find_answer(deadlines(found, **given, answer_by=soon)) is None


def test_each_deadline_names_its_clause_and_source() -> None:
    found = deadlines(view([offered(SHELTER)]), urgency=Urgency.HIGH, role=ReferralRole.LEAD, rerouted_from=None)

    assert [(one.clock, one.clause.id) for one in found if one.clause.id in ("ANS-H", "CON-H", "BEG-H")] == [
        (ClockName.ANSWER, "ANS-H"),
        (ClockName.CONTACT, "CON-H"),
        (ClockName.SERVICE, "BEG-H"),
    ]
    assert all(one.clause.source.title for one in found)


def test_a_supporting_agency_owes_an_answer_only() -> None:
    found = deadlines(view([offered(SHELTER)]), urgency=Urgency.HIGH, role=ReferralRole.SUPPORT, rerouted_from=None)

    assert [one.clock for one in found] == [ClockName.ANSWER]


def test_a_rerouted_service_shows_no_computed_time() -> None:
    found = deadlines(view([offered(SHELTER)]), urgency=Urgency.HIGH, role=ReferralRole.LEAD, rerouted_from=UUID(int=9))

    assert [one.clock for one in found if one.due_at] == [ClockName.ANSWER]


SEXUAL = {"violence": (Violence.SEXUAL,), "sexual_under_72h": Answer.YES}


def of_sexual_violence(service: str, events: list[TypedBody], happened_at: str, **changes: object) -> list[Deadline]:
    """The deadlines of a service asked of a lead at NOW, after sexual violence at a time."""
    facts = ReferralFacts.read_json(section_sample("facts")).model_copy(update={**SEXUAL, "happened_at": happened_at})
    [found] = view([offered(SHELTER)], events).services
    given = {"service": Service(service), "role": ReferralRole.LEAD, "urgency": Urgency.HIGH, "rerouted_from": None}
    found.requested = found.requested.model_copy(update=given | changes)
    return list_deadlines(engines(), found, facts, CITY.zone, NOW)


@pytest.mark.parametrize(
    ("service", "happened_at", "clause", "due_at"),
    [
        ("pep_72h", "2026-11-27T12", "LAW-1", datetime(2026, 11, 28, 5, 0, tzinfo=UTC)),
        ("pep_72h", "2026-11-25T22", "LAW-13", datetime(2026, 11, 28, 15, 0, tzinfo=UTC)),
        ("forensic_exam", "2026-11-27T12", "LAW-2", datetime(2026, 11, 30, 5, 0, tzinfo=UTC)),
        ("forensic_exam", "2026-11-25", "LAW-2", datetime(2026, 11, 27, 17, 0, tzinfo=UTC)),
    ],
)
def test_the_time_for_treatment_and_evidence_runs_from_the_event(
    service: str, happened_at: str, clause: str, due_at: datetime
) -> None:
    shown = {one.clock: one for one in of_sexual_violence(service, [], happened_at)}

    window = shown[ClockName.HEALTH_WINDOW]
    assert (window.clause.id, window.due_at, window.is_met) == (clause, due_at, False)


def test_the_time_for_treatment_presses_until_the_service_begins() -> None:
    accepted = of_sexual_violence("forensic_exam", [reply("accepted")], "2026-11-24T22")
    window = next(one for one in accepted if one.clock is ClockName.HEALTH_WINDOW)

    # The 72 hours ended with the report.
    assert window.due_at == NOW
    assert find_next_due([window]) == NOW
    started = of_sexual_violence("forensic_exam", [reply("accepted"), reply("started")], "2026-11-24T22")
    assert find_next_due(started) is None


def test_without_the_time_of_the_event_the_clause_says_from_when_treatment_is_due() -> None:
    shown = {one.clock: one for one in of_sexual_violence("pep_72h", [], "")}

    window = shown[ClockName.HEALTH_WINDOW]
    assert (window.due_at, window.clause.id) == (None, "LAW-1")
    assert "sejak kejadian" in clause_sentence(window.clause, engines().agreement, "id")


@pytest.mark.parametrize(
    ("service", "happened_at", "due_at"),
    [
        ("pep_72h", "2026-11-27T12", datetime(2026, 11, 28, 5, 0, tzinfo=UTC)),
        ("forensic_exam", "2026-11-25T22", datetime(2026, 11, 28, 15, 0, tzinfo=UTC)),
        # It was reported before the first agency declined: within 24 hours of the event, or later.
        ("pep_72h", "2026-11-25T22", None),
        ("forensic_exam", "2026-11-24T21", datetime(2026, 11, 27, 14, 0, tzinfo=UTC)),
    ],
)
def test_the_time_for_treatment_of_a_rerouted_service_runs_on_from_the_event(
    service: str, happened_at: str, due_at: datetime | None
) -> None:
    shown = {one.clock: one for one in of_sexual_violence(service, [], happened_at, rerouted_from=UUID(int=9))}

    assert shown[ClockName.HEALTH_WINDOW].due_at == due_at
    assert shown[ClockName.SERVICE].due_at is None


def test_the_police_read_until_when_they_must_know_and_it_ends_with_their_answer() -> None:
    waiting = {one.clock: one for one in of_sexual_violence("police_report", [], "")}
    accepted = {one.clock: one for one in of_sexual_violence("police_report", [reply("accepted")], "")}

    report = waiting[ClockName.POLICE_REPORT]
    # The referral does not say when the violence became known.
    assert (report.clause.id, report.due_at, report.is_met) == ("LAW-3", None, False)
    assert accepted[ClockName.POLICE_REPORT].is_met
    assert ClockName.POLICE_REPORT not in {one.clock for one in of_sexual_violence("forensic_exam", [], "")}


@pytest.mark.parametrize(
    ("changes", "clauses"),
    [
        ({"violence": (Violence.SEXUAL,)}, ["MED-1"]),
        ({"safe_now": Answer.NO}, ["MED-4"]),
        ({"perpetrator_relation": Relation.PARENT}, ["MED-5"]),
        ({}, []),
    ],
    ids=["sexual", "not-safe", "parent", "nothing-known"],
)
def test_the_clause_that_locks_mediation_is_the_one_that_applies(
    changes: dict[str, object], clauses: list[str]
) -> None:
    calm = {
        "violence": (Violence.PHYSICAL,),
        "safe_now": Answer.YES,
        "perpetrator_relation": Relation.NEIGHBOUR,
        "sexual_under_72h": Answer.NO,
        "perpetrator_is_child": Answer.NO,
    }
    facts = ReferralFacts.read_json(section_sample("facts")).model_copy(update=calm | changes)
    known = read_known_facts(facts, Urgency.LOW, NOW, CITY.zone)

    assert [clause.id for clause in find_mediation_locks(engines(), known, NOW)] == clauses


def test_a_row_lists_what_is_open() -> None:
    found = view(
        [offered(SHELTER, "legal_aid"), event("referral.completed.v1", "legal_aid")], [reply("accepted", SHELTER)]
    )
    row = build_entry("ylpa", found, NOW)

    assert [(line.service, line.step) for line in row.services] == [("shelter", ServiceStep.ACCEPTED)]
    assert (row.is_open, row.waits_for_answer, row.due_at, row.kind) == (True, False, NOW, EntryKind.REFERRAL)


def test_a_withdrawn_consent_keeps_an_ended_referral_on_the_list() -> None:
    ended = [offered(SHELTER), event("referral.completed.v1", SHELTER)]

    assert not build_entry("ylpa", view(ended), NOW).is_open
    assert build_entry("ylpa", view([*ended, event("referral.consent_withdrawn.v1")]), NOW).is_open


def test_rows_are_counted_by_how_near_their_deadline_is() -> None:
    row = Entry("ylpa", UUID(int=1), UUID(int=2), EntryKind.PLAN, "low", None, NOW)
    minutes = (-600, 0, 1, 30, 31, None)
    rows = [replace(row, due_at=None if left is None else NOW + timedelta(minutes=left)) for left in minutes]

    counted = divide_by_pressure(rows, NOW)
    assert counted == {Pressure.LATE: 2, Pressure.SOON: 2, Pressure.CALM: 1, Pressure.NONE: 1}


@pytest.mark.parametrize(
    ("language", "left", "text"),
    [
        ("id", timedelta(minutes=12, seconds=59), "sisa 12 menit"),
        ("id", timedelta(hours=1, minutes=5), "sisa 1 jam 5 menit"),
        ("id", timedelta(days=2, hours=3, minutes=7), "sisa 2 hari 3 jam"),
        ("id", -timedelta(minutes=1), "lewat 1 menit"),
        ("en", timedelta(seconds=20), "0 min left"),
        ("en", -timedelta(days=3), "3 d late"),
    ],
)
def test_time_left_has_its_two_largest_units(language: str, left: timedelta, text: str) -> None:
    assert Wording(language, CITY.zone, NOW).time_left(NOW + left) == text


@pytest.mark.parametrize(
    ("language", "moment", "text"),
    [
        ("id", NOW, "hari ini pukul 22.00 WIB"),
        ("id", NOW + timedelta(hours=2), "besok pukul 00.00 WIB"),
        ("id", NOW - timedelta(hours=23), "kemarin pukul 23.00 WIB"),
        ("id", NOW + timedelta(days=4), "Selasa, 1 Desember 2026 pukul 22.00 WIB"),
        ("en", NOW + timedelta(days=4), "Tuesday, 1 December 2026 at 22.00 WIB"),
    ],
)
def test_a_moment_is_written_in_the_zone_of_the_city(language: str, moment: datetime, text: str) -> None:
    assert Wording(language, ZoneInfo("Asia/Jakarta"), NOW).moment(moment) == text
