"""Which version decides: proven, signed by its parties, and active from an instant. Anything else is refused."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Final

import structlog

from simpul_agreement.engine import Engines
from simpul_agreement.errors import AgreementMissing
from simpul_agreement.findings import AgreementInvalid
from simpul_agreement.model import KECAMATAN_OF_RESIDENCE, SATGAS_OF_RESIDENCE, Agreement
from simpul_agreement.proof import PROOF_FILE, Proof, digest_of
from simpul_agreement.reading import AGREEMENT_FILE, read_agreement
from simpul_city import City
from simpul_seal import Directory, KeyRing, SealError, sign, verify

SIGNATURES_FOLDER: Final = "signatures"
LOOK: Final = 10.0
"""Seconds between looks for a new version."""

log = structlog.get_logger()


class State(StrEnum):
    """The life of a version."""

    DRAFT = "draft"
    PROVEN = "proven"
    SIGNED = "signed"
    ACTIVE = "active"


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a version has come, and what it lacks for the next step."""

    state: State
    lacking: tuple[str, ...] = ()


def signatories(agreement: Agreement, city: City) -> list[str]:
    """The agencies whose signature the agreement needs; of a kind with many, each of them."""
    codes: list[str] = []
    for party in (party for party in agreement.parties if party.signs):
        if party.code == SATGAS_OF_RESIDENCE:
            codes += [ward.satgas for ward in city.kelurahan]
        elif party.code == KECAMATAN_OF_RESIDENCE:
            codes += dict.fromkeys(ward.satgas_kecamatan for ward in city.kelurahan)
        else:
            codes.append(party.code)
    return codes


def sign_version(folder: Path, ring: KeyRing, now: datetime) -> Path:
    """Put a party's signature beside the agreement; it covers the text as it stands now."""
    text = {
        "version": folder.name, "digest": digest_of(folder), "proof": _digest_of_proof(folder), "party": ring.party,
        "signed_at": now.isoformat(),
    }  # fmt: skip
    path = folder / SIGNATURES_FOLDER / f"{ring.party}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(sign(text, ring))
    return path


def standing_of(folder: Path, agreement: Agreement, city: City, directory: Directory, now: datetime) -> Standing:
    """How far a version has come."""
    digest = digest_of(folder)
    proof = Proof.read(folder)
    if proof is None or not proof.is_of(agreement, digest):
        lacking = "no proof" if proof is None else "the proof is of another text, or of fewer properties than today's"
        return Standing(State.DRAFT, (f"{lacking}; run `simpul agreement check {folder}`",))
    missing = [code for code in signatories(agreement, city) if not _has_signed(folder, code, digest, directory)]
    if missing:
        return Standing(State.PROVEN, tuple(f"signature of {code}" for code in missing))
    if now < agreement.active_from:
        return Standing(State.SIGNED, (f"active from {agreement.active_from:%Y-%m-%d %H:%M %z}",))
    return Standing(State.ACTIVE)


def _has_signed(folder: Path, party: str, digest: str, directory: Directory) -> bool:
    """A key that has been replaced since then still vouches for what it signed while it was valid."""
    try:
        signed = json.loads((folder / SIGNATURES_FOLDER / f"{party}.json").read_bytes())
        signer = verify(signed, directory, datetime.fromisoformat(signed["signed_at"]))
        return signer == party and signed["digest"] == digest and signed["proof"] == _digest_of_proof(folder)
    except (OSError, ValueError, KeyError, TypeError, SealError):
        return False


def _digest_of_proof(folder: Path) -> str:
    """A party signs the text together with what was proven of it."""
    return sha256((folder / PROOF_FILE).read_bytes()).hexdigest()


class Versions:
    """Every version that may decide, by name; a bad one never replaces a good one."""

    def __init__(self, folder: Path, city: City, directory: Directory) -> None:
        self._folder = folder
        self._city = city
        self._directory = directory
        self._engines: Mapping[str, Engines] = {}
        self._seen: dict[str, str] = {}
        self._read_from: frozenset[tuple[str, int, int]] = frozenset()
        self._missed: set[str] = set()

    async def keep_reading(self) -> None:
        """Look for new versions until cancelled."""
        while True:
            await asyncio.sleep(LOOK)
            if self._on_disk() != self._read_from:
                await asyncio.to_thread(self.read, datetime.now(UTC))

    def read(self, now: datetime) -> None:
        """Take new versions; what is refused is logged once for each change, and those that were taken stay."""
        on_disk = self._on_disk()
        found = dict(self._engines)
        for folder in sorted(path.parent for path in self._folder.glob(f"*/{AGREEMENT_FILE}")):
            reason = self._take(folder, now, found)
            if reason and self._seen.get(folder.name) != reason:
                log.warning("agreement_refused", version=folder.name, reason=reason)
            self._seen[folder.name] = reason
        self._engines = found
        self._read_from = on_disk

    def _on_disk(self) -> frozenset[tuple[str, int, int]]:
        """What would have to be read again, told by size and time of change."""
        files = (path for path in self._folder.rglob("*") if path.suffix in (".yaml", ".json"))
        return frozenset((str(path), (stat := path.stat()).st_size, stat.st_mtime_ns) for path in files)

    def _take(self, folder: Path, now: datetime, found: dict[str, Engines]) -> str:
        """Why a version was not taken; empty when it was, or already is."""
        try:
            agreement = read_agreement(folder, self._city, with_places=False)
            standing = standing_of(folder, agreement, self._city, self._directory, now)
        except AgreementInvalid as error:
            first = error.findings[0].where
            return f"{len(error.findings)} findings, the first at {first}"
        except Exception as error:
            # A folder that nobody can read must not keep the others from being read.
            return f"cannot be read: {type(error).__name__}"
        if standing.state in (State.DRAFT, State.PROVEN):
            return standing.state.value
        if folder.name not in found:
            found[folder.name] = Engines(agreement, digest_of(folder))
            log.info("agreement_loaded", version=folder.name, count=len(agreement.clauses))
        elif found[folder.name].agreement != agreement:
            # Running cases keep the text they began with: a signed version is never changed, only followed by another.
            return "changed after it was loaded; give the new text a new version"
        return ""

    def active(self, now: datetime) -> Engines:
        """The version for cases that begin now; AgreementMissing when there is none."""
        begun = [engines for engines in self._engines.values() if engines.agreement.active_from <= now]
        if not begun:
            msg = (
                f"no version under {self._folder} is proven, signed and active; run `simpul agreement status` on it "
                "to see what it lacks"
            )
            raise AgreementMissing(msg)
        return max(begun, key=lambda engines: engines.agreement.active_from)

    def of(self, version: str) -> Engines:
        """The version a running case began with; the active one where that is not loaded.

        Its folder may be gone, or its proof may be of fewer properties than those of a newer program. A child whose
        deadlines nobody hears of is worse off than one whose case goes on by the newer text.
        """
        found = self._engines.get(version)
        if found is None:
            if version not in self._missed:
                self._missed.add(version)
                log.error("agreement_of_running_cases_missing", version=version)
            found = self.active(datetime.now(UTC))
        return found
