"""Releases sections of the dossier to the agencies that may hold them, and withdraws them from those that may not.

Routing decides what an agency may hold. The decision is stored when it arrives, and a loop makes what the agency holds
agree with it: nothing of a case is decrypted while its key is being unwrapped, and whatever fails is tried again.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Final, TypeVar
from uuid import UUID, uuid4

import structlog
from prometheus_client import Gauge

from simpul_intake import audit, publisher, repository
from simpul_intake.domain import Report, combine_reports
from simpul_intake.dossier import (
    TIME_TO_DELETE,
    Disclosure,
    HeldSection,
    Notes,
    OverdueDeletion,
    add_notes,
    build_dossier,
    plan_release,
    plan_withdrawal,
)
from simpul_intake.erasure import Holder, VaultAction
from simpul_intake.use_cases.decrypt_report import decrypt_report
from simpul_intake.use_cases.keep_files import describe_files
from simpul_intake.use_cases.keep_notes import open_notes
from simpul_intake.use_cases.vault_secrets import VaultSecrets
from simpul_intake.vault import Secrets, Vault, WrappedKey, case_key_context
from simpul_runtime.database import utc_now
from simpul_runtime.errors import Unprocessable
from simpul_runtime.metrics import REGISTRY
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction, Transactions
from simpul_schema import Event, Producer, SectionContent
from simpul_schema.messages import DisclosureDecidedV1, ReplyDossierDeletedV1
from simpul_schema.messages.dossier import DisclosureTerms
from simpul_schema.vocabulary import DisclosureBasis, DossierSection, ParkReason

POLL_INTERVAL: Final = timedelta(seconds=1)
"""How often the loop looks for what another process stored."""
RETRY_AFTER: Final = timedelta(seconds=30)
"""Time until a case whose release failed is tried again."""
BATCH_SIZE: Final = 50
"""Cases in one round of the loop."""
WATCH_INTERVAL: Final = timedelta(minutes=1)
"""Time between two counts of overdue confirmations."""
DELETIONS_OVERDUE: Final = Gauge(
    "simpul_dossier_deletions_overdue",
    "Withdrawn dossiers whose deletion an agency has not confirmed within 3 x 24 hours; the expected value is 0",
    registry=REGISTRY,
)

E = TypeVar("E", bound=Event)

log = structlog.get_logger()


class ReleaseDossiers:
    """Stores what agencies may hold, and carries it out; any number of processes may do so at the same time."""

    def __init__(
        self,
        transactions: Transactions,
        vault: Vault,
        secrets: VaultSecrets,
        keys: Keys,
        list_parts: Callable[[str], Sequence[str]],
    ) -> None:
        """`list_parts` lists an agency and those that it is part of."""
        self._transactions = transactions
        self._vault = vault
        self._secrets = secrets
        self._keys = keys
        self._list_parts = list_parts
        self._requested = asyncio.Event()
        self._overdue: Sequence[OverdueDeletion] = ()

    async def record_decisions(self, transaction: Transaction, events: Sequence[DisclosureDecidedV1]) -> None:
        """Stores decisions of routing; of one referral the one with the highest sequence counts."""
        for event in _in_order(events):
            terms = self._keys.open_section(event, "terms", DisclosureTerms)
            data = event.data
            bases = {name: basis for name in terms.sections if (basis := terms.bases.get(name, terms.basis))}
            # The version of routing before only says whether somebody decided.
            cleared = terms.cleared_namings or int(terms.is_cleared)
            disclosure = Disclosure(data.referral_id, data.case_id, data.agency, bases, terms.is_suspected, cleared)
            await repository.record_disclosure(transaction, disclosure, event.position)
        transaction.after_commit.append(self._requested.set)

    async def record_deletions(self, transaction: Transaction, events: Sequence[ReplyDossierDeletedV1]) -> None:
        """Stores that agencies deleted what was withdrawn from them; completes the certificate of an erased case."""
        for event in _in_order(events):
            agency = Producer.of(event.source).party
            if event.data.agency != agency:
                raise Unprocessable(ParkReason.INVALID, "agency")
            deleted = await repository.confirm_deletion(
                transaction, event.data.referral_id, agency, event.data.withdrawal_id
            )
            if deleted is None:
                # Repeated, or the section was released again meanwhile.
                continue
            case_id, sections = deleted
            transaction.record(audit.dossier_deleted(case_id, agency, sections))
            await self._confirm_erasure(transaction, case_id, agency)

    async def _confirm_erasure(self, transaction: Transaction, case_id: UUID, agency: str) -> None:
        if agency in await repository.find_dossier_holders(transaction.connection, case_id):
            return
        holder = Holder(agency, transaction.now, agency)
        if await repository.confirm_erasure(transaction.connection, case_id, holder):
            await repository.add_action(
                transaction.connection, case_id, VaultAction.ERASURE_CONFIRMED, agency, agency, transaction.now
            )

    async def run(self) -> None:
        """Releases and withdraws until cancelled."""
        watch_at = utc_now()
        while True:
            try:
                await self.release_due()
                if utc_now() >= watch_at:
                    watch_at = utc_now() + WATCH_INTERVAL
                    await self.watch_deletions()
            except Exception as error:
                log.warning("dossier_loop_failed", exc_info=error)
            try:
                async with asyncio.timeout(POLL_INTERVAL.total_seconds()):
                    await self._requested.wait()
            except TimeoutError:
                continue
            self._requested.clear()

    def request_release(self) -> None:
        """Ends the wait of the loop, because the dossier of a case has changed."""
        self._requested.set()

    async def release_due(self) -> None:
        """Makes what agencies hold agree with what they may hold, case by case."""
        async with self._transactions.begin() as transaction:
            due = await repository.find_due_disclosures(transaction.connection, transaction.now, BATCH_SIZE)
        for case_id in due:
            try:
                await self._release_case(case_id)
            except Exception as error:
                # One case must not hold up the others.
                log.error("dossier_not_released", case_id=case_id, exc_info=error)
                async with self._transactions.begin() as transaction:
                    await repository.postpone_disclosures(
                        transaction.connection, case_id, transaction.now + RETRY_AFTER
                    )

    async def _release_case(self, case_id: UUID) -> None:
        if not await self._withdraw_disallowed(case_id):
            return
        # Before the transaction, because a key service may be slow.
        keys = await self._unwrap_keys(case_id)
        secrets = await self._secrets.load() if keys else None
        async with self._transactions.begin() as transaction:
            reports = await self._open_reports(transaction, keys)
            files = await describe_files(transaction, self._vault, keys)
            notes = await open_notes(transaction, self._vault, keys) if reports else {}
            dossier = build_dossier(combine_reports(reports), files) if reports else {}
            due = await repository.lock_due_disclosures(transaction, case_id)
            # Once nobody can mark them as due any more: a case that was merged meanwhile leaves them due.
            if list(await repository.find_reports_of_child(transaction, case_id)) != list(keys):
                return
            held = await repository.find_held_sections(transaction, [one.referral_id for one in due])
            for disclosure in due:
                await self._settle(
                    transaction,
                    disclosure,
                    dossier,
                    notes,
                    held[disclosure.referral_id],
                    secrets,
                    is_frozen=disclosure.is_frozen(reports, self._list_parts(disclosure.agency)),
                )

    async def _withdraw_disallowed(self, case_id: UUID) -> bool:
        """Withdraws what agencies may not hold any more; returns whether something else is due.

        It opens nothing of the case, so that no withdrawal waits for a key service that is away.
        """
        async with self._transactions.begin() as transaction:
            due = await repository.lock_due_disclosures(transaction, case_id)
            held = await repository.find_held_sections(transaction, [one.referral_id for one in due])
            for disclosure in due:
                await self._withdraw(transaction, disclosure, plan_withdrawal(disclosure, held[disclosure.referral_id]))
                if not disclosure.allowed:
                    await repository.settle_disclosure(transaction, disclosure.referral_id)
        return any(disclosure.allowed for disclosure in due)

    async def _unwrap_keys(self, case_id: UUID) -> dict[UUID, bytes]:
        """Unwraps the key of a case and of every case of the same child, the one that continues first."""
        async with self._transactions.begin() as transaction:
            found = await repository.find_reports_of_child(transaction, case_id)
        keys = await self._vault.unwrap_all(
            [WrappedKey(one.key_id, one.wrapped, case_key_context(key)) for key, one in found.items()]
        )
        return dict(zip(found, keys, strict=True))

    async def _open_reports(self, transaction: Transaction, keys: Mapping[UUID, bytes]) -> list[Report]:
        """Opens all reports of the child and locks their cases; an erased case has nothing."""
        reports = []
        for case_id, key in keys.items():
            stored = await repository.load_case_for_update(transaction, case_id)
            if stored and "triage" in stored.sections:
                reports.append(decrypt_report(self._vault, case_id, stored, key))
        return reports

    async def _settle(
        self,
        transaction: Transaction,
        disclosure: Disclosure,
        dossier: dict[DossierSection, SectionContent],
        notes: Notes,
        held: Sequence[HeldSection],
        secrets: Secrets | None,
        *,
        is_frozen: bool,
    ) -> None:
        dossier = add_notes(dossier, notes, held, is_frozen=is_frozen)
        # With the basis, because the agency has to know when it holds a section on another one.
        digests = {
            name: _digest(name, content, disclosure.bases.get(name), secrets)
            for name, content in dossier.items()
            if secrets
        }
        # Nothing of an erased case stays anywhere.
        plan = plan_release(disclosure.allowed if dossier else frozenset(), digests, held, is_frozen=is_frozen)
        if plan.released:
            released = [HeldSection(name, revision, digests[name]) for name, revision in plan.released.items()]
            await repository.record_release(transaction, disclosure, released)
            transaction.enqueue_event(
                publisher.dossier_released(
                    disclosure, plan.released, {name: dossier[name] for name in plan.released}, transaction.now
                )
            )
            transaction.record(audit.dossier_released(disclosure, plan.released))
        await self._withdraw(transaction, disclosure, plan.withdrawn)
        await repository.settle_disclosure(transaction, disclosure.referral_id)

    async def _withdraw(
        self, transaction: Transaction, disclosure: Disclosure, sections: Sequence[DossierSection]
    ) -> None:
        if not sections:
            return
        withdrawal_id = uuid4()
        confirm_by = await repository.record_withdrawal(
            transaction, disclosure.referral_id, sections, withdrawal_id, TIME_TO_DELETE
        )
        transaction.enqueue_event(
            publisher.dossier_withdrawn(disclosure, sections, withdrawal_id, confirm_by, transaction.now)
        )
        transaction.record(audit.dossier_withdrawn(disclosure, sections))

    async def watch_deletions(self) -> None:
        """Counts what agencies should have deleted, and logs what has become overdue."""
        async with self._transactions.begin() as transaction:
            overdue = await repository.find_overdue_deletions(transaction.connection, transaction.now)
        DELETIONS_OVERDUE.set(sum(one.count for one in overdue))
        for one in overdue:
            if one not in self._overdue:
                log.error("dossier_deletion_overdue", agency=one.agency, count=one.count)
        self._overdue = overdue

    def find_warnings(self) -> list[str]:
        """Finds the agencies that an operator must call, because they have not confirmed a deletion in time."""
        return [
            f"{one.agency} has not confirmed that it deleted {one.count} withdrawn dossiers, the oldest due at "
            f"{one.oldest:%Y-%m-%d %H:%M %Z}: call the agency"
            for one in self._overdue
        ]


def _in_order(events: Sequence[E]) -> list[E]:
    """Sorts events by their subject, so that no two transactions wait for each other's rows."""
    return sorted(events, key=lambda event: event.subject)


def _digest(section: DossierSection, content: SectionContent, basis: DisclosureBasis | None, secrets: Secrets) -> bytes:
    # Sorted, so that the digest does not depend on the order of the fields in this version. Without notes it is that of
    # the versions before notes, so that an upgrade sends nothing again that has not changed.
    values = {name: value for name, value in content.model_dump(mode="json").items() if value or name != "notes"}
    written = json.dumps(values, sort_keys=True)
    return secrets.compute_mac(f"dossier|{section.value}|{basis}|{written}".encode())
