"""Named refusals."""

from collections.abc import Sequence

from simpul_schema.vocabulary import Right


class AgreementMissing(Exception):
    """No version of the agreement may decide; the message says where it was looked for and what to run."""


class CaseUnknown(Exception):
    """Routing has no case of that id; check it, or wait until its report was decided."""


class CaseChanged(Exception):
    """Somebody changed the case in the meantime; read it again and decide anew."""


class CaseHasEnded(Exception):
    """The case was terminated; reopen it first."""


class CaseIsOpen(Exception):
    """The case was not terminated, so there is nothing to reopen."""


class RightsLacking(Exception):
    """The case cannot be closed as completed; `rights` are those that are not settled yet."""

    def __init__(self, rights: Sequence[Right]) -> None:
        super().__init__(", ".join(right.value for right in rights))
        self.rights = tuple(rights)


class ReasonMissing(Exception):
    """A right that is refused or does not apply, and a case that is closed or transferred, need a reason."""
