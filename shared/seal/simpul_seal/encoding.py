"""base64url without padding, as every key, signature and ciphertext is written."""

from base64 import urlsafe_b64decode, urlsafe_b64encode


def encode(raw: bytes) -> str:
    """Bytes as base64url without padding."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """The bytes of a base64url text; ValueError when it is none."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
