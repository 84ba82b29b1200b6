"""Tokens with which people use routing's API by the command `simpul`, each bound to a person, an agency and a role.

A token is a key pair. The person keeps the private half; routing reads a file of public halves, which holds nothing
secret.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from simpul_routing.domain.actors import Actor
from simpul_schema.vocabulary import ActorRole
from simpul_seal import Directory, KeyRing, PublicKeys, generate

_PARTY: Final = "token"
_ID_LETTERS: Final = 8


class TokenFileInvalid(Exception):
    """The file holds something else than tokens; the message names it."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is not a file of tokens; name another file")


class TokenNotFound(Exception):
    """The file has no such token; the message says how to list them."""


@dataclass(frozen=True, slots=True)
class EnrolledToken:
    """The public half of a token."""

    actor: Actor
    keys: PublicKeys

    @property
    def token_id(self) -> str:
        """The id by which it is listed and revoked."""
        return _shorten(self.keys.keyid)


@dataclass(frozen=True, slots=True)
class Token:
    """The private half of a token, as its person keeps it."""

    actor: Actor
    ring: KeyRing
    expires_at: datetime

    @property
    def token_id(self) -> str:
        """The id by which it is listed and revoked."""
        return _shorten(self.ring.keyid)

    @classmethod
    def read(cls, path: Path) -> "Token":
        """Reads a token that `write` wrote. Raises TokenFileInvalid."""
        try:
            stored = json.loads(path.read_text())
            ring = KeyRing.from_json(stored["ring"])
            return cls(_read_actor(stored), ring, datetime.fromisoformat(stored["expires_at"]))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise TokenFileInvalid(path) from error

    def write(self, path: Path) -> None:
        """Writes the token to a new file that only its owner can read; raises FileExistsError."""
        stored = _actor_out(self.actor) | {"expires_at": self.expires_at.isoformat(), "ring": self.ring.to_json()}
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(stored, file)


class EnrolledTokens:
    """The tokens that routing accepts; reloads the file when it changes, without a restart."""

    def __init__(self, path: Path | None) -> None:
        """Without a path every token is unknown."""
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._tokens: dict[str, EnrolledToken] = {}

    def find(self, keyid: str) -> EnrolledToken | None:
        """Finds a token by its key id; None if it is unknown. An unreadable file holds no token."""
        stamp = _file_stamp(self._path)
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                tokens = list_tokens(self._path) if self._path else ()
            except TokenFileInvalid:
                tokens = ()
            self._tokens = {token.keys.keyid: token for token in tokens}
        return self._tokens.get(keyid)


def issue_token(path: Path, actor: Actor, now: datetime, valid_for: timedelta) -> Token:
    """Issues a token to a person and enrols its public half. Raises TokenFileInvalid."""
    enrolled = list_tokens(path)
    ring, public = generate(_PARTY, not_before=now, not_after=now + valid_for)
    path.parent.mkdir(parents=True, exist_ok=True)
    _replace_file(path, [*enrolled, EnrolledToken(actor, public)])
    return Token(actor, ring, public.not_after)


def list_tokens(path: Path) -> Sequence[EnrolledToken]:
    """Lists the enrolled tokens; a missing file holds none. Raises TokenFileInvalid."""
    if not path.exists():
        return ()
    try:
        stored = json.loads(path.read_text())["tokens"]
        return [EnrolledToken(_read_actor(entry), PublicKeys.from_json(entry["key"])) for entry in stored]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise TokenFileInvalid(path) from error


def revoke_token(path: Path, token_id: str) -> EnrolledToken:
    """Removes a token by its id. Raises TokenFileInvalid and TokenNotFound."""
    enrolled = list_tokens(path)
    found = [token for token in enrolled if token.token_id == token_id]
    if not found:
        msg = f"{path} has no token {token_id}; `simpul token list` shows every token"
        raise TokenNotFound(msg)
    _replace_file(path, [token for token in enrolled if token.token_id != token_id])
    return found[0]


def directory_of(token: EnrolledToken) -> Directory:
    """Returns a directory with the key of one token alone."""
    return Directory([token.keys])


def _shorten(keyid: str) -> str:
    return keyid.removeprefix(f"{_PARTY}.")[:_ID_LETTERS]


def _read_actor(stored: dict[str, Any]) -> Actor:
    return Actor(UUID(stored["person"]), stored["agency"], ActorRole(stored["role"]))


def _actor_out(actor: Actor) -> dict[str, Any]:
    return {"person": actor.code, "agency": actor.agency, "role": actor.role.value}


def _replace_file(path: Path, tokens: Sequence[EnrolledToken]) -> None:
    # An atomic replace, because routing may read the file at any moment.
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    stored = {"tokens": [_actor_out(token.actor) | {"key": token.keys.to_json()} for token in tokens]}
    temporary.write_text(json.dumps(stored, indent=1) + "\n")
    temporary.chmod(0o644)
    temporary.replace(path)


def _file_stamp(path: Path | None) -> tuple[int, int, int] | None:
    if path is None:
        return None
    try:
        state = path.stat()
    except FileNotFoundError:
        return None
    return state.st_mtime_ns, state.st_ino, state.st_size
