"""Bearer tokens of complaint centres; the file stores digests only, so reading it does not give a usable token."""

import hmac
import json
import os
import secrets
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

_TOKEN_BYTES = 32
_DIGEST_LETTERS = 64


class CentreTokens:
    """The tokens issued by the operator; reloads the file when it changes, without a restart."""

    def __init__(self, path: Path | None) -> None:
        """Without a path every token is unknown."""
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._digests: Mapping[str, str] = {}
        self._reload_if_changed()

    def find_centre(self, token: str) -> str:
        """Returns the code of the centre that holds the token, or an empty string for an unknown token."""
        self._reload_if_changed()
        token_digest = _digest(token)
        found = ""
        # Comparing every digest keeps the response time independent of which one matches.
        for digest, centre in self._digests.items():
            if hmac.compare_digest(digest, token_digest):
                found = centre
        return found

    def _reload_if_changed(self) -> None:
        stamp = _file_stamp(self._path)
        if stamp != self._stamp:
            self._stamp = stamp
            self._digests = _read_digests(self._path) if self._path and stamp else {}


def add_token(path: Path, centre: str) -> str:
    """Issues an additional token to a centre and returns it; the file stores only its digest.

    Raises NoTokenFile for a file that holds something else, such as the directory of public keys.
    """
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    path.parent.mkdir(parents=True, exist_ok=True)
    stored: dict[str, list[str]] = json.loads(path.read_text()) if path.exists() else {}
    digests = [digest for listed in stored.values() for digest in listed]
    if not all(isinstance(digest, str) and len(digest) == _DIGEST_LETTERS for digest in digests):
        msg = f"{path} holds something else than tokens of complaint centres; name another file"
        raise NoTokenFile(msg)
    stored.setdefault(centre, []).append(_digest(token))
    # An atomic replace, because intake may read the file at any moment.
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(stored, indent=1) + "\n")
    temporary.chmod(0o644)
    temporary.replace(path)
    return token


class NoTokenFile(Exception):
    """The file exists and holds no digests of tokens; the message names it."""


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()


def _file_stamp(path: Path | None) -> tuple[int, int, int] | None:
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
