"""People of the desk in tests: signed in without a password, as HTTP clients or as browsers."""

import asyncio
import threading
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID, uuid4

import aiohttp
from sqlalchemy import insert

from simpul_desk.access.session import ABSOLUTE_LIMIT, form_token_of, hash_secret, new_secret
from simpul_desk.access.user import Role
from simpul_desk.access.web import FORM_FIELD, SESSION_COOKIE
from simpul_desk.tables import AccountRoleRow, AccountRow, SessionRow
from simpul_dev.local_city import LocalCity
from simpul_runtime.database import create_engine, utc_now

T = TypeVar("T")


@dataclass(frozen=True)
class SignedIn:
    """An invented person who is signed in at the desk."""

    user_id: UUID
    session_id: UUID
    secret: str

    @property
    def headers(self) -> dict[str, str]:
        """What an HTTP client sends; browsers get `cookie_for`."""
        return {"Cookie": f"{SESSION_COOKIE}={self.secret}", "Accept": "text/html"}

    @property
    def form(self) -> dict[str, str]:
        """The hidden field of every form."""
        return {FORM_FIELD: form_token_of(self.secret)}

    def cookie_for(self, url: str) -> Any:
        """Returns what Playwright's `context.add_cookies` takes, in a list."""
        return {
            "name": SESSION_COOKIE,
            "value": self.secret,
            "url": url.replace("http://", "https://"),
            "secure": True,
            "httpOnly": True,
            "sameSite": "Lax",
        }


async def sign_in(
    database_url: str,
    memberships: Mapping[str, Role] | None = None,
    *,
    city_roles: Mapping[Role, str] | None = None,
    name: str = "Wiji Rekaan",
    language: str = "en",
) -> SignedIn:
    """Creates an invented person with these roles, and signs them in.

    `memberships` maps agencies to roles, `city_roles` roles to agencies: `sign_in(city.database_url("desk"),
    {"rs-rujukan": Role.RESPONDER})`.
    """
    now, person = utc_now(), SignedIn(uuid4(), uuid4(), new_secret())
    account = {
        "account_id": person.user_id,
        "login_name": f"rekaan-{person.user_id.hex[:12]}",
        "name": name,
        "language": language,
        "created_at": now,
    }
    held = [*(memberships or {}).items(), *((agency, role) for role, agency in (city_roles or {}).items())]
    session = {
        "session_id": person.session_id,
        "secret_hash": hash_secret(person.secret),
        "account_id": person.user_id,
        "is_complete": True,
        "client": "test",
        "created_at": now,
        "last_seen_at": now,
        "expires_at": now + ABSOLUTE_LIMIT,
    }
    engine = create_engine(database_url, connections=1)
    async with engine.begin() as connection:
        await connection.execute(insert(AccountRow), [account])
        for agency, role in held:
            row = {"account_id": person.user_id, "agency": agency, "role": role.value, "granted_at": now}
            await connection.execute(insert(AccountRoleRow), [row])
        await connection.execute(insert(SessionRow), [session])
    await engine.dispose()
    return person


async def open_page(city: LocalCity, target: str = "/city", *, language: str = "id") -> str:
    """Opens a page of the desk as an invented coordinator; returns its HTML."""
    person = await sign_in(city.database_url("desk"), city_roles={Role.COORDINATOR: "uptd-ppa"}, language=language)
    async with (
        aiohttp.ClientSession(headers=person.headers, raise_for_status=True) as session,
        session.get(city.url("desk") + target, allow_redirects=False) as answer,
    ):
        assert answer.status == 200, f"{target} leads to {answer.headers['Location']}"
        return await answer.text()


def sign_in_browser(database_url: str, memberships: Mapping[str, Role] | None = None, **given: Any) -> SignedIn:
    """Does what `sign_in` does, for tests of Playwright, whose thread runs a loop already."""
    return run_aside(sign_in(database_url, memberships, **given))


def run_aside(work: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine for a test of Playwright, whose thread runs a loop already."""
    found: list[T] = []
    thread = threading.Thread(target=lambda: found.append(asyncio.run(work)))
    thread.start()
    thread.join()
    return found[0]
