"""Whether a mediation may be opened in a case, by whom, and by which clauses."""

from dataclasses import dataclass

from simpul_agreement.engine import Decision
from simpul_agreement.model import Agreement, Clause, Mediation
from simpul_schema.vocabulary import ActorRole


@dataclass(frozen=True, slots=True)
class MediationRuling:
    """What an agreement says about a mediation that a person wants to open."""

    is_locked: bool
    is_allowed: bool
    agreement: Agreement
    clauses: tuple[Clause, ...]
    """The clauses that decide: those that lock it, else those that name who may open it."""

    @property
    def clause_ids(self) -> tuple[str, ...]:
        """The ids of the clauses."""
        return tuple(clause.id for clause in self.clauses)


def judge_mediation(decision: Decision, agreement: Agreement, role: ActorRole) -> MediationRuling:
    """Judges whether a person in a role may open a mediation; nobody may where no clause decides."""
    found = [(clause, clause.effect) for clause in decision.effective if isinstance(clause.effect, Mediation)]
    is_locked = decision.mediation_is_locked
    clauses = tuple(clause for clause, effect in found if effect.is_locked is is_locked)
    is_named = any(role in effect.opened_by for _, effect in found if not effect.is_locked)
    return MediationRuling(is_locked, is_named and not is_locked, agreement, clauses)
