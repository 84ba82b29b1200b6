"""What every change of a case by a person begins and ends with."""

from collections.abc import Collection, Iterable, Mapping
from typing import Final
from uuid import UUID

from simpul_agreement import Versions
from simpul_agreement.rights import Ledger
from simpul_routing import publisher, repository
from simpul_routing.domain.referral import StoredReferral
from simpul_routing.domain.rights import Served, after
from simpul_routing.errors import CaseChanged, CaseHasEnded, CaseMerged, CaseUnknown
from simpul_routing.repository import StoredCase
from simpul_routing.stored_facts import place_of_note
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction
from simpul_schema.vocabulary import Right

ROUTING: Final = "routing"
"""The actor of what no person decided."""


async def locked(
    transaction: Transaction, ids: Collection[UUID]
) -> tuple[dict[UUID, StoredCase], list[StoredReferral]]:
    """Cases with all their referrals, nobody else changing them until the transaction ends.

    The referrals of merged twins, which have all ended, are among them. Referrals are locked before cases, as replies
    do it; a hand-over that was under way may have added one meanwhile.
    """
    await repository.referrals_of_cases_for_update(transaction, ids)
    cases = await repository.cases_for_update(transaction, ids)
    return cases, await repository.referrals_of_cases_for_update(transaction, ids)


async def locked_at(transaction: Transaction, case_id: UUID, version: int) -> tuple[StoredCase, list[StoredReferral]]:
    """A case as somebody read it. Raises CaseUnknown, CaseChanged."""
    cases, referrals = await locked(transaction, [case_id])
    case = cases.get(case_id)
    if case is None:
        raise CaseUnknown
    check_version(case, referrals, version)
    return case, referrals


def check_version(case: StoredCase, referrals: Iterable[StoredReferral], version: int) -> None:
    """Raise CaseChanged unless the case and its referrals are as they were read."""
    own = (referral.version for referral in referrals if referral.case_id == case.case_id)
    if repository.version_of(case, own) != version:
        raise CaseChanged


async def open_at(transaction: Transaction, case_id: UUID, version: int) -> tuple[StoredCase, list[StoredReferral]]:
    """The same of a case that goes on. Raises CaseUnknown, CaseChanged, CaseMerged, CaseHasEnded."""
    case, referrals = await locked_at(transaction, case_id, version)
    if case.merged_into:
        raise CaseMerged(case.merged_into)
    if case.has_ended:
        raise CaseHasEnded
    return case, referrals


def note_of(keys: Keys, case_id: UUID, words: str) -> bytes:
    """What a person wrote, locked for this case; nothing where nothing was written."""
    return keys.lock(words.encode(), place=place_of_note(case_id)) if words else b""


async def rights_follow(transaction: Transaction, versions: Versions, cases: Mapping[UUID, UUID | None]) -> None:
    """Let the rights of cases follow the services of their leads, and announce each that moved.

    `cases` says which event caused it. What was offered in this transaction must be flushed before.
    """
    stored = await repository.cases_for_update(transaction, cases)
    served = await served_rights(transaction, versions, stored)
    changed: dict[UUID, Ledger] = {}
    for case_id, case in stored.items():
        moved = {right: after(entry, served[case_id].get(right, ())) for right, entry in case.rights.items()}
        changed |= announce_rights(transaction, case, moved, cases[case_id])
    await repository.write_ledgers(transaction, changed)


async def served_rights(
    transaction: Transaction, versions: Versions, cases: Mapping[UUID, StoredCase]
) -> dict[UUID, dict[Right, list[Served]]]:
    """What the leads of each case do for each right."""
    found: dict[UUID, dict[Right, list[Served]]] = {case_id: {} for case_id in cases}
    for case_id, service, served in await repository.leads_of(transaction, cases):
        right = versions.of(cases[case_id].agreement).agreement.right_of.get(service)
        if right:
            found[case_id].setdefault(right, []).append(served)
    return found


def announce_rights(
    transaction: Transaction, case: StoredCase, rights: Ledger, cause: UUID | None
) -> dict[UUID, Ledger]:
    """The whole new ledger of the case, if any right moved."""
    news = {right: entry for right, entry in rights.items() if entry != case.rights.get(right)}
    if not news:
        return {}
    transaction.announce(publisher.rights_changed(case.case_id, news, cause))
    return {case.case_id: {**case.rights, **news}}
