"""Master keys in the transit engine of OpenBao or HashiCorp Vault; they never leave the server.

The id of a master key names the engine, the key and its version, such as `transit/simpul:v3`. Every rotation in the key
service makes a version, and older versions unwrap until an operator deletes them in the key service.
"""

import asyncio
import ssl
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from simpul_intake.vault.errors import DecryptionFailed, KeyServiceUnavailable, MasterKeyMissing
from simpul_intake.vault.wrapping import KeyToWrap, WrappedKey

REQUEST_TIMEOUT: Final = timedelta(seconds=5)
VERSION_LIFETIME: Final = timedelta(seconds=30)
"""How long the versions of the key are remembered before the server is asked again."""
_CIPHERTEXT_PREFIX: Final = "vault:"
"""How the engine starts every ciphertext; the version follows."""


@dataclass(frozen=True, slots=True)
class TransitServer:
    """Where the key service is, and how intake proves itself."""

    url: str
    token_file: Path
    """Read for every request, because an agent may renew the token."""
    key: str
    mount: str = "transit"
    ca_file: Path | None = None


@dataclass(frozen=True, slots=True)
class _Versions:
    latest: int
    oldest: int
    """The oldest version that still decrypts."""


class TransitKeys:
    """Wraps and unwraps keys by HTTP, in batches."""

    is_remote = True

    def __init__(self, server: TransitServer) -> None:
        self._server = server
        self._tls = ssl.create_default_context(cafile=server.ca_file)
        self._versions = _Versions(0, 0)
        self._loaded_at = float("-inf")

    async def current_key_id(self) -> str:
        """Returns the id of the key's latest version."""
        return self._key_id(f"v{(await self._load_versions()).latest}")

    async def holds(self, key_id: str) -> bool:
        """Returns whether the server still unwraps with this version."""
        if not key_id.startswith(self._key_id("v")):
            return False
        version = int(key_id.rpartition(":v")[2])
        versions = await self._load_versions()
        if version > versions.latest:
            # Another process of intake has seen a rotation that this one has not.
            versions = await self._load_versions(at_once=True)
        return versions.oldest <= version <= versions.latest

    async def wrap(self, keys: Sequence[KeyToWrap]) -> list[WrappedKey]:
        """Wraps keys under the latest version."""
        results = await self._request_batch(
            "encrypt",
            [{"plaintext": _to_text(key.key), "associated_data": _to_text(key.associated_data)} for key in keys],
        )
        return [
            self._wrapped(result["ciphertext"], key.associated_data) for result, key in zip(results, keys, strict=True)
        ]

    async def unwrap(self, wrapped: Sequence[WrappedKey]) -> list[bytes]:
        """Unwraps keys; raises MasterKeyMissing for a version that the server has forgotten, and DecryptionFailed."""
        for key_id in {one.key_id for one in wrapped}:
            if not await self.holds(key_id):
                msg = f"the key service at {self._server.url} no longer has master key {key_id}"
                raise MasterKeyMissing(msg)
        results = await self._request_batch(
            "decrypt",
            [
                {"ciphertext": self._ciphertext(one), "associated_data": _to_text(one.associated_data)}
                for one in wrapped
            ],
        )
        return [b64decode(result["plaintext"]) for result in results]

    def _key_id(self, version: str) -> str:
        return f"{self._server.mount}/{self._server.key}:{version}"

    def _wrapped(self, ciphertext: str, associated_data: bytes) -> WrappedKey:
        version, _, encoded = ciphertext.removeprefix(_CIPHERTEXT_PREFIX).partition(":")
        # The key may have been rotated since the versions were loaded.
        self._versions = replace(self._versions, latest=max(self._versions.latest, int(version[1:])))
        return WrappedKey(self._key_id(version), b64decode(encoded), associated_data)

    def _ciphertext(self, wrapped: WrappedKey) -> str:
        version = wrapped.key_id.rpartition(":")[2]
        return f"{_CIPHERTEXT_PREFIX}{version}:{_to_text(wrapped.ciphertext)}"

    async def _load_versions(self, *, at_once: bool = False) -> _Versions:
        now = asyncio.get_running_loop().time()
        if at_once or now - self._loaded_at >= VERSION_LIFETIME.total_seconds():
            data = await self._request("GET", f"keys/{self._server.key}")
            self._versions = _Versions(data["latest_version"], max(data["min_decryption_version"], 1))
            self._loaded_at = now
        return self._versions

    async def _request_batch(self, operation: str, items: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
        if not items:
            return []
        data = await self._request("POST", f"{operation}/{self._server.key}", {"batch_input": items})
        results: list[dict[str, str]] = data["batch_results"]
        if any(result.get("error") for result in results):
            # The server's own words are left out: they may repeat what was sent.
            msg = f"the key service refuses to {operation} a key; it was moved or altered"
            raise DecryptionFailed(msg)
        return results

    async def _request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        # Imported here, because a city without a key service needs no HTTP client, which takes 6 MB.
        import aiohttp  # noqa: PLC0415 - as above

        address = f"{self._server.url.rstrip('/')}/v1/{self._server.mount}/{path}"
        try:
            token = await asyncio.to_thread(self._server.token_file.read_text)
            timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT.total_seconds())
            async with (
                aiohttp.ClientSession(timeout=timeout, headers={"X-Vault-Token": token.strip()}) as session,
                session.request(method, address, json=body, ssl=self._tls) as response,
            ):
                return self._read_answer(response.status, await response.json(content_type=None))
        except (OSError, TimeoutError, ValueError, aiohttp.ClientError) as error:
            if isinstance(error, KeyServiceUnavailable):
                raise
            msg = f"the key service at {self._server.url} cannot be used ({type(error).__name__})"
            raise KeyServiceUnavailable(msg) from error

    def _read_answer(self, status: int, answer: Any) -> dict[str, Any]:
        data: dict[str, Any] = (answer or {}).get("data") or {}
        # A batch with a refused item is answered with 400 and has results all the same.
        if status == HTTPStatus.OK or "batch_results" in data:
            return data
        if status == HTTPStatus.FORBIDDEN:
            reason = f"refuses the token in {self._server.token_file}, or its policy lacks a right"
        elif status == HTTPStatus.SERVICE_UNAVAILABLE:
            reason = "is sealed"
        elif status in (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND):
            reason = f"has no key {self._server.mount}/{self._server.key} that encrypts with associated data"
        else:
            reason = f"answers with status {status}"
        msg = f"the key service at {self._server.url} {reason}"
        raise KeyServiceUnavailable(msg)


def _to_text(raw: bytes) -> str:
    return b64encode(raw).decode()
