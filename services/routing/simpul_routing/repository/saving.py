"""Writes what changed in case files, encrypts what is secret, and enqueues what the files publish."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import structlog
from prometheus_client import Counter
from sqlalchemy import bindparam, text
from sqlalchemy.types import Boolean, LargeBinary, Text, Uuid

from simpul_routing import publisher
from simpul_routing.domain.agency_questions import are_kept_away, may_answer
from simpul_routing.domain.case import Case
from simpul_routing.domain.case_file import CaseFile
from simpul_routing.domain.case_record import Alarm
from simpul_routing.domain.disclosure import DisclosureDecided, find_changed_disclosures
from simpul_routing.domain.referral import ReferralService
from simpul_routing.repository.agency_questions import withdraw_questions
from simpul_routing.repository.columns import (
    CASE_COLUMNS,
    CLOCK_COLUMNS,
    CONSTANT_CASE_COLUMNS,
    CONSTANT_REFERRAL_COLUMNS,
    CONSTANT_SERVICE_COLUMNS,
    MOMENT,
    REFERRAL_COLUMNS,
    SERVICE_COLUMNS,
    assign,
    bind,
    insert_from,
    list_values,
    unnest,
)
from simpul_routing.repository.exclusions import save_review
from simpul_routing.repository.history import add_case_events
from simpul_routing.repository.service_plans import save_plan
from simpul_routing.repository.transfers import save_transfers
from simpul_routing.stored_facts import case_context, encode_clauses, encode_facts, service_context
from simpul_runtime.metrics import REGISTRY
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction

AGREEMENT_GAPS: Final = Counter(
    "simpul_agreement_gaps",
    "Cases that no clause of the agreement covered; the expected value is 0",
    ["version"],
    registry=REGISTRY,
)
SERVICES_WITHOUT_AGENCY: Final = Counter(
    "simpul_services_without_agency",
    "Services that no agency was left for; the expected value is 0",
    registry=REGISTRY,
)
_NEW_CASE: Final = (*CONSTANT_CASE_COLUMNS, *CASE_COLUMNS)
_NEW_REFERRAL: Final = (*CONSTANT_REFERRAL_COLUMNS, *REFERRAL_COLUMNS)
_NEW_SERVICE: Final = (*CONSTANT_SERVICE_COLUMNS, *SERVICE_COLUMNS)
_ADD: Final = text(f"""
    WITH cases AS ({insert_from("case_plan", "case", "", _NEW_CASE, "situation has_exclusions")}),
    referrals AS ({insert_from("referral", "referral", "", _NEW_REFERRAL)}),
    services AS ({insert_from("referral_service", "service", "", _NEW_SERVICE, "clauses offered_at")})
    {insert_from("clock", "clock", "service_id clock", CLOCK_COLUMNS)}
""").bindparams(
    *bind("case", [("situation", LargeBinary), ("has_exclusions", Boolean), *(column[:2] for column in _NEW_CASE)]),
    *bind("referral", [column[:2] for column in _NEW_REFERRAL]),
    *bind("service", [("clauses", LargeBinary), ("offered_at", MOMENT), *(column[:2] for column in _NEW_SERVICE)]),
    *bind("clock", [("service_id", Uuid), ("clock", Text), *(column[:2] for column in CLOCK_COLUMNS)]),
)
"""One statement for all new cases, referrals, services and clocks."""
_UPDATE: Final = text(f"""
    WITH cases AS (
        UPDATE case_plan p SET {assign(CASE_COLUMNS)}, rights = CAST(n.rights AS jsonb),
            situation = coalesce(n.situation, p.situation),
            has_exclusions = coalesce(n.has_exclusions, p.has_exclusions)
        FROM {unnest("case", "case_id", CASE_COLUMNS, "situation has_exclusions")} WHERE p.case_id = n.case_id),
    referrals AS (
        UPDATE referral r SET {assign(REFERRAL_COLUMNS)}
        FROM {unnest("referral", "referral_id", REFERRAL_COLUMNS)} WHERE r.referral_id = n.referral_id),
    services AS (
        UPDATE referral_service s SET {assign(SERVICE_COLUMNS)}
        FROM {unnest("service", "service_id", SERVICE_COLUMNS)} WHERE s.service_id = n.service_id)
    UPDATE clock c SET {assign(CLOCK_COLUMNS)}
    FROM {unnest("clock", "service_id clock", CLOCK_COLUMNS)}
    WHERE c.service_id = n.service_id AND c.clock = n.clock
