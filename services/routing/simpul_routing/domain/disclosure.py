"""What an agency may hold of the dossier: the sections that its accepted services need, by the agreement (R6, R7).

The agreement that governs a service decides, with the facts of the case as they are now. Intake, which keeps the
dossier, carries the decision out.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from simpul_agreement.engine import Decision
from simpul_agreement.model import Basis, BasisIs, Section
from simpul_agreement.model import Disclosure as Discloses
from simpul_routing.domain.actors import is_excluded
from simpul_routing.domain.case import Case
from simpul_routing.domain.case_record import CaseRecord
from simpul_routing.domain.consents import is_consented
from simpul_routing.domain.exclusions import SuggestionState, find_waiting
from simpul_routing.domain.lifecycle import ServiceState
from simpul_routing.domain.referral import Referral, ReferralService, sort_services
from simpul_routing.domain.rules import Rules
from simpul_schema.vocabulary import Right, Service

_SERVING: Final = frozenset(
    {ServiceState.ACCEPTED, ServiceState.SCHEDULED, ServiceState.UNATTENDED, ServiceState.IN_PROGRESS}
)
"""The states in which an agency has accepted a service and still has to provide it."""
_BY_CONSENT: Final = frozenset({Basis.GUARDIAN_CONSENT, Basis.CHILD_CONSENT})
_OWN_BASES: Final = frozenset(Basis) - _BY_CONSENT


@dataclass(frozen=True, slots=True)
class Disclosure:
    """What the agency of a referral may hold; nothing without sections."""

    bases: Mapping[Section, Basis] = field(default_factory=dict)
    """Section -> the basis on which the agency may hold it (R7)."""
    services: tuple[Service, ...] = ()
    clauses: tuple[str, ...] = ()
    agreement: str = ""
    is_suspected: bool = False
    """Whether a person has yet to decide if the agency is too close to the suspect: it keeps what it holds, and gets
    nothing new."""
    is_cleared: bool = False
    """Whether a person decided that the agency is not too close."""
    cleared_namings: int = 0
    """How often the reports had named the agency when that was decided."""

    @property
    def sections(self) -> frozenset[Section]:
        """The sections that the agency may hold."""
        return frozenset(self.bases)


NOTHING: Final = Disclosure()


@dataclass(frozen=True, slots=True)
class DisclosureDecided:
    """The agency of a referral may hold something else than before."""

    referral_id: UUID
    case_id: UUID
    agency: str
    disclosure: Disclosure


def find_disclosure(referral: Referral, case: Case, rules: Rules) -> Disclosure:
    """Finds what the agency of a referral may hold.

    An excluded agency may hold nothing (R6). Where identity is disclosed on a consent, a service discloses what the
    recorded consents to its purpose permit, and without them only what the agreement discloses on a basis of its own.
    An agency whose exclusion was suggested learns no section for a new service until a person has decided, except for
    what protects life, body or evidence; intake sends it no change of what it holds.
    """
    serving = find_serving(referral)
    # Read only here, because a case whose facts cannot be decrypted still takes replies.
    if not serving or is_excluded(referral.agency, case.facts.origin.excluded, rules.agreement):
        return NOTHING
    decided = [(one, _decide(one, case, rules)) for one in sort_services(serving) if not _waits(one, case, rules)]
    if not decided:
        return NOTHING
    newest = max((one for one, _ in decided), key=lambda one: one.position)
    governing = next(decision for one, decision in decided if one is newest)
    if governing.basis is None:
        # A proof rules it out; without a basis no identity leaves (R7).
        return NOTHING
    bases: dict[Section, Basis] = {}
    clauses: dict[str, None] = {}
    for service, decision in decided:
        for clause in decision.effective:
            effect = clause.effect
            if isinstance(effect, Discloses) and effect.service is service.service:
                found = _find_bases(effect, governing.basis.basis, case, rules)
                # What rests on a basis of its own does not end with a consent.
                bases |= {section: basis for section, basis in found.items() if bases.get(section) not in _OWN_BASES}
                clauses |= dict.fromkeys([clause.id] if found else ())
    if not bases:
        return NOTHING
    clauses |= {clause.id: None for clause in governing.effective if isinstance(clause.effect, BasisIs)}
    suggested = (case.facts.suggestions.get(code) for code in rules.agreement.parts_of(referral.agency))
    cleared = [one for one in suggested if one and one.state is SuggestionState.REJECTED]
    return Disclosure(
        bases,
        tuple(one.service for one, _ in decided),
        tuple(clauses),
        newest.agreement,
        is_suspected=is_excluded(referral.agency, case.facts.pending, rules.agreement),
        is_cleared=bool(cleared),
        cleared_namings=sum(one.namings for one in cleared),
    )


def rests_on_consent(service: ReferralService, case: Case, rules: Rules) -> bool:
    """Whether the agency of a service may know the child's identity by a consent alone.

    Where a law, a public task or a vital interest permits it, the service continues when a consent ends.
    """
    decision = _decide(service, case, rules)
    if decision.basis is not None and decision.basis.basis not in _BY_CONSENT:
        return False
    effects = (clause.effect for clause in decision.effective)
    return not any(
        isinstance(effect, Discloses)
        and effect.service is service.service
        and Section.IDENTITY in effect.without_consent
        for effect in effects
    )


def _find_bases(effect: Discloses, basis: Basis, case: Case, rules: Rules) -> dict[Section, Basis]:
    """Finds what a service discloses, and on which basis each section."""
    if basis not in _BY_CONSENT:
        return dict.fromkeys(effect.sections, basis)
    right_of = rules.versions.of(case.agreement).agreement.right_of
    purpose = right_of.get(effect.service, Right.PROMPT_RESPONSE)
    facts = case.facts
    consented = effect.sections if is_consented(facts.consents, purpose, basis, facts.situation) else frozenset()
    own = dict.fromkeys(effect.without_consent, effect.own_basis) if effect.own_basis else {}
    return dict.fromkeys(consented, basis) | own


def find_serving(referral: Referral) -> list[ReferralService]:
    """Finds the services that the agency of a referral has accepted and still has to provide."""
    return [service for service in referral.services.values() if service.standing.state in _SERVING]


def _decide(service: ReferralService, case: Case, rules: Rules) -> Decision:
    """Decides by the version of the agreement that the service was offered by, on the day of the last decision."""
    return rules.decide_by(rules.versions.of(service.agreement), case.decided_at, case.facts, case.urgency)


def _waits(service: ReferralService, case: Case, rules: Rules) -> bool:
    """Whether a suggested exclusion withholds the dossier from an agency that accepted after the suggestion."""
    facts = case.facts
    waiting = find_waiting(facts.pending, facts.situation, case.urgency, rules.agreement)
    if not waiting.holds_back(service.service, service.agency):
        return False
    pending = [code for code in facts.pending if is_excluded(service.agency, {code}, rules.agreement)]
    suggested_at = min(facts.suggestions[code].suggested_at for code in pending)
    return service.accepted_at is None or service.accepted_at >= suggested_at


def list_disclosures(file: CaseRecord) -> Iterator[DisclosureDecided]:
    """Lists what each agency that serves may hold now; agencies that may hold nothing are left out."""
    for referral in file.referrals.values():
        disclosure = find_disclosure(referral, file.case, file.rules)
        if disclosure.bases:
            yield DisclosureDecided(referral.referral_id, referral.case_id, referral.agency, disclosure)


def find_changed_disclosures(file: CaseRecord) -> Iterator[DisclosureDecided]:
    """Finds the agencies that may hold something else than when the file was loaded.

    An agency that serves no longer comes first, by its services alone: its disclosure ends even if the facts cannot be
    read, which fails at the first agency that still serves. It may have held nothing; whoever carries out the decision
    compares.
    """
    has_new_facts = file.case is not file.loaded_case
    serving: list[Referral] = []
    for referral_id, referral in file.referrals.items():
        loaded = file.loaded_referrals.get(referral_id)
        if referral is loaded and not has_new_facts and referral_id not in file.loaded_elsewhere:
            continue
        if find_serving(referral):
            serving.append(referral)
        elif loaded and find_serving(loaded):
            yield DisclosureDecided(referral_id, referral.case_id, referral.agency, NOTHING)
    for referral in serving:
        referral_id = referral.referral_id
        loaded = file.loaded_referrals.get(referral_id)
        # A referral that was taken over was disclosed by the facts of the duplicate.
        loaded_case = file.loaded_elsewhere.get(referral_id, file.loaded_case)
        before = find_disclosure(loaded, loaded_case, file.rules) if loaded else NOTHING
        after = find_disclosure(referral, file.case, file.rules)
        if before != after:
            yield DisclosureDecided(referral_id, referral.case_id, referral.agency, after)
