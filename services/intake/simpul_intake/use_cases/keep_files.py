"""Keeps the files of reporting people in the vault, and hands them sealed to the agencies that hold the chronology."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from hashlib import sha256
from typing import Final
from uuid import UUID, uuid4

from simpul_intake import audit, repository
from simpul_intake.domain import Progress
from simpul_intake.errors import FileNotReleased, ReportClosed
from simpul_intake.received_files import MAX_FILES, FileProblem, FileRefused, ReceivedFile, UploadedFile, read_files
from simpul_intake.repository import NewFile, ReportOfCase
from simpul_intake.use_cases.check_receipts import CheckReceipts
from simpul_intake.use_cases.find_accusations import FindAccusations
from simpul_intake.use_cases.vault_secrets import VaultSecrets
from simpul_intake.vault import Secrets, Vault, WrappedKey, case_key_context
from simpul_runtime.database import utc_now
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction, Transactions
from simpul_schema.envelope import SealedSection
from simpul_schema.file_requests import FILE_REQUEST_DOMAIN, FILE_SECTION, FileRequest, SealedFile
from simpul_schema.messages.dossier import DossierFile
from simpul_schema.vocabulary import DossierSection
from simpul_seal import SealError, verify

SECTION: Final = DossierSection.NARRATIVE
"""The section that lists the files: they are part of what the reporting person reports."""
REQUEST_LIFETIME: Final = timedelta(minutes=5)
"""How far the time of a request may be from now."""
_REVISION: Final = 1
"""A file is never changed."""


class KeepFiles:
    """Photos and documents, encrypted under the data keys of their cases."""

    def __init__(
        self,
        transactions: Transactions,
        vault: Vault,
        secrets: VaultSecrets,
        keys: Keys,
        receipts: CheckReceipts,
        accusations: FindAccusations,
        request_release: Callable[[], None],
    ) -> None:
        """`request_release` has the agencies learn of new files."""
        self._accusations = accusations
        self._transactions = transactions
        self._vault = vault
        self._secrets = secrets
        self._keys = keys
        self._request_release = request_release
        self._receipts = receipts
        # One at a time: a photo takes up to 240 MB of memory while it is decoded.
        self._reading = asyncio.Lock()

    async def add_files(self, case_id: UUID, receipt: str, uploaded: Sequence[UploadedFile]) -> None:
        """Stores files for the holder of the receipt: all of them or none; one that is stored already stays one.

        Raises ReceiptUnknown, ReportClosed and FileRefused.
        """
        secrets = await self._secrets.load()
        async with self._transactions.begin() as transaction:
            await self._require_open(transaction, case_id, receipt, secrets)
        async with self._reading:
            received = await asyncio.to_thread(read_files, list(uploaded))
        async with self._transactions.begin() as transaction:
            # Locked, so that no key is replaced between reading it and storing what it encrypts.
            await repository.lock_case_keys(transaction.connection, [case_id])
            found = await self._require_open(transaction, case_id, receipt, secrets)
            known = await repository.list_file_digests(transaction, case_id)
            new = {digest: one for one in received if (digest := _digest(case_id, one, secrets)) not in known}
            if len(known) + len(new) > MAX_FILES:
                raise FileRefused(FileProblem.TOO_MANY)
            if not new:
                return
            key = await self._unwrap_key(case_id, found.key_id, found.wrapped)
            files = [self._encrypt(case_id, key, digest, one) for digest, one in new.items()]
            await repository.add_files(transaction, case_id, files)
            transaction.record(audit.files_stored(case_id, len(files)))
            await repository.mark_disclosures_due(transaction.connection, case_id, transaction.now)
            transaction.after_commit.append(self._request_release)

    async def read_file(self, body: bytes, signature: str) -> SealedFile:
        """Seals a file to the agency that signed the request; raises FileNotReleased for whatever it may not read."""
        request = self._verify(body, signature)
        async with self._transactions.begin() as transaction:
            found = await repository.find_released_file(
                transaction, request.referral_id, request.agency, SECTION.value, request.file_id
            )
            if found is None:
                raise FileNotReleased
            key = await self._unwrap_key(found.case_id, found.key_id, found.wrapped)
            content = self._vault.decrypt_bytes(key, found.ciphertext, found.case_id, _name(request.file_id), _REVISION)
            transaction.record(audit.file_read(found.case_id, request.agency, request.file_id))
            sealed = self._keys.seal_section(
                content,
                recipient=request.agency,
                event_id=request.file_id,
                case_id=found.referred_case_id,
                section=FILE_SECTION,
                now=transaction.now,
            )
        return SealedFile(sealed=SealedSection.model_validate(sealed))

    def _verify(self, body: bytes, signature: str) -> FileRequest:
        now = utc_now()
        try:
            party = verify(body, signature, self._keys.directory, now, domain=FILE_REQUEST_DOMAIN)
            request = FileRequest.read_json(body)
        except (SealError, ValueError) as error:
            raise FileNotReleased from error
        if request.agency != party or abs(now - request.requested_at) > REQUEST_LIFETIME:
            raise FileNotReleased
        return request

    async def _require_open(
        self, transaction: Transaction, case_id: UUID, receipt: str, secrets: Secrets
    ) -> ReportOfCase:
        """Finds the report of a case that is open, as far as the holder of its receipt may know."""
        found = await self._receipts.find_report(transaction, case_id, receipt, secrets)
        progress, _ = await self._accusations.find_progress(transaction, case_id)
        if progress is Progress.CLOSED:
            raise ReportClosed
        return found

    async def _unwrap_key(self, case_id: UUID, key_id: str, wrapped: bytes) -> bytes:
        return await self._vault.unwrap(WrappedKey(key_id, wrapped, case_key_context(case_id)))

    def _encrypt(self, case_id: UUID, key: bytes, digest: bytes, received: ReceivedFile) -> NewFile:
        file_id = uuid4()
        description = {
            "name": received.name,
            "media_type": received.media_type,
            "size": len(received.content),
            "digest": sha256(received.content).hexdigest(),
        }
        return NewFile(
            file_id,
            digest,
            self._vault.encrypt_section(key, case_id, _description_name(file_id), _REVISION, description),
            self._vault.encrypt_bytes(key, received.content, case_id, _name(file_id), _REVISION),
        )


async def describe_files(transaction: Transaction, vault: Vault, keys: Mapping[UUID, bytes]) -> tuple[DossierFile, ...]:
    """Describes the files of cases whose data keys are given, the oldest first, as the dossier lists them."""
    return tuple(
        DossierFile(
            file_id=one.file_id,
            received_at=one.stored_at,
            **vault.decrypt_section(
                keys[one.case_id], one.description, one.case_id, _description_name(one.file_id), _REVISION
            ),
        )
        for one in await repository.list_files(transaction, list(keys))
    )


def encrypt_files_again(
    vault: Vault, case_id: UUID, files: Iterable[repository.EncryptedFile], old_key: bytes, new_key: bytes
) -> list[repository.EncryptedFile]:
    """Encrypts files under another data key of their case."""
    again = []
    for one in files:
        name, described = _name(one.file_id), _description_name(one.file_id)
        description = vault.decrypt_section(old_key, one.description, case_id, described, _REVISION)
        content = vault.decrypt_bytes(old_key, one.ciphertext, case_id, name, _REVISION)
        again.append(
            repository.EncryptedFile(
                one.file_id,
                vault.encrypt_section(new_key, case_id, described, _REVISION, description),
                vault.encrypt_bytes(new_key, content, case_id, name, _REVISION),
            )
        )
    return again


def _digest(case_id: UUID, received: ReceivedFile, secrets: Secrets) -> bytes:
    return secrets.compute_mac(f"file|{case_id}|".encode() + received.content)


def _name(file_id: UUID) -> str:
    """Returns what the content of a file is encrypted as, like a section of its case."""
    return f"file/{file_id}"


def _description_name(file_id: UUID) -> str:
    return f"file-description/{file_id}"
