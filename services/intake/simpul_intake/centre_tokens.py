"""Which complaint centre a bearer token belongs to; the file holds digests only, so whoever reads it can use none."""

import hmac
import json
import os
import secrets
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

_TOKEN_BYTES = 32


class CentreTokens:
    """The tokens that the operator issued; a token that is added or removed counts without a restart."""

    def __init__(self, path: Path | None) -> None:
        """Without a path nobody is authenticated."""
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._digests: Mapping[str, str] = {}
        self._follow_file()

    def centre_of(self, token: str) -> str:
        """The code of the centre that the token was issued to; empty when it was issued to none."""
        self._follow_file()
        given = _digest(token)
        found = ""
        # Every digest is compared, so that the time tells nothing about which one came close.
        for digest, centre in self._digests.items():
            if hmac.compare_digest(digest, given):
                found = centre
        return found

    def _follow_file(self) -> None:
        stamp = _stamp_of(self._path)
        if stamp != self._stamp:
            self._stamp = stamp
            self._digests = _read_digests(self._path) if self._path and stamp else {}


def add_token(path: Path, centre: str) -> str:
    """Issue a new token to a centre, beside those it has; returns the token, which is stored nowhere."""
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    stored: dict[str, list[str]] = json.loads(path.read_text()) if path.exists() else {}
    stored.setdefault(centre, []).append(_digest(token))
    # Intake finds the old file or the new one, never a half.
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(json.dumps(stored, indent=1) + "\n")
    beside.chmod(0o644)
    beside.replace(path)
    return token


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()


def _stamp_of(path: Path | None) -> tuple[int, int, int] | None:
    if path is None:
        return None
    try:
        state = path.stat()
    except FileNotFoundError:
        return None
    return state.st_mtime_ns, state.st_ino, state.st_size


def _read_digests(path: Path) -> dict[str, str]:
    stored = json.loads(path.read_text())
    return {digest: centre for centre, digests in stored.items() for digest in digests}
