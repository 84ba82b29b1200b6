"""A person is asked about suggested exclusions, once for each case, and the next level when no answer comes."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID, uuid4

import structlog

from simpul_routing import publisher, repository
from simpul_routing.agreement import Versions
from simpul_routing.domain.agreement import Agreement, Clause, ClockName, Step
from simpul_routing.domain.case_life import CaseState
from simpul_routing.domain.clocks import Addressee, Running
from simpul_routing.domain.engine import Decision
from simpul_routing.domain.exclusions import Ask, deciding_agency, told_about
from simpul_routing.domain.plan import CasePlan
from simpul_routing.repository import StoredCase
from simpul_routing.stored_facts import StoredFacts, place_of, read
from simpul_routing.use_cases.cases import ROUTING, note_of
from simpul_runtime.city import City
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction
from simpul_schema.vocabulary import Urgency

SUGGESTED: Final = "exclusion_suggested"
ASKED: Final = 0
"""The step at which somebody is asked; the others are those of every deadline."""

log = structlog.get_logger()


class AskExclusions:
    """Keeps, for each case with a suggestion that nobody has decided, one agency that is asked."""

    def __init__(self, city: City) -> None:
        self._city = city

    def note(
        self, transaction: Transaction, keys: Keys, case_id: UUID, state: CaseState, agencies: frozenset[str],
        cause: UUID,
    ) -> None:  # fmt: skip
        """Keep in the history of a case that these exclusions were suggested; which, locked."""
        if agencies:
            note = note_of(keys, case_id, ", ".join(sorted(agencies)))
            repository.add_case_transition(
                transaction, case_id, state.value, state.value, ROUTING, SUGGESTED, note, cause
            )

    def ask(
        self, transaction: Transaction, case_id: UUID, facts: StoredFacts, decided: tuple[CasePlan, Decision],
        agreement: Agreement, *, cause: UUID | None, due_at: datetime | None = None,
    ) -> None:  # fmt: skip
        """Ask whoever decides, within the time that an agency has to answer; `due_at` is a deadline that runs already.

        Nothing happens where nothing is suggested.
        """
        if not facts.pending:
            return
        plan, decision = decided
        agency = deciding_agency(agreement, facts.origin, facts.pending)
        if not agency:
            log.error("nobody_is_left_to_decide", case_id=case_id)
        due = min(due_at or plan.answer_by, plan.answer_by)
        ask = Ask(uuid4(), case_id, agency, Running(ClockName.ANSWER, transaction.now, due))
        repository.add_ask(transaction, ask)
        told = self._told(None, ask, decision.effective, agreement, facts)
        transaction.announce(
            publisher.exclusion_suggested(ask, plan.urgency, facts.pending, step=ASKED, told=told, cause=cause)
        )

    async def follow(
        self, transaction: Transaction, case_id: UUID, facts: StoredFacts, decided: tuple[CasePlan, Decision],
        agreement: Agreement, cause: UUID | None,
    ) -> None:  # fmt: skip
        """After a case was decided again: ask, ask somebody else, or ask no longer. Nobody is asked twice at a time."""
        ask = await repository.open_ask_for_update(transaction, case_id)
        if ask is None:
            self.ask(transaction, case_id, facts, decided, agreement, cause=cause)
            return
        decides = deciding_agency(agreement, facts.origin, facts.pending)
        is_unable = ask.agency in facts.pending | facts.origin.excluded and ask.agency != decides
        if not facts.pending or is_unable:
            is_told = ask.agency not in facts.origin.excluded
            await self._end(transaction, ask, decided[0].urgency, cause, is_told=is_told)
            self.ask(transaction, case_id, facts, decided, agreement, cause=cause, due_at=ask.clock.due_at)
        elif decided[0].answer_by < ask.clock.due_at:
            nearer = replace(ask, clock=replace(ask.clock, due_at=decided[0].answer_by))
            await repository.write_ask(transaction, nearer)

    async def end(self, transaction: Transaction, case: StoredCase) -> None:
        """The case ended: nothing is left to decide."""
        ask = await repository.open_ask_for_update(transaction, case.case_id)
        if ask:
            await self._end(transaction, ask, case.urgency, None, is_told=True)

    async def _end(
        self, transaction: Transaction, ask: Ask, urgency: Urgency, cause: UUID | None, *, is_told: bool
    ) -> None:
        await repository.close_ask(transaction, ask)
        transaction.announce(publisher.exclusion_decided(ask, urgency, transaction.now, cause, is_told=is_told))
        # Somebody else may be asked in this case now.
        await transaction.flush()

    async def sweep(
        self, transaction: Transaction, now: datetime, most: int, versions: Versions, keys: Keys
    ) -> list[Step]:
        """One step of each ask that is due by then; returns the steps."""
        asks = await repository.due_asks(transaction, now, most)
        cases = await repository.cases_of(transaction.connection, {ask.case_id for ask in asks})
        taken: list[Step] = []
        for ask in asks:
            step = ask.clock.step
            if step:
                self._announce_step(transaction, ask, step, cases, versions, keys)
                await repository.write_ask(transaction, replace(ask, clock=ask.clock.after(step)))
                taken.append(step)
        return taken

    def _announce_step(
        self, transaction: Transaction, ask: Ask, step: Step, cases: Mapping[UUID, StoredCase], versions: Versions,
        keys: Keys,
    ) -> None:  # fmt: skip
        """One case that cannot be read must not keep the deadlines of all others from being announced."""
        try:
            case = cases[ask.case_id]
            facts = read(keys.unlock(case.situation, place=place_of(ask.case_id)))
            engines = versions.of(case.agreement)
            engine = engines.on(ask.clock.started_at.astimezone(self._city.zone).date())
            decision = engine.decide(facts.situation, facts.origin, by_hand=case.urgency)
            told = self._told(step, ask, decision.effective, engines.agreement, facts)
            pending, percent = facts.pending, int(step.value)
        except Exception as error:
            log.error("exclusion_step_failed", case_id=ask.case_id, exc_info=error)
            return
        transaction.announce(
            publisher.exclusion_suggested(ask, case.urgency, pending, step=percent, told=told, cause=None)
        )

    def _told(
        self, step: Step | None, ask: Ask, clauses: Iterable[Clause], agreement: Agreement, facts: StoredFacts
    ) -> tuple[str, ...]:
        agency = ask.agency
        addressee = Addressee(agency, self._city.kinds.get(agency, ""), self._city.kecamatan_of.get(agency, ""))
        return told_about(step, clauses, agreement, addressee, facts.origin, facts.pending)
