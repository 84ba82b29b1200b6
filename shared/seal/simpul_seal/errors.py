"""Refusals; none of them carries content."""


class SealError(Exception):
    """Base of everything this package refuses."""


class UnknownKey(SealError):
    """The key id is not in the directory, or not valid at that time: fetch the directory again or enrol the key."""


class SignatureInvalid(SealError):
    """The event was not signed by the key it names, or was altered afterwards."""


class NotForUs(SealError):
    """The section is sealed to somebody else, to an older key, or was moved from another event."""
