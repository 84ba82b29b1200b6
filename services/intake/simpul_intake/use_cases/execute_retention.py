"""Erases what has been kept as long as the agreement says."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog
from prometheus_client import Counter, Gauge
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from simpul_agreement import AgreementMissing
from simpul_agreement.model import Agreement, Retention
from simpul_intake import audit, repository
from simpul_intake.erasure import Erasure, ErasureReason, VaultAction
from simpul_intake.errors import CaseHeld, CaseNotInVault, CaseStillSending
from simpul_intake.repository import EndedCase, StoredSection
from simpul_intake.retention import Expiry, add_years, find_expired
from simpul_intake.use_cases.erase_cases import EraseCases
from simpul_intake.use_cases.keep_files import encrypt_files_again
from simpul_intake.vault import DecryptionFailed, MasterKeyMissing, Vault, WrappedKey, case_key_context
from simpul_runtime.audit import append_entries
from simpul_runtime.database import utc_now
from simpul_runtime.metrics import REGISTRY

SWEEP_INTERVAL: Final = timedelta(hours=6)
RETRY_INTERVAL: Final = timedelta(minutes=5)
"""Time until a sweep that failed, or found no agreement, is tried again."""
BATCH_SIZE: Final = 200
ACTOR: Final = "retention"
_FIRST_ID: Final = UUID(int=0)

SECTIONS_ERASED: Final = Counter("simpul_vault_sections_erased", "Sections whose retention ended", registry=REGISTRY)
CASES_HELD: Final = Gauge(
    "simpul_vault_cases_held", "Cases whose retention ended and that a legal hold keeps", registry=REGISTRY
)

log = structlog.get_logger()

FindAgreement = Callable[[datetime], Agreement]
"""Returns the agreement that is active at a moment; raises AgreementMissing."""


@dataclass(frozen=True, slots=True)
class DueCase:
    """A case of which something has been kept long enough."""

    case: EndedCase
    expiry: Expiry


@dataclass(slots=True)
class SweepResult:
    """What one sweep did."""

    erased_cases: list[UUID] = field(default_factory=list)
    reduced_cases: list[UUID] = field(default_factory=list)
    held_cases: list[UUID] = field(default_factory=list)


def retention_years(agreement: Agreement) -> dict[str, int]:
    """Returns the years that the agreement keeps each section; where clauses differ, the longest."""
    years: dict[str, int] = {}
    for clause in agreement.clauses:
        if isinstance(clause.effect, Retention):
            section = clause.effect.section.value
            years[section] = max(years.get(section, 0), clause.effect.years)
    return years


class FindDueCases:
    """Finds what has been kept long enough; needs no key."""

    def __init__(
        self, engine: AsyncEngine, find_agreement: FindAgreement, now: Callable[[], datetime] = utc_now
    ) -> None:
        self._engine = engine
        self._find_agreement = find_agreement
        self._now = now

    async def find_due_cases(self) -> AsyncIterator[DueCase]:
        """Finds every case of which something has been kept long enough; raises AgreementMissing."""
        now = self._now()
        years = retention_years(self._find_agreement(now))
        if not years:
            return
        # No period is shorter than this one, so cases that ended later need not be read.
        before, after = add_years(now, -min(years.values())), _FIRST_ID
        while cases := await self._find_ended_cases(before, after):
            for case in cases:
                expiry = find_expired(case.sections, years, case.ended_at, now)
                if expiry.sections or expiry.is_whole_case:
                    yield DueCase(case, expiry)
            after = cases[-1].case_id

    async def _find_ended_cases(self, before: datetime, after: UUID) -> list[EndedCase]:
        async with self._engine.connect() as connection:
            return await repository.find_ended_cases(connection, before, after, BATCH_SIZE)


class ExecuteRetention:
    """One per process; several processes sweep side by side without harm."""

    def __init__(
        self, engine: AsyncEngine, vault: Vault, find_due_cases: FindDueCases, now: Callable[[], datetime] = utc_now
    ) -> None:
        self._engine = engine
        self._vault = vault
        self._find_due_cases = find_due_cases
        self._now = now
        self._erase_cases = EraseCases(engine, now)

    async def run(self) -> None:
        """Sweeps until cancelled."""
        while True:
            interval = SWEEP_INTERVAL
            try:
                await self.sweep()
            except AgreementMissing as error:
                log.warning("retention_waits", reason=type(error).__name__)
                interval = RETRY_INTERVAL
            except Exception as error:
                log.error("retention_failed", exc_info=error)
                interval = RETRY_INTERVAL
            await asyncio.sleep(interval.total_seconds())

    async def sweep(self) -> SweepResult:
        """Erases sections whose time is over, and cases of which nothing else is left; raises AgreementMissing."""
        result = SweepResult()
        async for due in self._find_due_cases.find_due_cases():
            case_id = due.case.case_id
            try:
                if due.expiry.is_whole_case:
                    await self._erase_cases.erase_case(case_id, ErasureReason.RETENTION, ACTOR)
                    result.erased_cases.append(case_id)
                elif await self._erase_sections(due):
                    result.reduced_cases.append(case_id)
            except CaseHeld:
                result.held_cases.append(case_id)
            except (CaseNotInVault, CaseStillSending):
                # Erased meanwhile by an operator or another process, or a late amendment is on its way.
                continue
            except (DecryptionFailed, MasterKeyMissing) as error:
                reason = type(error).__name__
                log.error("expired_case_unreadable", case_id=case_id, key_id=due.case.key_id, reason=reason)
        CASES_HELD.set(len(result.held_cases))
        if result.erased_cases or result.reduced_cases:
            log.info("retention_executed", erased=len(result.erased_cases), reduced=len(result.reduced_cases))
        return result

    async def _erase_sections(self, due: DueCase) -> bool:
        """Erases sections of a case and gives the rest a new data key; returns False when the case changed meanwhile.

        The old data key is destroyed, because in a backup it would open the erased sections.
        """
        case, names = due.case, sorted(due.expiry.sections)
        old_key = await self._vault.unwrap(WrappedKey(case.key_id, case.wrapped, case_key_context(case.case_id)))
        new = await self._vault.create_case_key(case.case_id)
        async with self._engine.begin() as connection:
            if not await self._lock_unchanged(connection, case):
                return False
            await repository.delete_sections(connection, case.case_id, names)
            left = await repository.load_sections(connection, case.case_id)
            encrypted = [self._encrypt_again(case.case_id, section, old_key, new.key) for section in left]
            files = await repository.load_files(connection, case.case_id)
            await repository.replace_files(
                connection, case.case_id, encrypt_files_again(self._vault, case.case_id, files, old_key, new.key)
            )
            await repository.replace_case_key(
                connection, case.case_id, new.wrapped.key_id, new.wrapped.ciphertext, encrypted
            )
            now, detail = self._now(), " ".join(names)
            await repository.add_action(connection, case.case_id, VaultAction.SECTIONS_ERASED, detail, ACTOR, now)
            await repository.add_unannounced_erasure(connection, Erasure(case.case_id, False, names, now))
            entries = [
                audit.sections_read(case.case_id, {section.name for section in left}, ACTOR, "retention"),
                audit.vault_changed(case.case_id, VaultAction.SECTIONS_ERASED, detail, ACTOR),
            ]
            await append_entries(connection, entries, now)
        SECTIONS_ERASED.inc(len(names))
        return True

    async def _lock_unchanged(self, connection: AsyncConnection, case: EndedCase) -> bool:
        """Locks a case that is not held; returns False when its data key is another one than was read."""
        related = await repository.list_cases_of_child(connection, case.case_id)
        await repository.lock_case_keys(connection, related)
        if holds := await repository.find_holds(connection, related):
            raise CaseHeld(case.case_id, holds)
        return await repository.find_wrapped_key(connection, case.case_id) == case.wrapped

    def _encrypt_again(self, case_id: UUID, section: StoredSection, old_key: bytes, new_key: bytes) -> StoredSection:
        content = self._vault.decrypt_section(old_key, section.ciphertext, case_id, section.name, section.revision)
        ciphertext = self._vault.encrypt_section(new_key, case_id, section.name, section.revision, content)
        return StoredSection(section.name, section.revision, ciphertext)
