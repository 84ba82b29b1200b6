"""Lets people prove who they are at the city's own OpenID Connect provider instead of by a password."""

import secrets
from dataclasses import dataclass, field
from typing import Any, Final

from authlib.common.errors import AuthlibBaseError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from httpx2 import HTTPError
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

TIMEOUT: Final = 10.0
"""Seconds until the provider must have answered."""
_ALGORITHMS: Final = ["RS256", "PS256", "ES256", "EdDSA"]
"""Signatures that are taken; none that the client's secret could forge."""


class ProviderFailed(Exception):
    """The provider does not answer, or its answer does not belong to this login; sign in by password."""


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """The provider, and as what it knows the desk."""

    issuer: str
    name: str
    """As people know it."""
    client_id: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a browser keeps while its person is at the provider."""

    state: str
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)

    @classmethod
    def begin(cls) -> "Attempt":
        """Begins an attempt with new secrets."""
        return cls(*(secrets.token_urlsafe(32) for _ in range(3)))

    @classmethod
    def read(cls, cookie: str) -> "Attempt":
        """Reads what `write` wrote; raises ProviderFailed."""
        parts = cookie.split(".")
        if len(parts) != 3:
            raise ProviderFailed
        return cls(*parts)

    def write(self) -> str:
        """Writes it for a cookie."""
        return f"{self.state}.{self.nonce}.{self.verifier}"


class Provider:
    """An OpenID Connect provider."""

    def __init__(self, settings: ProviderSettings) -> None:
        self._settings = settings
        self.name = settings.name

    async def address_for(self, attempt: Attempt, callback: str) -> str:
        """Returns the provider's page to which a person is led; raises ProviderFailed."""
        async with self._client(callback) as client:
            known = await self._discover(client)
            address, _ = client.create_authorization_url(
                known["authorization_endpoint"],
                state=attempt.state,
                nonce=attempt.nonce,
                code_verifier=attempt.verifier,
            )
        return str(address)

    async def find_subject(self, attempt: Attempt, callback: str, answer: str) -> str:
        """Returns by what the provider knows the person who came back to `answer`; raises ProviderFailed."""
        async with self._client(callback) as client:
            known = await self._discover(client)
            try:
                token = await client.fetch_token(
                    known["token_endpoint"],
                    authorization_response=answer,
                    state=attempt.state,
                    code_verifier=attempt.verifier,
                )
                keys = (await client.request("GET", known["jwks_uri"], withhold_token=True)).json()
                claims = jwt.decode(token["id_token"], KeySet.import_key_set(keys), algorithms=_ALGORITHMS).claims
                self._check(claims, attempt)
            except (AuthlibBaseError, HTTPError, JoseError, KeyError, TypeError, ValueError) as error:
                raise ProviderFailed from error
        return str(claims["sub"])

    def _check(self, claims: dict[str, Any], attempt: Attempt) -> None:
        jwt.JWTClaimsRegistry(
            iss={"essential": True, "value": self._settings.issuer},
            aud={"essential": True, "value": self._settings.client_id},
            nonce={"essential": True, "value": attempt.nonce},
            sub={"essential": True},
            exp={"essential": True},
        ).validate(claims)

    async def _discover(self, client: AsyncOAuth2Client) -> dict[str, Any]:
        address = self._settings.issuer.rstrip("/") + "/.well-known/openid-configuration"
        try:
            answer = await client.request("GET", address, withhold_token=True)
            answer.raise_for_status()
            found: dict[str, Any] = answer.json()
        except (HTTPError, ValueError) as error:
            raise ProviderFailed from error
        # Another provider's description would let it speak for this one.
        if found.get("issuer") != self._settings.issuer:
            raise ProviderFailed
        return found

    def _client(self, callback: str) -> AsyncOAuth2Client:
        return AsyncOAuth2Client(
            client_id=self._settings.client_id,
            client_secret=self._settings.client_secret,
            redirect_uri=callback,
            scope="openid",
            code_challenge_method="S256",
            timeout=TIMEOUT,
        )
