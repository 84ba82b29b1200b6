"""Calls routing's API with a token; every failure is one sentence that says what to do."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp
from yarl import URL

from simpul_routing.api.authentication import AUDIENCE
from simpul_routing.operator_tokens import Token, TokenFileInvalid
from simpul_runtime.assertions import HttpRequest, assert_actor
from simpul_runtime.database import utc_now
from simpul_schema.translations import SOURCE_LANGUAGE, gettext_noop, load_translations

_TIMEOUT: Final = aiohttp.ClientTimeout(total=30)
_PACKAGE: Final = "simpul_cli"
_NO_TOKEN: Final = gettext_noop("{path} does not exist; name the file of your token with --token, or ask for one.")
_UNREADABLE: Final = gettext_noop("{path} cannot be read as a token; name the file that `simpul token issue` wrote.")
_OPEN_TO_OTHERS: Final = gettext_noop("Others can read {path}; run `chmod 600 {path}`, or have the token revoked.")
_ENDED: Final = gettext_noop("The token ended on {day}; ask the operator for a new one.")
_NO_ANSWER: Final = gettext_noop("Routing at {url} does not answer; check the address (--url) and whether it runs.")
_NO_API: Final = gettext_noop("What answers at {url} is not routing's API; check the address (--url).")
_FIELDS: Final[Mapping[str, str]] = {
    "agency": gettext_noop("Agency"),
    "service": gettext_noop("Service"),
    "reason": gettext_noop("Reason"),
    "settles": gettext_noop("What it settles"),
    "case_id": gettext_noop("Case"),
    "after": gettext_noop("Cursor"),
}
"""Field of the API -> its name for people."""


class CallFailed(Exception):
    """A call that was not answered as wanted; the message is for the person, in their language."""


class RoleNotPermitted(CallFailed):
    """The role of the token does not permit the call."""


class ServiceUnavailable(CallFailed):
    """Routing does not answer."""


class RoutingClient:
    """Routing's API for one person; the texts of errors are in `language`."""

    def __init__(self, url: str, token_file: Path, language: str) -> None:
        """Raises CallFailed for a token that cannot be used."""
        self._url = URL(url)
        self._language = language
        self._token = self._read_token(token_file)

    def get(self, path: str, **query: str | int | None) -> Any:
        """Reads what routing answers to a path. Raises CallFailed."""
        return self.call("GET", path, query={name: value for name, value in query.items() if value not in (None, "")})

    def get_if_permitted(self, path: str, **query: str | int | None) -> Any:
        """Reads what routing answers to a path; None if the role of the token does not permit it."""
        try:
            return self.get(path, **query)
        except RoleNotPermitted:
            return None

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, Any] | None = None,
        version: str = "",
    ) -> Any:
        """Calls routing; `version` is the ETag of the case that a change is based on. Raises CallFailed."""
        address = (self._url / path.lstrip("/")).with_query(dict(query or {}))
        content = b"" if body is None else json.dumps(body).encode()
        return asyncio.run(self._send(method, address, content, version))

    def change_case(self, method: str, case: Mapping[str, Any], path: str, body: Mapping[str, Any]) -> Any:
        """Changes a case, if nobody has changed it since it was read. Raises CallFailed."""
        return self.call(method, f"/cases/{case['case_id']}{path}", body, version=case["version"])

    async def _send(self, method: str, address: URL, content: bytes, version: str) -> Any:
        headers = {"Authorization": self._sign(method, address, content), "Content-Type": "application/json"}
        if version:
            headers["If-Match"] = version
        try:
            async with (
                aiohttp.ClientSession(timeout=_TIMEOUT) as session,
                session.request(method, address, data=content, headers=headers) as answer,
            ):
                text = await answer.text()
                etag = answer.headers.get("ETag", "")
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise ServiceUnavailable(self._say(_NO_ANSWER, url=self._url)) from error
        found = self._read_answer(text)
        if not answer.ok:
            is_role = isinstance(found, dict) and found.get("code") == "role_not_permitted"
            raise (RoleNotPermitted if is_role else CallFailed)(self._describe(found))
        return found | {"version": etag} if etag else found

    def _sign(self, method: str, address: URL, content: bytes) -> str:
        actor = self._token.actor
        return assert_actor(
            HttpRequest(method, address.raw_path_qs, content),
            self._token.ring,
            utc_now(),
            audience=AUDIENCE,
            person=actor.person,
            agency=actor.agency,
            role=actor.role,
        )

    def _read_answer(self, text: str) -> Any:
        try:
            return json.loads(text) if text else {}
        except ValueError as error:
            raise CallFailed(self._say(_NO_API, url=self._url)) from error

    def _describe(self, failure: Any) -> str:
        """Returns the sentences of a refusal in the person's language."""
        if not isinstance(failure, dict) or "messages" not in failure:
            return self._say(_NO_API, url=self._url)
        problems = [self._describe_problem(problem) for problem in failure.get("problems", ())]
        return "\n".join([failure["messages"][self._language], *problems])

    def _describe_problem(self, problem: Mapping[str, Any]) -> str:
        """Returns what is wrong with a field, by the name that people know, never by its path."""
        name = next((part for part in reversed(problem["field"].split(".")) if part in _FIELDS), "")
        message = str(problem["messages"][self._language])
        return f"{self._say(_FIELDS[name])}: {message}" if name else message

    def _read_token(self, path: Path) -> Token:
        if not path.exists():
            raise CallFailed(self._say(_NO_TOKEN, path=path))
        try:
            token = Token.read(path)
        except (TokenFileInvalid, OSError) as error:
            raise CallFailed(self._say(_UNREADABLE, path=path)) from error
        if path.stat().st_mode & 0o077:
            raise CallFailed(self._say(_OPEN_TO_OTHERS, path=path))
        if token.expires_at <= utc_now():
            raise CallFailed(self._say(_ENDED, day=f"{token.expires_at:%Y-%m-%d}"))
        return token

    def _say(self, message: str, **values: object) -> str:
        texts = load_translations(_PACKAGE)
        return texts[self._language if self._language in texts else SOURCE_LANGUAGE].gettext(message).format(**values)
