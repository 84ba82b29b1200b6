"""The pages on which people sign in and look after accounts."""

from dataclasses import dataclass

from fastapi import FastAPI

from simpul_city import City
from simpul_desk.access.accounts import Accounts
from simpul_desk.access.members import Members
from simpul_desk.access.passkeys import Passkeys
from simpul_desk.access.provider import Provider
from simpul_desk.access.sign_in import SignIn
from simpul_desk.access.web import add_access_errors
from simpul_desk.account_pages.account import add_account_pages
from simpul_desk.account_pages.links import add_link_pages
from simpul_desk.account_pages.login import add_login_pages
from simpul_desk.account_pages.members import add_member_pages
from simpul_desk.account_pages.provider import add_provider_pages
from simpul_desk.account_pages.refusals import render_refusal
from simpul_desk.account_pages.ways_in import add_ways_in_pages

__all__ = ["Access", "add_access"]


@dataclass(frozen=True)
class Access:
    """What the pages about accounts use."""

    sign_in: SignIn
    accounts: Accounts
    members: Members
    passkeys: Passkeys
    provider: Provider | None = None
    """The city's OpenID Connect provider; None without one."""


def add_access(web: FastAPI, access: Access, city: City) -> None:
    """Lets routes ask who is signed in, and registers the pages about accounts."""
    sign_in, accounts = access.sign_in, access.accounts
    web.state.find_user = sign_in.find_user
    web.state.recall_user = sign_in.recall_user
    add_access_errors(web, render_refusal)
    add_login_pages(web, sign_in, access.passkeys, access.provider.name if access.provider else "")
    add_link_pages(web, sign_in, accounts, city)
    add_account_pages(web, accounts, city)
    add_member_pages(web, access.members, city)
    add_ways_in_pages(web, sign_in, accounts, access.passkeys, access.provider, city)
    if access.provider:
        add_provider_pages(web, sign_in, accounts, access.provider)
