"""Reasons for which the vault cannot open what it stores."""


class DecryptionFailed(Exception):
    """A ciphertext cannot be decrypted: it was moved or altered, or belongs to another key."""


class MasterKeyMissing(Exception):
    """The vault has no master key of the id that a stored key needs; the message names that id."""


class MasterKeyFileInvalid(Exception):
    """The file of master keys cannot be read; the message names the file and the line."""


class RetirementUnproven(Exception):
    """A master key was not retired in intake's database, so it may still wrap keys."""


class KeyServiceUnavailable(ConnectionError):
    """The key service does not answer, is sealed or refuses the token; the message says which."""
