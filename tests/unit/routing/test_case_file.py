"""A case file without a database: what its methods decide, record and publish."""

from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid4

import pytest

from simpul_agreement.engine import Engines
from simpul_agreement.model import ClockName
from simpul_routing.domain.case_events import CaseEventKind
from simpul_routing.domain.case_file import CaseFile
from simpul_routing.domain.case_record import Alarm
from simpul_routing.domain.facts import ReportedFacts, read_report
from simpul_routing.domain.lifecycle import ReplyKind, ServiceState
from simpul_routing.domain.published import ClockStepTaken, Published, ReferralOffered, RightsChanged, ServicesChanged
from simpul_routing.domain.referral import ReferralService
from simpul_routing.domain.replies import Reply
from simpul_routing.domain.rules import Rules
from simpul_routing.errors import CaseChanged, CaseEnded
from simpul_schema.messages.case import TriageFacts
from simpul_schema.vocabulary import CaseEnd, DeclineReason, ReferralRole, ReplyRefusal, RightState, Service
from tests.support.agreements import CITY, in_one_wave, kediri

NOW = datetime(2026, 11, 27, 15, 0, tzinfo=UTC)
P = TypeVar("P", bound=Published)


class OneVersion:
    """Every decision is made by Kediri's agreement, with every service offered at once."""

    def __init__(self) -> None:
        self._engines = Engines(in_one_wave(kediri()), "digest")

    def active(self, _: datetime) -> Engines:
        return self._engines

    def of(self, _: str) -> Engines:
        return self._engines


VERSIONS = OneVersion()


def read_facts(**facts: Any) -> TriageFacts:
    """Builds the facts about a child of Bujel who is in danger at home."""
    known = {"channel": "phone", "reporter": "other", "violence": ["physical"], "place": "household"}
    danger = {"kelurahan": "Bujel", "safe_now": "no", "perpetrator_lives_with_child": "yes"}
    return TriageFacts.model_validate(known | danger | facts)


def report_of(**facts: Any) -> ReportedFacts:
    return read_report(read_facts(**facts), CITY, kediri(), NOW)


def open_file(**facts: Any) -> CaseFile:
    """Opens the file of a child of Bujel who is in danger at home."""
    suggested = read_facts(**facts).suggested_exclusions
    rules = Rules(VERSIONS, CITY, NOW)
    return CaseFile.open_case(uuid4(), report_of(**facts), suggested, NOW - timedelta(hours=2), rules, uuid4())


def find_lead(file: CaseFile, service: Service) -> ReferralService:
    found = [s for s in file.services if s.service is service and s.role is ReferralRole.LEAD and s.standing.is_open]
    return found[0]


def reply(about: ReferralService, kind: ReplyKind, *others: ReferralService, **more: Any) -> Reply:
    ids = tuple(service.service_id for service in (about, *others))
    return Reply(uuid4(), about.referral_id, more.pop("agency", about.agency), kind, ids, **more)


def published(file: CaseFile, kind: type[P]) -> list[P]:
    return [pending.content for pending in file.pending if isinstance(pending.content, kind)]


def find_service(file: CaseFile, service_id: UUID) -> ReferralService:
    found = file.find_service(service_id)
    assert found
    return found


def test_a_new_file_offers_each_planned_service_once_and_records_it() -> None:
    file = open_file()

    offered = [(s.service, s.agency, s.role) for s in file.services]
    assert len(set(offered)) == len(offered) == sum(len(one.added) for one in published(file, ReferralOffered))
    assert (Service.SHELTER, "dinsos-peksos") in {(service, agency) for service, agency, _ in offered}
    kinds = [event.kind for event in file.history]
    assert kinds == [CaseEventKind.STATE_CHANGED] + [CaseEventKind.REFERRAL_OFFERED] * len(offered)
    assert file.alarms == []


def test_the_time_to_inform_the_police_runs_from_the_report() -> None:
    file = open_file(violence=["sexual"])

    report = find_lead(file, Service.POLICE_REPORT)
    assert report.agency == "polres-ppa"
    assert report.clocks[ClockName.POLICE_REPORT].started_at == NOW - timedelta(hours=2)
    others = [service for service in file.services if service is not report]
    assert not any(ClockName.POLICE_REPORT in r.clocks for r in others)


def test_a_declined_service_goes_to_the_next_agency_under_the_same_deadline() -> None:
    file = open_file()
    first = find_lead(file, Service.SHELTER)

    refused = file.record_replies([reply(first, ReplyKind.DECLINED, reason=DeclineReason.NO_CAPACITY)])

    second = find_lead(file, Service.SHELTER)
    assert refused == []
    assert (second.agency, second.rerouted_from, second.reroute_count) == ("uptd-ppa", first.service_id, 1)
    assert second.clocks[ClockName.SERVICE].due_at == first.clocks[ClockName.SERVICE].due_at
    ended = find_service(file, first.service_id)
    assert ended.standing.state is ServiceState.REROUTED
    assert all(clock.is_stopped for clock in ended.clocks.values())


def test_of_replies_that_arrive_together_each_is_judged_by_the_state_after_the_one_before() -> None:
    file = open_file()
    lead = find_lead(file, Service.SHELTER)

    refused = file.record_replies(
        [
            reply(lead, ReplyKind.DECLINED, reason=DeclineReason.NO_CAPACITY),
            reply(lead, ReplyKind.DECLINED, reason=DeclineReason.NO_CAPACITY),
            reply(lead, ReplyKind.DECLINED, agency="ylpa", reason=DeclineReason.NO_CAPACITY),
        ]
    )

    assert [(one.reason, one.service_ids) for one in refused] == [(ReplyRefusal.NOT_ITS_REFERRAL, ())]
    assert len([s for s in file.services if s.rerouted_from == lead.service_id]) == 1


def test_a_service_without_any_agency_is_escalated_and_not_forgotten() -> None:
    file = open_file(excluded_agencies=sorted(CITY.agency_codes))

    [service] = file.services
    [step] = published(file, ClockStepTaken)
    assert published(file, ReferralOffered) == []
    assert (service.is_declined, step.targets, step.informs_agency) == (True, ("city-board",), False)
    assert (Alarm.NO_AGENCY, service) in file.alarms
    assert not service.clocks[ClockName.ANSWER].is_stopped


def test_a_void_case_owes_nothing_and_counts_again_when_it_is_reopened() -> None:
    file = open_file()
    before = file.case.rights

    file.void("uptd-ppa", "typed twice")
    states = {entry.state for entry in file.case.ledger.values()}
    file.reopen("uptd-ppa", "it was none")

    assert states == {RightState.NOT_APPLICABLE}
    assert file.case.ledger.keys() == before.keys()
    assert len(published(file, RightsChanged)) >= 3


def test_a_changed_or_ended_case_refuses_what_a_person_read_before() -> None:
    file = open_file()
    version = file.version
    file.record_replies([reply(find_lead(file, Service.SHELTER), ReplyKind.ACCEPTED)])

    with pytest.raises(CaseChanged):
        file.check_version(version)
    file.close(CaseEnd.CLOSED, "uptd-ppa", "moved away")
    with pytest.raises(CaseEnded):
        file.check_open()


def test_an_excluded_agency_is_not_informed_of_what_it_loses() -> None:
    file = open_file()
    lead = find_lead(file, Service.SHELTER)

    file.exclude_agency_by_hand(lead.agency, "uptd-ppa", "too close")

    of_agency = [change for change in published(file, ServicesChanged) if change.referral.agency == lead.agency]
    assert of_agency
    assert not any(change.informs_agency for change in of_agency)
