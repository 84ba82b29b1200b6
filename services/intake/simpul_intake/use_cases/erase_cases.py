"""Erases cases, and keeps those under a legal hold."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from simpul_intake import audit, repository
from simpul_intake.erasure import (
    INTAKE,
    RECEIVERS,
    ErasedCase,
    Erasure,
    ErasureReason,
    Holder,
    HoldReason,
    LegalHold,
    VaultAction,
    is_reference,
)
from simpul_intake.errors import (
    CaseHeld,
    CaseNotErased,
    CaseNotInVault,
    CaseStillSending,
    HolderUnknown,
    HoldUnknown,
    ReferenceInvalid,
)
from simpul_runtime.audit import append_entries
from simpul_runtime.database import utc_now

log = structlog.get_logger()


class EraseCases:
    """Used by the retention of intake and by the operator's commands; needs no key, because it only destroys one."""

    def __init__(self, engine: AsyncEngine, now: Callable[[], datetime] = utc_now) -> None:
        self._engine = engine
        self._now = now

    async def erase_case(self, case_id: UUID, reason: ErasureReason, by: str, *, dry_run: bool = False) -> ErasedCase:
        """Destroys the data key of a case and what was encrypted under it; returns what remains.

        Raises CaseHeld, which is recorded, CaseStillSending and CaseNotInVault.
        """
        try:
            async with self._engine.begin() as connection:
                erased = await self._prepare(connection, case_id, reason, by)
                if not dry_run:
                    await repository.erase_case(connection, erased)
                    # Whoever holds sections of it must delete them, too.
                    await repository.add_unannounced_erasure(connection, Erasure(case_id, True, (), erased.erased_at))
                    await repository.mark_disclosures_due(connection, case_id, self._now())
                    await self._record(connection, case_id, VaultAction.ERASED, reason.value, by)
        except CaseHeld as error:
            # Retention asks again and again, and the hold itself is recorded.
            if not dry_run and reason is not ErasureReason.RETENTION:
                async with self._engine.begin() as connection:
                    await self._record(connection, case_id, VaultAction.ERASURE_REFUSED, error.describe_holds(), by)
            raise
        if not dry_run:
            log.info("case_erased", case_id=case_id, reason=reason.value)
        return erased

    async def _prepare(self, connection: AsyncConnection, case_id: UUID, reason: ErasureReason, by: str) -> ErasedCase:
        related = await repository.list_cases_of_child(connection, case_id)
        keys = await repository.lock_case_keys(connection, related)
        if case_id not in keys:
            raise CaseNotInVault(case_id)
        if holds := await repository.find_holds(connection, related):
            raise CaseHeld(case_id, holds)
        if await repository.is_sending(connection, case_id):
            raise CaseStillSending(case_id)
        sections = await repository.count_sections(connection, case_id)
        now = self._now()
        agencies = await repository.find_dossier_holders(connection, case_id)
        holders = (Holder(INTAKE, now, by), *map(Holder, (*RECEIVERS, *agencies)))
        return ErasedCase(case_id, reason, by, now, keys[case_id], sections, holders)

    async def place_hold(self, case_id: UUID, reason: HoldReason, reference: str, by: str) -> bool:
        """Keeps a case, and those merged with it, until the hold is released; returns False when it is held already.

        Raises CaseNotInVault and ReferenceInvalid.
        """
        if not is_reference(reference):
            raise ReferenceInvalid
        async with self._engine.begin() as connection:
            related = await repository.list_cases_of_child(connection, case_id)
            if case_id not in await repository.lock_case_keys(connection, related):
                raise CaseNotInVault(case_id)
            hold = LegalHold(case_id, reason, reference, by, self._now())
            is_new = await repository.add_hold(connection, hold)
            if is_new:
                await self._record(connection, case_id, VaultAction.HOLD_PLACED, f"{reason.value} {reference}", by)
        return is_new

    async def release_hold(self, case_id: UUID, reason: HoldReason, reference: str, by: str) -> None:
        """Ends a hold; raises HoldUnknown."""
        async with self._engine.begin() as connection:
            if not await repository.delete_hold(connection, case_id, reason, reference):
                raise HoldUnknown(case_id)
            await self._record(connection, case_id, VaultAction.HOLD_RELEASED, f"{reason.value} {reference}", by)

    async def list_holds(self) -> list[LegalHold]:
        """Lists every legal hold, the oldest first."""
        async with self._engine.connect() as connection:
            return await repository.find_holds(connection)

    async def confirm_erasure(self, case_id: UUID, holder: str, by: str) -> ErasedCase:
        """Records that a holder has erased its copy too; raises CaseNotErased and HolderUnknown."""
        async with self._engine.begin() as connection:
            if await repository.find_erased_case(connection, case_id) is None:
                raise CaseNotErased(case_id)
            if not await repository.confirm_erasure(connection, case_id, Holder(holder, self._now(), by)):
                raise HolderUnknown(holder)
            await self._record(connection, case_id, VaultAction.ERASURE_CONFIRMED, holder, by)
        return await self.load_erased_case(case_id)

    async def load_erased_case(self, case_id: UUID) -> ErasedCase:
        """Loads what remains of an erased case; raises CaseNotErased."""
        async with self._engine.connect() as connection:
            erased = await repository.find_erased_case(connection, case_id)
        if erased is None:
            raise CaseNotErased(case_id)
        return erased

    async def _record(
        self, connection: AsyncConnection, case_id: UUID, action: VaultAction, detail: str, by: str
    ) -> None:
        """Records what was done; must be the last statement of its transaction."""
        now = self._now()
        await repository.add_action(connection, case_id, action, detail, by, now)
        await append_entries(connection, [audit.vault_changed(case_id, action, detail, by)], now)
