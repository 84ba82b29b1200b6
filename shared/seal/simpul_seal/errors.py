"""Errors of this package; none of them contains content."""


class SealError(Exception):
    """Base class of the errors of this package."""


class UnknownKey(SealError):
    """The directory has no such key that is valid at that time: fetch the directory again or enrol the key."""


class SignatureMissing(SealError):
    """The header `simpul-signature` is missing."""


class SignatureInvalid(SealError):
    """The body was not signed with the key that the header names, or was altered afterwards."""


class NotForUs(SealError):
    """The content is sealed to another key, or was moved from another event or another row."""
