"""Why access refuses something."""

from datetime import timedelta


class LoginRefused(Exception):
    """Account or password are wrong; which of them stays open."""


class LoginBlocked(Exception):
    """Too many logins failed; wait."""

    def __init__(self, wait: timedelta) -> None:
        super().__init__(f"wait {wait.total_seconds():.0f} s")
        self.wait = wait


class SessionEnded(Exception):
    """The login was not finished in time, or the session has ended; sign in again."""


class CodeWrong(Exception):
    """The code of the authenticator is wrong or was used before."""


class PasskeyRefused(Exception):
    """The passkey is not known, is not for this site, or its answer came too late; try again or sign in otherwise."""


class SubjectUnknown(Exception):
    """No account is connected with this person of the provider; sign in by password and connect it."""


class SubjectTaken(Exception):
    """Another account is connected with this person of the provider."""


class AccessUnknown(Exception):
    """There is no such emergency access, or it is not this person's."""


class CaseUnknown(Exception):
    """The reference names no case that the desk knows; check it."""


class ReasonMissing(Exception):
    """Emergency access needs a reason; write why you cannot wait."""


class LinkUnknown(Exception):
    """The link was used, has expired or never existed; ask for a new one."""


class LoginNameInvalid(ValueError):
    """A login name has 3 to 60 small letters, digits, dots, hyphens, underscores or an @."""


class LoginNameTaken(ValueError):
    """Another account has this login name; choose another."""


class NameInvalid(ValueError):
    """A name has 2 to 100 characters."""


class AccountUnknown(LookupError):
    """There is no open account of that login name."""


class RoleHeld(ValueError):
    """The person holds this role, or another one in this agency, already."""


class NotManaged(LookupError):
    """There is no such member whom this person may manage."""


class RecoveryUnknown(LookupError):
    """There is no such recovery that this person may confirm."""
