"""Invented people who sign in at the desk of a demo; a city in production has none until an operator invites them."""

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pyotp import TOTP, random_base32

from simpul_agency.enrolment import write_secret
from simpul_cli.keys import directory_file, key_file
from simpul_desk.access import Role
from simpul_desk.access.accounts import Accounts, Invitation
from simpul_desk.access.password_hashing import Passwords
from simpul_desk.access.sign_in import SignIn
from simpul_desk.access.transactions import Transactions
from simpul_dev.local_city import LocalCity
from simpul_runtime.database import create_engine, utc_now
from simpul_runtime.signing import Keys
from simpul_seal import Directory, KeyRing

_FILE: Final = "desk-people.json"
_PASSWORD_PARTS: Final = ("angin", "bambu", "cemara", "delima", "embun", "fajar", "gunung", "hujan", "jendela")


@dataclass(frozen=True, slots=True)
class DemoPerson:
    """An invented person."""

    login_name: str
    name: str
    agency: str
    role: Role


PEOPLE: Final = (
    DemoPerson("dokter", "Larasati Rekaan", "rs-rujukan", Role.RESPONDER),
    DemoPerson("pimpinan", "Baskara Rekaan", "rs-rujukan", Role.AGENCY_LEAD),
    DemoPerson("koordinator", "Kinanti Rekaan", "uptd-ppa", Role.COORDINATOR),
    DemoPerson("pengelola", "Anindya Rekaan", "rs-rujukan", Role.CASE_MANAGER),
    DemoPerson("auditor", "Wiratama Rekaan", "uptd-ppa", Role.AUDITOR),
    DemoPerson("operator", "Pramudya Rekaan", "uptd-ppa", Role.OPERATOR),
    DemoPerson("satgas", "Sekar Rekaan", "satgas-kel-bandar-lor", Role.RESPONDER),
)


@dataclass(frozen=True, slots=True)
class DemoPeople:
    """The people, with the password and the authenticator key that they share."""

    people: Sequence[DemoPerson]
    password: str = field(repr=False)
    key: str = field(repr=False)


async def add_people(city: LocalCity) -> DemoPeople:
    """Adds the people to the desk's accounts, with a password and a key of this demo alone."""
    password = " ".join(secrets.SystemRandom().sample(_PASSWORD_PARTS, 4))
    added = DemoPeople(PEOPLE, password, random_base32())
    keys = Keys(KeyRing.read(key_file(city.keys, "desk")), Directory.read(directory_file(city.keys)))
    engine = create_engine(city.database_url("desk"), connections=2)
    transactions, passwords = Transactions(engine), Passwords()
    accounts, sign_in = Accounts(transactions, passwords), SignIn(transactions, keys, passwords)
    for person in PEOPLE:
        invitation = Invitation(person.name, person.login_name, "id", person.agency, person.role)
        link = await accounts.invite(invitation, utc_now())
        account_id = await accounts.set_password_by_link(link, added.password, utc_now())
        await sign_in.enrol_authenticator(account_id, added.key)
    await engine.dispose()
    write_secret(city.folder / _FILE, json.dumps({"key": added.key}))
    return added


def current_code(folder: Path) -> str:
    """Returns the code that the authenticator shows now; raises FileNotFoundError without a demo."""
    return TOTP(json.loads((folder / _FILE).read_text())["key"]).now()
