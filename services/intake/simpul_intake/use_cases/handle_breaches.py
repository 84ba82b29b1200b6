"""Opens breaches, drafts their notices, and records that they were given."""

from collections.abc import Callable, Sequence
from datetime import datetime
from importlib.resources import files
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from simpul_city import City
from simpul_intake import audit, repository
from simpul_intake.breach import NOTICE_PERIOD, Breach, BreachNotice, BreachScope, RecordedAction, find_reachable_cases
from simpul_intake.errors import BreachUnknown, CaseNotBreached
from simpul_intake.repository import BreachedCase, StoredBreach
from simpul_intake.vault import Vault, WrappedKey, case_key_context
from simpul_runtime.audit import AuditEntry, AuditFilter, append_entries, stream_entries
from simpul_runtime.database import utc_now
from simpul_schema.references import case_reference

_SECTION_NAMES = {
    "identity": "identitas, alamat, dan kontak",
    "narrative": "uraian kejadian",
    "triage": "fakta ringkas untuk penanganan",
}
"""How a notice names a section, in the language of the law."""


class HandleBreaches:
    """Used by the operator's commands."""

    def __init__(self, engine: AsyncEngine, city: City, now: Callable[[], datetime] = utc_now) -> None:
        self._engine = engine
        self._city = city
        self._now = now

    async def open_breach(
        self, scope: BreachScope, found_at: datetime, by: str, others: Sequence[AsyncEngine] = ()
    ) -> Breach:
        """Starts the clock of a breach, and stores whose data were reachable.

        `others` are the databases of other services, whose audits are read too.
        """
        cases: dict[UUID, frozenset[str]] = {}
        for engine in (self._engine, *others):
            for case_id, sections in (await _find_reachable(engine, scope)).items():
                cases[case_id] = cases.get(case_id, frozenset()) | sections
        async with self._engine.begin() as connection:
            if scope.whole_vault:
                for case_id, sections in (await repository.find_vault_cases(connection)).items():
                    cases[case_id] = cases.get(case_id, frozenset()) | sections
            breach = Breach(uuid4(), found_at, found_at + NOTICE_PERIOD, by, scope, len(cases), 0)
            await repository.add_breach(connection, breach, cases)
            await self._record(connection, "breach.opened", breach.breach_id, by, f"cases:{len(cases)}")
        return breach

    async def list_breaches(self) -> list[StoredBreach]:
        """Lists every breach, those that are due first."""
        async with self._engine.connect() as connection:
            return await repository.find_breaches(connection)

    async def load_breach(self, breach_id: UUID) -> StoredBreach:
        """Loads a breach; raises BreachUnknown."""
        async with self._engine.connect() as connection:
            return await _load(connection, breach_id)

    async def list_cases(self, breach_id: UUID) -> list[BreachedCase]:
        """Lists the cases of a breach; raises BreachUnknown."""
        async with self._engine.connect() as connection:
            await _load(connection, breach_id)
            return await repository.find_breached_cases(connection, breach_id)

    async def draft_authority_notice(self, breach_id: UUID) -> str:
        """Drafts the notice to the authority; it names no child and holds nothing from the vault."""
        async with self._engine.connect() as connection:
            breach = (await _load(connection, breach_id)).breach
            cases = await repository.find_breached_cases(connection, breach_id)
        sections = {section for case in cases for section in case.sections}
        return _read_template("breach_authority").format(
            breach_id=breach_id,
            cases=breach.cases,
            notified=breach.notified,
            due_at=self._show(breach.due_at),
            **self._describe(breach, sections),
        )

    async def draft_child_notice(self, breach_id: UUID, case_id: UUID, vault: Vault, by: str) -> BreachNotice:
        """Drafts the notice to the child of a case, and reads its safe contact: no other contact is ever used.

        The read is recorded. Raises BreachUnknown and CaseNotBreached.
        """
        async with self._engine.begin() as connection:
            breach = (await _load(connection, breach_id)).breach
            cases = {case.case_id: case for case in await repository.find_breached_cases(connection, breach_id)}
            if case_id not in cases:
                raise CaseNotBreached(case_id)
            contact = await _read_safe_contact(connection, vault, case_id)
            await append_entries(connection, [audit.sections_read(case_id, ["identity"], by, "breach")], self._now())
        described = self._describe(breach, set(cases[case_id].sections))
        text = _read_template("breach_child").format(reference=case_reference(breach_id), **described)
        return BreachNotice(case_id, contact, text)

    async def record_child_notice(self, breach_id: UUID, case_id: UUID, by: str) -> None:
        """Records that a child was notified. Raises CaseNotBreached, also when it was recorded before."""
        async with self._engine.begin() as connection:
            if not await repository.record_notice(connection, breach_id, case_id, by, self._now()):
                raise CaseNotBreached(case_id)
            await self._record(connection, "breach.child_notified", breach_id, by, str(case_id))

    async def record_authority_notice(self, breach_id: UUID, by: str) -> None:
        """Records that the authority was notified. Raises BreachUnknown, also when it was recorded before."""
        async with self._engine.begin() as connection:
            if not await repository.record_authority_notice(connection, breach_id, self._now()):
                raise BreachUnknown(breach_id)
            await self._record(connection, "breach.authority_notified", breach_id, by, "")

    async def _record(self, connection: AsyncConnection, action: str, breach_id: UUID, by: str, detail: str) -> None:
        entry = AuditEntry(action, f"breach/{breach_id}", by, audit.OPERATOR, detail)
        await append_entries(connection, [entry], self._now())

    def _describe(self, breach: Breach, sections: set[str]) -> dict[str, str]:
        scope = breach.scope
        ways = [f"akun {account}" for account in sorted(scope.accounts)]
        ways += [f"sistem {agency}" for agency in sorted(scope.agencies)]
        ways += ["penyimpanan data layanan"] if scope.whole_vault else []
        return {
            "city": self._city.name,
            "since": self._show(scope.since),
            "until": self._show(scope.until),
            "found_at": self._show(breach.found_at),
            "ways": "; ".join(ways),
            "sections": "; ".join(text for name, text in _SECTION_NAMES.items() if name in sections),
        }

    def _show(self, moment: datetime) -> str:
        return moment.astimezone(self._city.zone).strftime("%d-%m-%Y %H.%M %Z")