""").bindparams(  # noqa: S608 - built from constants
    *bind("case", [("case_id", Uuid), ("situation", LargeBinary), ("has_exclusions", Boolean),
        *(column[:2] for column in CASE_COLUMNS)]),
    *bind("referral", [("referral_id", Uuid), *(column[:2] for column in REFERRAL_COLUMNS)]),
    *bind("service", [("service_id", Uuid), *(column[:2] for column in SERVICE_COLUMNS)]),
    *bind("clock", [("service_id", Uuid), ("clock", Text), *(column[:2] for column in CLOCK_COLUMNS)]),
)  # fmt: skip
"""One statement for all changed cases, referrals, services and clocks."""
_REDIRECT_MERGED: Final = text("UPDATE case_plan SET merged_into = :into WHERE merged_into = :duplicate").bindparams(
    bindparam("into", type_=Uuid), bindparam("duplicate", type_=Uuid)
)

log = structlog.get_logger()


async def save_case_files(transaction: Transaction, keys: Keys, files: Sequence[CaseFile]) -> None:
    """Saves files, whatever their number: what is new in one statement, and what changed in one."""
    await _add_new(transaction, keys, files)
    await _update_changed(transaction, keys, files)
    for file in files:
        await save_review(transaction, file)
        await save_plan(transaction, keys, file)
        await save_transfers(transaction, keys, file)
        if are_kept_away(file):
            await withdraw_questions(transaction, list(file.referrals), partial(may_answer, file))
        add_case_events(transaction, keys, file.history)
        for pending in file.pending:
            transaction.enqueue_event(publisher.build_event(pending, transaction.now))
        _enqueue_disclosures(transaction, file)
        _log_alarms(file)


async def _add_new(transaction: Transaction, keys: Keys, files: Sequence[CaseFile]) -> None:
    cases = [file.case for file in files if file.is_new]
    # A referral that is not loaded is new, with all its services.
    pairs = [(file.loaded_referrals.get(key), one) for file in files for key, one in file.referrals.items()]
    changed = [(loaded, referral) for loaded, referral in pairs if referral is not loaded]
    of_services = [
        (loaded.services.get(key) if loaded else None, service)
        for loaded, referral in changed
        for key, service in referral.services.items()
    ]
    services = [service for known, service in of_services if known is None]
    clocks = [
        (service.service_id, name, clock)
        for known, service in of_services
        for name, clock in service.clocks.items()
        if known is None or name not in known.clocks
    ]
    if not (cases or services or clocks):
        return
    values = list_values("case", _NEW_CASE, cases)
    values |= list_values("referral", _NEW_REFERRAL, [referral for loaded, referral in changed if loaded is None])
    values |= list_values("service", _NEW_SERVICE, services)
    values |= list_values("clock", CLOCK_COLUMNS, [clock for _, _, clock in clocks])
    await transaction.connection.execute(
        _ADD,
        values
        | {
            "case_situation": [_encrypt_facts(keys, case) for case in cases],
            "case_has_exclusions": [_has_exclusions(case) for case in cases],
            "service_clauses": [_encrypt_clauses(keys, service) for service in services],
            "service_offered_at": [transaction.now] * len(services),
            "clock_service_id": [service_id for service_id, _, _ in clocks],
            "clock_clock": [name.value for _, name, _ in clocks],
        },
    )


async def _update_changed(transaction: Transaction, keys: Keys, files: Sequence[CaseFile]) -> None:
    cases = [file for file in files if not file.is_new and file.case is not file.loaded_case]
    changed = [
        (file.loaded_referrals[key], referral)
        for file in files
        for key, referral in file.referrals.items()
        if key in file.loaded_referrals and referral is not file.loaded_referrals[key]
    ]
    referrals = [
        referral
        for loaded, referral in changed
        if any(value_of(referral) != value_of(loaded) for _, _, value_of in REFERRAL_COLUMNS)
    ]
    services = [
        (loaded.services[key], service)
        for loaded, referral in changed
        for key, service in referral.services.items()
        if key in loaded.services and service is not loaded.services[key]
    ]
    clocks = [
        (service.service_id, name, clock)
        for loaded, service in services
        for name, clock in service.clocks.items()
        if name in loaded.clocks and clock is not loaded.clocks[name]
    ]
    if not (cases or referrals or services):
        return
    values: dict[str, Any] = {
        "case_case_id": [file.case_id for file in cases],
        "case_situation": [_encrypt_facts(keys, file.case) if _has_new_facts(file) else None for file in cases],
        "case_has_exclusions": [_has_exclusions(file.case) if _has_new_facts(file) else None for file in cases],
        "referral_referral_id": [referral.referral_id for referral in referrals],
        "service_service_id": [service.service_id for _, service in services],
        "clock_service_id": [service_id for service_id, _, _ in clocks],
        "clock_clock": [name.value for _, name, _ in clocks],
    }
    values |= list_values("case", CASE_COLUMNS, [file.case for file in cases])
    values |= list_values("referral", REFERRAL_COLUMNS, referrals)
    values |= list_values("service", SERVICE_COLUMNS, [service for _, service in services])
    values |= list_values("clock", CLOCK_COLUMNS, [clock for _, _, clock in clocks])
    await transaction.connection.execute(_UPDATE, values)
    for file in cases:
        if file.case.merged_into and not file.loaded_case.merged_into:
            redirected = {"duplicate": file.case_id, "into": file.case.merged_into}
            await transaction.connection.execute(_REDIRECT_MERGED, redirected)


def _has_new_facts(file: CaseFile) -> bool:
    return file.case.read_facts is not file.loaded_case.read_facts


def _has_exclusions(case: Case) -> bool:
    return bool(case.facts.origin.excluded)


def _encrypt_facts(keys: Keys, case: Case) -> bytes:
    return keys.encrypt(encode_facts(case.facts), associated_data=case_context(case.case_id))


def _encrypt_clauses(keys: Keys, service: ReferralService) -> bytes:
    return keys.encrypt(encode_clauses(service.clauses), associated_data=service_context(service.service_id))


def _enqueue_disclosures(transaction: Transaction, file: CaseFile) -> None:
    """Publishes what agencies may hold of the dossier now; only what ends where the facts cannot be read."""
    decided: list[DisclosureDecided] = []
    try:
        for one in find_changed_disclosures(file):
            decided.append(one)  # noqa: PERF402 - what was found before an error is kept
    except Exception as error:
        log.error("disclosure_not_decided", case_id=file.case_id, exc_info=error)
    for one in decided:
        transaction.enqueue_event(publisher.disclosure_decided(one, transaction.now))


def _log_alarms(file: CaseFile) -> None:
    """Logs what an operator must learn at once, and counts it for the alarms."""
    for alarm, service in file.alarms:
        match alarm:
            case Alarm.AGREEMENT_GAP:
                AGREEMENT_GAPS.labels(file.case.agreement).inc()
                log.error("agreement_gap_found", case_id=file.case_id, version=file.case.agreement)
            case Alarm.NO_AGENCY:
                SERVICES_WITHOUT_AGENCY.inc()
                service_id = service.service_id if service else None
                log.error("no_agency_left", case_id=file.case_id, service_id=service_id)
            case Alarm.NO_DECIDING_AGENCY:
                log.error("no_deciding_agency_left", case_id=file.case_id)
