"""Bearer tokens of complaint centres; the file stores digests only, so reading it does not give a usable token."""

import hmac
import json
import os
import re
import secrets
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from hashlib import sha256
from pathlib import Path
from typing import Final

import structlog

log = structlog.get_logger()

_TOKEN_BYTES: Final = 32
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_ID_LETTERS: Final = 8


class TokenFileInvalid(Exception):
    """The file holds something else than digests of tokens; the message names it."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is not a file of complaint centres' tokens; name another file")


class TokenNotFound(Exception):
    """The centre has no such token; the message says how to list them."""


class CentreTokens:
    """The tokens issued by the operator; reloads the file when it changes, without a restart."""

    def __init__(self, path: Path | None, centres: AbstractSet[str]) -> None:
        """Without a path every token is unknown; a token of a centre that is not in `centres` is, too."""
        self._path = path
        self._centres = centres
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
        if stamp == self._stamp:
            return
        self._stamp = stamp
        stored = _read_digests(self._path) if self._path and stamp else {}
        for centre in sorted(stored.keys() - self._centres):
            log.warning("centre_tokens_ignored", party=centre)
        self._digests = {
            digest: centre for centre, digests in stored.items() if centre in self._centres for digest in digests
        }


def add_token(path: Path, centre: str) -> str:
    """Issues an additional token to a centre and returns it; the file stores only its digest.

    Raises TokenFileInvalid.
    """
    stored = _read_digests(path) if path.exists() else {}
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    path.parent.mkdir(parents=True, exist_ok=True)
    _replace_file(path, {**stored, centre: [*stored.get(centre, ()), _digest(token)]})
    return token


def list_tokens(path: Path) -> list[tuple[str, str]]:
    """Returns the centre and the id of every token; a missing file holds none. Raises TokenFileInvalid."""
    stored = _read_digests(path) if path.exists() else {}
    return [(centre, digest[:_ID_LETTERS]) for centre in sorted(stored) for digest in stored[centre]]


def revoke_tokens(path: Path, centre: str, identifier: str) -> int:
    """Removes a centre's token by its id, or all for `all`; returns how many.

    Raises TokenFileInvalid and TokenNotFound.
    """
    stored = _read_digests(path) if path.exists() else {}
    tokens = stored.get(centre, [])
    kept = [] if identifier == "all" else [digest for digest in tokens if digest[:_ID_LETTERS] != identifier]
    if len(kept) == len(tokens):
        msg = f"{centre} has no token {identifier} in {path}; `simpul centre list-tokens` shows every token"
        raise TokenNotFound(msg)
    _replace_file(path, {name: digests for name, digests in {**stored, centre: kept}.items() if digests})
    return len(tokens) - len(kept)


def token_id(token: str) -> str:
    """Returns the id by which a token is listed and revoked."""
    return _digest(token)[:_ID_LETTERS]


def _replace_file(path: Path, stored: Mapping[str, list[str]]) -> None:
    # An atomic replace, because intake may read the file at any moment.
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(stored, indent=1) + "\n")
    temporary.chmod(0o644)
    temporary.replace(path)


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


def _read_digests(path: Path) -> dict[str, list[str]]:
    """Reads the digests of each centre's tokens."""
    try:
        stored = json.loads(path.read_text())
        is_valid = all(_DIGEST.fullmatch(digest) for digests in stored.values() for digest in digests)
    except (AttributeError, TypeError, ValueError) as error:
        raise TokenFileInvalid(path) from error
    if not is_valid:
        raise TokenFileInvalid(path)
    return dict(stored)
