"""What counts: one definition for the rights ledger, the indicators and the clocks."""

from typing import Final

from simpul_routing.domain.case_lifecycle import CaseState
from simpul_routing.domain.lifecycle import ServiceState

ERRONEOUS_CASES: Final = frozenset({CaseState.ENTERED_IN_ERROR})
"""Cases that never were: neither they nor anything of theirs counts."""
UNCOUNTED_CASES: Final = ERRONEOUS_CASES | {CaseState.MERGED}
"""A merged case counts in the one that it was merged into; its services were offered nevertheless, and count."""
ERRONEOUS_SERVICES: Final = frozenset({ServiceState.ENTERED_IN_ERROR})
"""Services that never were: neither they nor their clocks count, whatever happened before."""
