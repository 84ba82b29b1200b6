"""Transfers to parties outside the agreement: danger comes before jurisdiction."""

from dataclasses import replace
from datetime import date, timedelta
from uuid import uuid4

import pytest

from simpul_agreement.model import ClockName
from simpul_routing.api.transfers import write_letter
from simpul_routing.domain.case_events import CaseEventKind
from simpul_routing.domain.case_file import CaseFile
from simpul_routing.domain.lifecycle import ReplyKind
from simpul_routing.domain.transfer import Acknowledgement, ExternalParty, Transfer, TransferSubject, TransferWay
from simpul_routing.errors import ReasonMissing, TransferNotAcknowledged, TransferUnknown
from simpul_schema.vocabulary import CaseEnd, DeclineReason, Service
from tests.support.agreements import CITY
from tests.unit.routing.test_case_file import NOW, find_lead, open_file, reply

REGENCY = ExternalParty("UPTD PPA Kabupaten Kediri", "uptd@contoh.invalid")
RECEIVED = Acknowledgement("Hestrud Quamiral", "Kepala UPTD PPA Kabupaten Kediri", date(2026, 11, 28))


def send(file: CaseFile, subject: TransferSubject = TransferSubject.CHILD) -> Transfer:
    return file.send_transfer(subject, TransferWay.MAIL, REGENCY, "uptd-ppa", "the child lives in the regency")


def is_waiting(file: CaseFile) -> bool:
    clock = find_lead(file, Service.CASE_MANAGEMENT).clocks.get(ClockName.TRANSFER)
    return clock is not None and not clock.is_stopped


def test_a_transfer_ends_no_service_and_stops_no_deadline() -> None:
    file = open_file(kelurahan="outside")
    before = {service.service_id: (service.standing, service.own_clocks) for service in file.services}

    send(file)

    assert {service.service_id: (service.standing, service.own_clocks) for service in file.services} == before
    assert {one.service for one in file.services} >= {Service.EMERGENCY_PROTECTION, Service.OUTREACH}


@pytest.mark.parametrize("end", [CaseEnd.CLOSED, CaseEnd.TRANSFERRED])
def test_a_child_in_danger_is_not_left_before_the_other_party_has_acknowledged(end: CaseEnd) -> None:
    file = open_file()
    transfer = send(file)

    with pytest.raises(TransferNotAcknowledged):
        file.close(end, "uptd-ppa", "x")
    file.acknowledge_transfer(transfer.transfer_id, RECEIVED, "uptd-ppa")
    file.close(end, "uptd-ppa", "x")

    assert file.case.ended_as is end


def test_a_child_in_danger_is_not_transferred_without_a_letter() -> None:
    file = open_file()
    withdrawn, other = send(file), send(file, TransferSubject.SUSPECT)
    file.withdraw_transfer(withdrawn.transfer_id, "uptd-ppa", "wrong office")
    file.acknowledge_transfer(other.transfer_id, RECEIVED, "uptd-ppa")

    with pytest.raises(TransferNotAcknowledged):
        file.close(CaseEnd.TRANSFERRED, "uptd-ppa", "x")


def test_the_urgency_set_by_hand_keeps_a_child_too() -> None:
    file = open_file(safe_now="yes", violence=["psychological"], perpetrator_lives_with_child="no")
    send(file)
    file.close(CaseEnd.TRANSFERRED, "uptd-ppa", "moved away")
    urgent = open_file(safe_now="yes", suicidal_sign="yes")
    send(urgent)

    assert file.case.ended_as is CaseEnd.TRANSFERRED
    with pytest.raises(TransferNotAcknowledged):
        urgent.close(CaseEnd.TRANSFERRED, "uptd-ppa", "x")


def test_the_case_manager_waits_for_the_first_deadline_until_all_are_settled() -> None:
    file = open_file()
    first = send(file)
    clock = find_lead(file, Service.CASE_MANAGEMENT).clocks[ClockName.TRANSFER]
    file.rules = replace(file.rules, now=NOW + timedelta(hours=1))
    second = send(file, TransferSubject.SUSPECT)

    assert (clock.started_at, clock.due_at) == (NOW, NOW + timedelta(hours=2))
    assert find_lead(file, Service.CASE_MANAGEMENT).clocks[ClockName.TRANSFER].due_at == first.due_at
    file.acknowledge_transfer(first.transfer_id, RECEIVED, "uptd-ppa")
    assert find_lead(file, Service.CASE_MANAGEMENT).clocks[ClockName.TRANSFER].due_at == second.due_at
    file.withdraw_transfer(second.transfer_id, "uptd-ppa", "served by somebody else")
    assert not is_waiting(file)


def test_the_deadline_moves_with_the_case_to_the_next_case_manager() -> None:
    file = open_file()
    transfer = send(file)
    manager = find_lead(file, Service.CASE_MANAGEMENT)

    refused = file.record_replies([reply(manager, ReplyKind.DECLINED, reason=DeclineReason.NO_CAPACITY)])

    assert refused == []
    successor = find_lead(file, Service.CASE_MANAGEMENT)
    assert successor.agency != manager.agency
    assert successor.clocks[ClockName.TRANSFER].due_at == transfer.due_at


def test_people_record_what_they_do_and_settle_a_letter_once() -> None:
    file = open_file()
    version = file.version
    transfer = send(file)
    file.acknowledge_transfer(transfer.transfer_id, RECEIVED, "uptd-ppa")

    kinds = [event.kind for event in file.history]
    assert kinds[-2:] == [CaseEventKind.TRANSFER_SENT, CaseEventKind.TRANSFER_ACKNOWLEDGED]
    assert file.version > version
    for transfer_id in (transfer.transfer_id, uuid4()):
        with pytest.raises(TransferUnknown):
            file.acknowledge_transfer(transfer_id, RECEIVED, "uptd-ppa")
        with pytest.raises(TransferUnknown):
            file.withdraw_transfer(transfer_id, "uptd-ppa", "x")
    with pytest.raises(ReasonMissing):
        file.send_transfer(TransferSubject.CHILD, TransferWay.PAPER, REGENCY, "uptd-ppa", "")


@pytest.mark.parametrize("subject", list(TransferSubject))
@pytest.mark.parametrize("language", ["id", "en"])
def test_the_letter_requests_a_receipt_and_describes_nobody(subject: TransferSubject, language: str) -> None:
    file = open_file()
    transfer = send(file, subject)

    letter = write_letter(file.case, transfer, "UPT PPA", CITY.name, CITY.zone, language)

    assert letter.startswith("UPTD PPA Kabupaten Kediri\nuptd@contoh.invalid\n")
    assert "2026-11-28 00:00 WIB" in letter
    assert "{" not in letter
    for fact in ("Bujel", "physical", "household", str(file.case_id)):
        assert fact not in letter
