"""A desk on a real database, without its broker."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI
from pyotp import TOTP
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from simpul_desk.access import Role
from simpul_desk.access.accounts import Accounts, Invitation
from simpul_desk.access.members import Members
from simpul_desk.access.passkeys import Passkeys
from simpul_desk.access.password_hashing import Passwords
from simpul_desk.access.sign_in import SignIn
from simpul_desk.access.transactions import Transactions
from simpul_desk.account_pages import Access, add_access
from simpul_dev.backends import Backends
from simpul_runtime.audit import AuditFilter, StoredEntry, find_entries
from simpul_runtime.database import create_engine, utc_now
from simpul_runtime.signing import Keys
from simpul_seal import Directory, generate
from tests.support.agreements import CITY
from tests.support.asgi_browser import AsgiBrowser
from tests.support.databases import create_migrated

RING, PUBLIC = generate("desk", not_before=utc_now() - timedelta(days=1), not_after=utc_now() + timedelta(days=1))
KEYS = Keys(RING, Directory([PUBLIC]))
PASSWORD = "tujuh burung gereja terbang"


@pytest.fixture(scope="module")
def desk_database(backends: Backends) -> str:
    """The address of a migrated database, shared by the tests of a file."""
    return asyncio.run(create_migrated(backends, "desk", f"desk_{uuid4().hex[:8]}"))


@dataclass
class Desk:
    """The desk's accounts and their pages."""

    database_url: str
    engine: AsyncEngine
    transactions: Transactions
    sign_in: SignIn
    accounts: Accounts
    members: Members
    web: FastAPI
    keys_of_people: dict[str, str] = field(default_factory=dict)
    """Login name -> the key in their authenticator."""
    changed: list[Callable[[UUID], None]] = field(default_factory=list)
    """Called for each account that changed."""

    def browser(self, address: str = "203.0.113.7") -> AsgiBrowser:
        """Returns a new browser."""
        return AsgiBrowser(self.web, address=address)

    async def invite(self, agency: str = "rs-rujukan", role: Role = Role.RESPONDER) -> tuple[str, str]:
        """Invites an invented person as an operator; returns their login name and the secret of their link."""
        login_name = f"rekaan-{uuid4().hex[:12]}"
        return login_name, await self.accounts.invite(
            Invitation("Wiji Rekaan", login_name, "en", agency, role), utc_now()
        )

    async def join(self, agency: str = "rs-rujukan", role: Role = Role.RESPONDER) -> tuple[str, AsgiBrowser]:
        """Invites a person who accepts; returns their login name and the browser in which they are signed in."""
        login_name, secret = await self.invite(agency, role)
        browser = self.browser()
        await browser.submit(f"/invitation/{secret}", {"password": PASSWORD})
        page = await browser.get("/login/authenticator")
        key = page.shown_text.partition("type this key instead: ")[2][:39].replace(" ", "")
        self.keys_of_people[login_name] = key
        await browser.submit("/login/authenticator", {"code": TOTP(key).now()})
        return login_name, browser

    async def account_of(self, login_name: str) -> UUID:
        """Returns the id of an account."""
        async with self.engine.connect() as connection:
            found = await connection.execute(
                text("SELECT account_id FROM account WHERE login_name = :name"), {"name": login_name}
            )
            account_id: UUID = found.scalar_one()
            return account_id

    async def renew_code(self, login_name: str) -> str:
        """Makes the code that is shown now good again, as if time had passed; returns it."""
        async with self.engine.begin() as connection:
            await connection.execute(
                text("UPDATE account SET totp_step = 0 WHERE login_name = :name"), {"name": login_name}
            )
        return TOTP(self.keys_of_people[login_name]).now()

    async def entries_about(self, account_id: UUID) -> Sequence[StoredEntry]:
        """Returns what the audit has about an account, the oldest first."""
        async with self.engine.connect() as connection:
            found = await find_entries(connection, AuditFilter(subject=f"account/{account_id}"), limit=200)
        return sorted(found.entries, key=lambda entry: entry.position)


@pytest.fixture
async def desk(desk_database: str) -> AsyncIterator[Desk]:
    """The desk's accounts on the file's database."""
    engine = create_engine(desk_database, connections=4)
    changed: list[Callable[[UUID], None]] = []

    def announce(account_id: UUID) -> None:
        for call in changed:
            call(account_id)

    transactions = Transactions(engine, announce)
    passwords = Passwords()
    accounts = Accounts(transactions, passwords)
    members = Members(transactions, accounts, CITY.agency_codes)
    web = FastAPI(openapi_url=None)
    sign_in = SignIn(transactions, KEYS, passwords)
    made = Desk(desk_database, engine, transactions, sign_in, accounts, members, web, changed=changed)
    add_access(web, Access(sign_in, accounts, members, Passkeys(transactions, accounts, sign_in)), CITY)
    yield made
    await engine.dispose()