async def _find_reachable(engine: AsyncEngine, scope: BreachScope) -> dict[UUID, frozenset[str]]:
    async with engine.connect() as connection:
        entries = [
            RecordedAction(entry.at, entry.actor, entry.action, entry.subject, entry.detail)
            async for entry in stream_entries(connection, AuditFilter(until=scope.until))
        ]
    return dict(find_reachable_cases(entries, scope))


async def _load(connection: AsyncConnection, breach_id: UUID) -> StoredBreach:
    found = await repository.find_breaches(connection, breach_id)
    if not found:
        raise BreachUnknown(breach_id)
    return found[0]


async def _read_safe_contact(connection: AsyncConnection, vault: Vault, case_id: UUID) -> str:
    """Decrypts the safe contact of a case with its hours; empty when the case has none or is erased."""
    key = await repository.find_report_of_case_in(connection, case_id)
    identities = [one for one in await repository.load_sections(connection, case_id) if one.name == "identity"]
    if key is None or not identities:
        return ""
    newest = max(identities, key=lambda one: one.revision)
    data_key = await vault.unwrap(WrappedKey(key.key_id, key.wrapped, case_key_context(case_id)))
    identity = vault.decrypt_section(data_key, newest.ciphertext, case_id, "identity", newest.revision)
    contact, hours = identity.get("safe_contact", ""), identity.get("safe_hours", "")
    return f"{contact} ({hours})" if contact and hours else str(contact)


def _read_template(name: str) -> str:
    return (files("simpul_intake") / "templates" / f"{name}.id.txt").read_text()
