"""Refusals; none of them carries content."""


class SealError(Exception):
    """Base of everything this package refuses."""


class UnknownKey(SealError):
    """The key id is not in the directory, or not valid at that time: fetch the directory again or enrol the key."""


class SignatureMissing(SealError):
    """No signature came beside the body; the sender puts it into the header `simpul-signature`."""


class SignatureInvalid(SealError):
    """The body was not signed by the key that the header names, or was altered afterwards."""


class NotForUs(SealError):
    """The section is sealed to somebody else, to an older key, or was moved from another event."""
