"""Reasons for which intake refuses a request."""

from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from uuid import UUID

from simpul_intake.erasure import LegalHold


class ReportIdReused(Exception):
    """The report_id belongs to a report with different content; generate a new one for a new report."""


class TokenUnknown(Exception):
    """No complaint centre has this bearer token; ask the operator for a new one, or send none."""


class CentreNotOfToken(Exception):
    """The token belongs to a different complaint centre than the report names; leave complaint_centre out."""


class AmendmentIdReused(Exception):
    """The amendment_id belongs to an amendment with different content; generate a new one for a new amendment."""


class ReportNotOfCentre(Exception):
    """The complaint centre filed no such report, or it does not exist, deliberately not distinguished."""


class ReceiptReplacedBefore(Exception):
    """The receipt was replaced since the list was read; list the reports again before you replace it once more."""


class QuestionUnknown(Exception):
    """The case has no such question; ask again what became of the report, which lists the open ones."""


class ReportClosed(Exception):
    """The report has been handled and takes no more files; make a new report of what is new."""


class FileNotReleased(Exception):
    """No agency that holds the file signed the request, or there is no such file, deliberately not distinguished."""


class ReceiptUnknown(Exception):
    """The case does not exist or has a different receipt, deliberately not distinguished; check the receipt."""


class ReceiptLocked(Exception):
    """This client tried too many wrong receipts of this case; try again after `wait`."""

    def __init__(self, wait: timedelta) -> None:
        super().__init__("too many wrong receipts of this case")
        self.wait = wait


class TooManyReports(Exception):
    """The sender has sent too many reports that can wait; send the next one after `wait`."""

    def __init__(self, wait: timedelta) -> None:
        super().__init__("too many reports of one sender in this hour")
        self.wait = wait


class TooManyAmendments(Exception):
    """The report has been amended too often in an hour, and the child is safe; send the next one after `wait`."""

    def __init__(self, wait: timedelta) -> None:
        super().__init__("too many amendments of one report in an hour")
        self.wait = wait


class EventTimeProblem(StrEnum):
    """What is wrong with the time of an event."""

    NO_SUCH_DATE = "event_time_impossible"
    IN_FUTURE = "event_in_future"
    BEFORE_BIRTH = "event_before_birth"


class EventTimeImpossible(Exception):
    """The event cannot have happened at the reported time; check day, month and year."""

    def __init__(self, problem: EventTimeProblem) -> None:
        super().__init__(problem.value)
        self.problem = problem


class AgencyUnknown(Exception):
    """No agency of the city has the code in `field`; check its spelling."""

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field


class CaseNotInVault(Exception):
    """The vault has no case of this id, or has erased it."""

    def __init__(self, case_id: UUID) -> None:
        super().__init__(f"the vault has no case {case_id}; check the id, or see `simpul vault certificate`")


class CaseHeld(Exception):
    """The case is under a legal hold and must not be erased; release the hold first."""

    def __init__(self, case_id: UUID, holds: Sequence[LegalHold]) -> None:
        self.holds = holds
        super().__init__(
            f"case {case_id} is held ({self.describe_holds()}); it is erased only after `simpul vault release`"
        )

    def describe_holds(self) -> str:
        """Lists the reasons and references."""
        return ", ".join(f"{hold.reason.value} {hold.reference}" for hold in self.holds)


class CaseStillSending(Exception):
    """Events of the case wait to be published; erase it when they have been."""

    def __init__(self, case_id: UUID) -> None:
        super().__init__(f"events of case {case_id} wait to be published; erase it when intake's outbox is empty")


class HoldUnknown(Exception):
    """The case has no legal hold with this reason and reference."""

    def __init__(self, case_id: UUID) -> None:
        super().__init__(f"case {case_id} has no such hold; `simpul vault holds` lists those that there are")


class ReferenceInvalid(Exception):
    """The reference of a legal hold is not the number of a file."""

    def __init__(self) -> None:
        super().__init__(
            "a reference is the number of a file such as LP/B/12/XI/2026: letters, digits, dots, slashes, hyphens and "
            "underscores, at most 60; never a name"
        )


class CaseNotErased(Exception):
    """The case was not erased."""

    def __init__(self, case_id: UUID) -> None:
        super().__init__(f"case {case_id} was not erased, so there is no certificate")


class BreachUnknown(Exception):
    """There is no such breach, or its notice was recorded before."""

    def __init__(self, breach_id: UUID) -> None:
        super().__init__(f"there is no breach {breach_id} whose notice is open; `simpul breach list` shows all")


class CaseNotBreached(Exception):
    """The case does not belong to the breach, or its notice was recorded before."""

    def __init__(self, case_id: UUID) -> None:
        super().__init__(f"no notice about case {case_id} is open; `simpul breach cases` shows those of the breach")


class HolderUnknown(Exception):
    """The party holds nothing of the erased case, or has confirmed before."""

    def __init__(self, holder: str) -> None:
        super().__init__(f"{holder} does not hold this case, or has confirmed already; see `simpul vault certificate`")


class MasterKeyInUse(Exception):
    """A master key still wraps keys, so it must stay."""

    def __init__(self, key_id: str, count: int) -> None:
        super().__init__(
            f"master key {key_id} still wraps {count} keys; wait until intake has re-wrapped them; "
            "`simpul vault status` counts them"
        )


class MaybeReportedBefore(Exception):
    """The child may have been reported before; contact the agency, then send the report again with a reason."""

    def __init__(self, search_id: UUID, agency: str) -> None:
        super().__init__(str(search_id))
        self.search_id = search_id
        self.agency = agency
        """Code of the agency to contact."""
