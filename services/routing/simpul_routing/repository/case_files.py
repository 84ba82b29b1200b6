"""Case files: loaded with their locks, decrypted when something is read, and saved as a whole.

Whoever changes a case or its referrals, clocks or review locks the case first; transactions lock cases in the order of
their ids, and everything else of a case under its lock. So none waits for another in a circle.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Uuid

from simpul_agreement.model import ClockName
from simpul_city import City
from simpul_routing.domain.case_file import CaseFile
from simpul_routing.domain.exclusions import ExclusionReview
from simpul_routing.domain.referral import Referral
from simpul_routing.domain.rules import AgreementVersions, Rules
from simpul_routing.domain.service_plan import ServicePlan
from simpul_routing.repository.capacities import load_capacities
from simpul_routing.repository.cases import SELECT_CASES, case_from_row
from simpul_routing.repository.exclusions import SELECT_OPEN_REVIEWS, review_from_row
from simpul_routing.repository.referrals import SELECT_SERVICES, build_referrals
from simpul_routing.repository.saving import save_case_files
from simpul_routing.repository.service_plans import SELECT_OPEN_PLANS, plan_from_row
from simpul_routing.repository.transfers import SELECT_TRANSFERS, transfer_from_row
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction


def _by_ids(statement: str) -> Any:
    return text(statement).bindparams(bindparam("ids", type_=ARRAY(Uuid)))


def _lock_of_referrals(condition: str) -> str:
    return f"""{SELECT_CASES}
    WHERE case_id IN (SELECT coalesce(p.merged_into, p.case_id) FROM referral r JOIN case_plan p USING (case_id)
        WHERE {condition})
    ORDER BY case_id FOR UPDATE"""  # noqa: S608 - built from constants


_LOCK: Final = _by_ids(f"""{SELECT_CASES}
    WHERE case_id = ANY(:ids) OR merged_into = ANY(:ids) ORDER BY case_id FOR UPDATE""")
_CURRENT: Final = _by_ids(
    "SELECT case_id, coalesce(merged_into, case_id) AS current FROM case_plan WHERE case_id = ANY(:ids)"
)
_OF_REFERRALS: Final = "r.referral_id = ANY(:ids)"
_REPLIED: Final = """r.referral_id IN (
        SELECT unnest(:ids) UNION ALL SELECT referral_id FROM referral_service WHERE service_id = ANY(:ids))"""
"""Referrals by their ids, or by the ids of their services: until 2026-11-27 each service was a referral."""
_LOCK_REPLIED: Final = _by_ids(_lock_of_referrals(_REPLIED))
_LOCK_FREE_OF_REFERRALS: Final = _by_ids(f"{_lock_of_referrals(_OF_REFERRALS)} SKIP LOCKED")
_LOCK_EXACTLY: Final = _by_ids(f"{SELECT_CASES} WHERE case_id = ANY(:ids) ORDER BY case_id FOR UPDATE")
_LOCK_FREE: Final = _by_ids(f"{SELECT_CASES} WHERE case_id = ANY(:ids) ORDER BY case_id FOR UPDATE SKIP LOCKED")
_OF_CASES: Final = """ WHERE r.case_id IN (
        SELECT case_id FROM case_plan WHERE case_id = ANY(:ids)
        UNION ALL SELECT case_id FROM case_plan WHERE merged_into = ANY(:ids))
    ORDER BY r.referral_id, s.position"""
_SERVICES_OF_CASES: Final = _by_ids(SELECT_SERVICES + _OF_CASES)
_SERVICES: Final = _by_ids(f"{SELECT_SERVICES} WHERE {_OF_REFERRALS} ORDER BY r.referral_id, s.position")
_SERVICES_REPLIED: Final = _by_ids(f"{SELECT_SERVICES} WHERE {_REPLIED} ORDER BY r.referral_id, s.position")
_PLANS: Final = _by_ids(f"{SELECT_OPEN_PLANS} AND case_id = ANY(:ids)")
_TRANSFERS: Final = _by_ids(f"""{SELECT_TRANSFERS}
    WHERE p.case_id = ANY(:ids) OR p.merged_into = ANY(:ids) ORDER BY t.sent_at, t.transfer_id""")
_REVIEWS: Final = _by_ids(f"{SELECT_OPEN_REVIEWS} AND case_id = ANY(:ids)")

_NO_PLANS: Final[Mapping[UUID, ServicePlan]] = MappingProxyType({})


class CaseFiles:
    """Loads the files of cases and saves them."""

    def __init__(self, versions: AgreementVersions, city: City, keys: Keys) -> None:
        self.city = city
        self._versions = versions
        self._keys = keys

    def rules_at(self, now: datetime) -> Rules:
        """Returns the rules at `now`, for what offers no service."""
        return Rules(self._versions, self.city, now)

    async def load_rules(self, transaction: Transaction) -> Rules:
        """Loads the rules for changes in a transaction, with what agencies can take now."""
        rules = self.rules_at(transaction.now)
        return replace(rules, capacities=await load_capacities(transaction.connection, rules.today))

    async def load_for_update(self, transaction: Transaction, ids: Collection[UUID]) -> dict[UUID, CaseFile]:
        """Loads files by the ids of their cases and locks them until the transaction ends; unknown ids are left out.

        A file holds the referrals of merged duplicates too, which are locked with it.
        """
        found = await self._lock(transaction, _LOCK, ids)
        return await self._load_whole(transaction, {case_id: row for case_id, row in found.items() if case_id in ids})

    async def load_current_for_update(self, transaction: Transaction, ids: Collection[UUID]) -> dict[UUID, CaseFile]:
        """Loads and locks the file in which each case continues: its own, or that of the case it was merged into.

        A case may be merged while the lock is waited for. The locks are released then, and taken again in order.
        """
        while True:
            savepoint = await transaction.connection.begin_nested()
            rows = await transaction.connection.execute(_CURRENT, {"ids": list(ids)})
            current = {row.case_id: row.current for row in rows}
            found = await self._lock(transaction, _LOCK_EXACTLY, set(current.values()))
            if not any(row.merged_into for row in found.values()):
                await savepoint.commit()
                break
            await savepoint.rollback()
        files = await self._load_whole(transaction, found)
        return {case_id: files[into] for case_id, into in current.items()}

    async def load_of_referrals_for_update(
        self, transaction: Transaction, ids: Collection[UUID], *, whole: bool
    ) -> dict[UUID, CaseFile]:
        """Loads and locks the files of referrals, by the ids that replies give; unknown ids are left out.

        A reply may give the former id of a referral, which is that of a service now. Unless they are `whole`, the files
        hold these referrals alone, and neither a review nor a service plan.
        """
        found = await self._lock(transaction, _LOCK_REPLIED, ids)
        files = await (self._load_whole(transaction, found) if whole else self._load_parts(transaction, found, ids))
        return {key: file for file in files.values() for key in ids if file.find_replied(key)}

    async def load_due_clocks_for_update(
        self, transaction: Transaction, ids: Collection[UUID], now: datetime
    ) -> list[tuple[CaseFile, UUID, ClockName]]:
        """Loads the due clocks of the services of referrals, unless another transaction has locked their cases.

        The one that fell due first is at the front.
        """
        found = await self._lock(transaction, _LOCK_FREE_OF_REFERRALS, ids)
        if not found:
            return []
        rows = (await transaction.connection.execute(_SERVICES, {"ids": list(ids)})).all()
        files = self._build_files(self.rules_at(transaction.now), found, rows, {})
        due = [
            (next_at, row.referral_id, row.service_id, ClockName(name))
            for row in rows
            if row.names and row.counts_in in files
            for name, next_at in zip(row.names, row.nexts, strict=True)
            if next_at and next_at <= now
        ]
        owner = {key: file for file in files.values() for key in file.referrals}
        return [(owner[referral_id], service_id, clock) for _, referral_id, service_id, clock in sorted(due)]

    async def load_due_decisions_for_update(
        self, transaction: Transaction, ids: Collection[UUID], now: datetime
    ) -> list[CaseFile]:
        """Loads the files of cases with a review or a service plan that is due at `now`, unless they are locked."""
        found = await self._lock(transaction, _LOCK_FREE, ids)
        files = await self._load_whole(transaction, found)
        return [file for file in files.values() if file.find_due_decisions(now)]

    async def save(self, transaction: Transaction, files: Iterable[CaseFile]) -> None:
        """Saves what changed in files, and enqueues what they publish."""
        unique = {id(file): file for file in files}
        await save_case_files(transaction, self._keys, list(unique.values()))

    async def _lock(self, transaction: Transaction, statement: Any, ids: Collection[UUID]) -> dict[UUID, Any]:
        if not ids:
            return {}
        return {row.case_id: row for row in await transaction.connection.execute(statement, {"ids": list(ids)})}

    async def _load_whole(self, transaction: Transaction, found: Mapping[UUID, Any]) -> dict[UUID, CaseFile]:
        if not found:
            return {}
        values = {"ids": list(found)}
        rows = (await transaction.connection.execute(_SERVICES_OF_CASES, values)).all()
        reviews = await transaction.connection.execute(_REVIEWS, values)
        plans = await transaction.connection.execute(_PLANS, values)
        files = self._build_files(
            await self.load_rules(transaction),
            found,
            rows,
            {row.case_id: review_from_row(row) for row in reviews},
            {row.case_id: plan_from_row(self._keys, row) for row in plans},
        )
        for row in await transaction.connection.execute(_TRANSFERS, values):
            # A case that was merged after it was locked keeps its transfers here.
            file = files.get(row.counts_in) or files.get(row.case_id)
            if file:
                file.transfers[row.transfer_id] = file.loaded_transfers[row.transfer_id] = transfer_from_row(
                    self._keys, row
                )
        return files

    async def _load_parts(
        self, transaction: Transaction, found: Mapping[UUID, Any], ids: Collection[UUID]
    ) -> dict[UUID, CaseFile]:
        if not found:
            return {}
        rows = (await transaction.connection.execute(_SERVICES_REPLIED, {"ids": list(ids)})).all()
        return self._build_files(self.rules_at(transaction.now), found, rows, {})

    def _build_files(
        self,
        rules: Rules,
        found: Mapping[UUID, Any],
        rows: Iterable[Any],
        reviews: Mapping[UUID, ExclusionReview],
        plans: Mapping[UUID, ServicePlan] = _NO_PLANS,
    ) -> dict[UUID, CaseFile]:
        referrals: dict[UUID, dict[UUID, Referral]] = {case_id: {} for case_id in found}
        rows = list(rows)
        # A case that was merged after it was locked keeps its referrals here.
        owners = {row.referral_id: row.counts_in if row.counts_in in found else row.case_id for row in rows}
        for key, referral in build_referrals(self._keys, rows).items():
            if owners[key] in found:
                referrals[owners[key]][key] = referral
        return {
            case_id: CaseFile(
                case=case_from_row(self._keys, row),
                referrals=referrals[case_id],
                rules=rules,
                review=reviews.get(case_id),
                plan=plans.get(case_id),
            )
            for case_id, row in found.items()
        }
