"""base64url without padding, the encoding of every key, signature and ciphertext."""

from base64 import urlsafe_b64decode, urlsafe_b64encode


def encode(raw: bytes) -> str:
    """Encodes bytes as base64url without padding."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Decodes base64url without padding; raises ValueError for anything else."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
