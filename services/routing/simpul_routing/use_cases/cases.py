"""Steps that several use cases share: loading cases, encrypted facts and notes, and the rights ledger."""

from collections.abc import Collection, Iterable, Mapping
from typing import Final
from uuid import UUID

from simpul_agreement import Versions
from simpul_agreement.rights import Ledger
from simpul_routing import publisher, repository
from simpul_routing.domain.referral import StoredReferral
from simpul_routing.domain.rights import LeadReferral, update_right
from simpul_routing.errors import CaseChanged, CaseEnded, CaseMerged, CaseUnknown
from simpul_routing.repository import StoredCase
from simpul_routing.stored_facts import StoredFacts, case_context, decode_facts, note_context
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction
from simpul_schema.vocabulary import Right

ROUTING: Final = "routing"
"""The actor of changes that no person made."""


async def load_for_update(
    transaction: Transaction, ids: Collection[UUID]
) -> tuple[dict[UUID, StoredCase], list[StoredReferral]]:
    """Loads cases with all their referrals and locks them until the transaction ends.

    The referrals include those of merged duplicates. They are locked before the cases, as replies do it, and loaded
    again afterwards, because a reroute may have added one in between.
    """
    await repository.load_referrals_of_cases_for_update(transaction, ids)
    cases = await repository.load_cases_for_update(transaction, ids)
    return cases, await repository.load_referrals_of_cases_for_update(transaction, ids)


async def load_version_for_update(
    transaction: Transaction, case_id: UUID, version: int
) -> tuple[StoredCase, list[StoredReferral]]:
    """Loads a case that is still at the version that a person read. Raises CaseUnknown, CaseChanged."""
    cases, referrals = await load_for_update(transaction, [case_id])
    case = cases.get(case_id)
    if case is None:
        raise CaseUnknown
    check_version(case, referrals, version)
    return case, referrals


def check_version(case: StoredCase, referrals: Iterable[StoredReferral], version: int) -> None:
    """Raises CaseChanged if the case or one of its referrals changed after it was read."""
    own = (referral.version for referral in referrals if referral.case_id == case.case_id)
    if repository.compute_version(case, own) != version:
        raise CaseChanged


async def load_open_case(
    transaction: Transaction, case_id: UUID, version: int
) -> tuple[StoredCase, list[StoredReferral]]:
    """Loads a case that has not ended. Raises CaseUnknown, CaseChanged, CaseMerged, CaseEnded."""
    case, referrals = await load_version_for_update(transaction, case_id, version)
    if case.merged_into:
        raise CaseMerged(case.merged_into)
    if case.has_ended:
        raise CaseEnded
    return case, referrals


def decrypt_facts(keys: Keys, case: StoredCase) -> StoredFacts:
    """Decrypts the facts that a case was decided on."""
    return decode_facts(keys.unlock(case.situation, place=case_context(case.case_id)))


def encrypt_note(keys: Keys, case_id: UUID, text: str) -> bytes:
    """Encrypts what a person wrote about a case; empty if nothing was written."""
    return keys.lock(text.encode(), place=note_context(case_id)) if text else b""


async def update_rights(transaction: Transaction, versions: Versions, cases: Mapping[UUID, UUID | None]) -> None:
    """Updates the rights ledgers of cases by their lead referrals and publishes the changed rights.

    `cases` maps each case to the event that caused the change. Flush new referrals before.
    """
    stored = await repository.load_cases_for_update(transaction, cases)
    leads = await find_leads_by_right(transaction, versions, stored)
    changed: dict[UUID, Ledger] = {}
    for case_id, case in stored.items():
        updated = {right: update_right(entry, leads[case_id].get(right, ())) for right, entry in case.rights.items()}
        changed |= publish_changed_rights(transaction, case, updated, cases[case_id])
    await repository.update_ledgers(transaction, changed)


async def find_leads_by_right(
    transaction: Transaction, versions: Versions, cases: Mapping[UUID, StoredCase]
) -> dict[UUID, dict[Right, list[LeadReferral]]]:
    """Finds the lead referrals of each case by the right that they serve."""
    found: dict[UUID, dict[Right, list[LeadReferral]]] = {case_id: {} for case_id in cases}
    for case_id, service, lead in await repository.find_lead_referrals(transaction, cases):
        right = versions.of(cases[case_id].agreement).agreement.right_of.get(service)
        if right:
            found[case_id].setdefault(right, []).append(lead)
    return found


def publish_changed_rights(
    transaction: Transaction, case: StoredCase, rights: Ledger, cause: UUID | None
) -> dict[UUID, Ledger]:
    """Publishes the rights that changed; returns the new ledger by case, or nothing if no right changed."""
    changed = {right: entry for right, entry in rights.items() if entry != case.rights.get(right)}
    if not changed:
        return {}
    transaction.announce(publisher.rights_changed(case.case_id, changed, cause))
    return {case.case_id: {**case.rights, **changed}}
