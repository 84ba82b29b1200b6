"""Finds the version that decides: proven, signed by its parties and active. Every other version is refused."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
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
SIGNATURE_DOMAIN: Final = "simpul-agreement-v1"
"""Signed in front of the text, so that it never passes for an event, nor an event for it."""
POLL_INTERVAL: Final = timedelta(seconds=10)
"""Time between two checks for a new version."""

log = structlog.get_logger()


class State(StrEnum):
    """The life of a version."""

    DRAFT = "draft"
    PROVEN = "proven"
    SIGNED = "signed"
    ACTIVE = "active"


@dataclass(frozen=True, slots=True)
class Standing:
    """The state of a version, and what it lacks for the next state."""

    state: State
    lacking: tuple[str, ...] = ()


def signatories(agreement: Agreement, city: City) -> list[str]:
    """The codes of the agencies that must sign, each agency of a kind."""
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
    """Store a party's signature of the current text and proof in the version's folder."""
    text = json.dumps({
        "version": folder.name, "digest": digest_of(folder), "proof": _digest_of_proof(folder), "party": ring.party,
        "signed_at": now.isoformat(),
    })  # fmt: skip
    path = folder / SIGNATURES_FOLDER / f"{ring.party}.json"
    path.parent.mkdir(exist_ok=True)
    # The exact text that is signed stands in the file, so that no reader has to write it again to the byte.
    signature = sign(text.encode(), ring, domain=SIGNATURE_DOMAIN)
    path.write_text(json.dumps({"signed": text, "signature": signature}, indent=1) + "\n")
    return path


def standing_of(folder: Path, agreement: Agreement, city: City, directory: Directory, now: datetime) -> Standing:
    """Determine the state of a version."""
    digest = digest_of(folder)
    proof = Proof.read(folder)
    if proof is None or not proof.is_of(agreement, digest):
        lacking = "no proof" if proof is None else "the proof is of another text, or of fewer properties"
        return Standing(State.DRAFT, (f"{lacking}; run `simpul agreement check {folder}`",))
    missing = [code for code in signatories(agreement, city) if not _has_signed(folder, code, digest, directory)]
    if missing:
        return Standing(State.PROVEN, tuple(f"signature of {code}{_hint(folder, code)}" for code in missing))
    if now < agreement.active_from:
        return Standing(State.SIGNED, (f"active from {agreement.active_from:%Y-%m-%d %H:%M %z}",))
    return Standing(State.ACTIVE)


def _has_signed(folder: Path, party: str, digest: str, directory: Directory) -> bool:
    """Whether a party has signed; a replaced key still counts for what it signed while it was valid."""
    try:
        file = json.loads((folder / SIGNATURES_FOLDER / f"{party}.json").read_bytes())
        signed = json.loads(file["signed"])
        # The moment is read before it is known who wrote it, because it says which keys counted then.
        moment = datetime.fromisoformat(signed["signed_at"])
        signer = verify(file["signed"].encode(), file["signature"], directory, moment, domain=SIGNATURE_DOMAIN)
        return signer == party and signed["digest"] == digest and signed["proof"] == _digest_of_proof(folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SealError):
        return False


def _hint(folder: Path, party: str) -> str:
    """What to do about a file of a version that signed another form of the text."""
    try:
        file = json.loads((folder / SIGNATURES_FOLDER / f"{party}.json").read_bytes())
    except (OSError, ValueError):
        return ""
    is_older = isinstance(file, dict) and "signature" in file and "signed" not in file
    return " (in the form of an older version: sign again)" if is_older else ""


def _digest_of_proof(folder: Path) -> str:
    """A signature covers the text and its proof."""
    return sha256((folder / PROOF_FILE).read_bytes()).hexdigest()


class Versions:
    """Every version that may decide, by name; an invalid version never replaces a valid one."""

    def __init__(self, folder: Path, city: City, directory: Directory) -> None:
        self._folder = folder
        self._city = city
        self._directory = directory
        self._engines: Mapping[str, Engines] = {}
        self._refusals: dict[str, str] = {}
        self._read_from: frozenset[tuple[str, int, int]] = frozenset()
        self._missed: set[str] = set()

    async def watch_for_versions(self) -> None:
        """Load new versions as they appear, until cancelled."""
        while True:
            await asyncio.sleep(POLL_INTERVAL.total_seconds())
            if self._on_disk() != self._read_from:
                await asyncio.to_thread(self.read, datetime.now(UTC))

    def read(self, now: datetime) -> None:
        """Load new versions; a refusal is logged once per change, and loaded versions stay."""
        on_disk = self._on_disk()
        found = dict(self._engines)
        for folder in sorted(path.parent for path in self._folder.glob(f"*/{AGREEMENT_FILE}")):
            reason = self._load_version(folder, now, found)
            if reason and self._refusals.get(folder.name) != reason:
                log.warning("agreement_refused", version=folder.name, reason=reason)
            self._refusals[folder.name] = reason
        self._engines = found
        self._read_from = on_disk

    def _on_disk(self) -> frozenset[tuple[str, int, int]]:
        """Size and modification time of every file, to detect changes."""
        files = (path for path in self._folder.rglob("*") if path.suffix in (".yaml", ".json"))
        return frozenset((str(path), (stat := path.stat()).st_size, stat.st_mtime_ns) for path in files)

    def _load_version(self, folder: Path, now: datetime, found: dict[str, Engines]) -> str:
        """Load a version; returns why it was refused, or an empty text."""
        try:
            agreement = read_agreement(folder, self._city, with_positions=False)
            standing = standing_of(folder, agreement, self._city, self._directory, now)
        except AgreementInvalid as error:
            first = error.findings[0].where
            return f"{len(error.findings)} findings, the first at {first}"
        except Exception as error:
            # An unreadable folder must not prevent the other versions from being loaded.
            return f"cannot be read: {type(error).__name__}"
        if standing.state in (State.DRAFT, State.PROVEN):
            return standing.state.value
        if folder.name not in found:
            found[folder.name] = Engines(agreement, digest_of(folder))
            log.info("agreement_loaded", version=folder.name, count=len(agreement.clauses))
        elif found[folder.name].agreement != agreement:
            # Open cases keep the text that decided them, so a signed version never changes; a new one follows it.
            return "changed after it was loaded; give the new text a new version"
        return ""

    def active(self, now: datetime) -> Engines:
        """The version for new cases; raises AgreementMissing when no version is active."""
        started = [engines for engines in self._engines.values() if engines.agreement.active_from <= now]
        if not started:
            msg = (
                f"no version under {self._folder} is proven, signed and active; `simpul agreement status VERSION` "
                "shows what a version lacks"
            )
            raise AgreementMissing(msg)
        return max(started, key=lambda engines: engines.agreement.active_from)

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
