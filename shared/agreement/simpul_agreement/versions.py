"""Finds the version that decides: proven, signed by its parties and active. Every other version is refused."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
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
from simpul_seal import AGREEMENT_DOMAIN, AgreementText, Directory, KeyRing, SealError, sign_agreement, verify

SIGNATURES_FOLDER: Final = "signatures"
INTERIM: Final = "interim"
"""Name of the file in which the hub declares that a version decides before the other parties have signed."""
HUB_KIND: Final = "hub"
POLL_INTERVAL: Final = timedelta(seconds=10)
"""Time between two checks for a new version."""

log = structlog.get_logger()


class State(StrEnum):
    """The life of a version."""

    DRAFT = "draft"
    PROVEN = "proven"
    INTERIM = "interim"
    """It decides on the signature of the hub alone, until the other parties have signed."""
    SIGNED = "signed"
    ACTIVE = "active"


@dataclass(frozen=True, slots=True)
class Standing:
    """The state of a version, and what it lacks for the next state."""

    state: State
    signed: int
    """Number of valid signatures; 0 before the version is proven, because a signature covers the proof."""
    needed: int
    """Number of parties that must sign."""
    lacking: tuple[str, ...] = ()
    unsigned_by: tuple[str, ...] = ()
    """The parties whose signatures a proven or interim version lacks."""


class SignatureRefused(Exception):
    """A signature does not count for this text; the message says why."""


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why a version may not decide, in codes and counts, because a log shows no sentences."""

    reason: str
    details: Mapping[str, str | int] = field(default_factory=dict)
    unsigned_by: tuple[str, ...] = ()

    def log(self, version: str) -> None:
        log.warning("agreement_refused", version=version, reason=self.reason, **self.details)
        for party in self.unsigned_by:
            log.warning("agreement_signature_missing", version=version, party=party)


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


def text_of(folder: Path) -> AgreementText:
    """Identifies the present text and proof of a version; raises FileNotFoundError without a proof."""
    return AgreementText(folder.name, digest_of(folder), _digest_of_proof(folder))


def sign_version(folder: Path, ring: KeyRing, now: datetime, *, is_interim: bool = False) -> Path:
    """Stores a party's signature of the current text and proof in the version's folder.

    With `is_interim` it is the hub's declaration that the version decides before the others have signed.
    """
    path = _signature_file(folder, INTERIM if is_interim else ring.party)
    path.parent.mkdir(exist_ok=True)
    path.write_text(sign_agreement(text_of(folder), ring, now, is_interim=is_interim))
    return path


def store_signature(folder: Path, content: str, agreement: Agreement, city: City, directory: Directory) -> Path:
    """Stores a signature that a party sent; raises SignatureRefused when it does not count."""
    try:
        signed = json.loads(json.loads(content)["signed"])
        party, is_interim = str(signed["party"]), signed.get("interim") is True
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        msg = "the file is not a signature, which `simpul-agency sign` makes"
        raise SignatureRefused(msg) from error
    if party not in signatories(agreement, city):
        msg = f"{party} does not sign this agreement"
        raise SignatureRefused(msg)
    if not _is_signature_of(content, party, digest_of(folder), folder, directory, is_interim=is_interim):
        msg = f"{party} signed another text, or with a key that is not enrolled"
        raise SignatureRefused(msg)
    path = _signature_file(folder, INTERIM if is_interim else party)
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    return path


def _signature_file(folder: Path, name: str) -> Path:
    return folder / SIGNATURES_FOLDER / f"{name}.json"


def standing_of(folder: Path, agreement: Agreement, city: City, directory: Directory, now: datetime) -> Standing:
    """Determines the state of a version."""
    digest = digest_of(folder)
    proof = Proof.read(folder)
    parties = signatories(agreement, city)
    if proof is None or not proof.is_of(agreement, digest):
        reason = "no proof" if proof is None else "the proof is of another text, or of fewer properties"
        return Standing(State.DRAFT, 0, len(parties), (f"{reason}; run `simpul agreement check {folder}`",))
    missing = [code for code in parties if not _has_signed(folder, code, digest, directory)]
    signed, needed = len(parties) - len(missing), len(parties)
    if missing:
        lacking = tuple(f"signature of {code}{_hint(folder, code)}" for code in missing)
        decides = now >= agreement.active_from and _is_interim(folder, city, digest, directory)
        state = State.INTERIM if decides else State.PROVEN
        return Standing(state, signed, needed, lacking, tuple(missing))
    if now < agreement.active_from:
        return Standing(State.SIGNED, signed, needed, (f"active from {agreement.active_from:%Y-%m-%d %H:%M %z}",))
    return Standing(State.ACTIVE, signed, needed)


def has_interim_declaration(folder: Path) -> bool:
    """Whether the hub declared this text as interim and a document of it must show so; nothing is verified here."""
    try:
        signed = json.loads(json.loads(_signature_file(folder, INTERIM).read_bytes())["signed"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return isinstance(signed, dict) and signed.get("digest") == digest_of(folder)


def unsigned_parties(folder: Path, agreement: Agreement, city: City) -> list[str]:
    """The parties of which the folder has no signature; nothing is verified here."""
    return [code for code in signatories(agreement, city) if not _signature_file(folder, code).exists()]


def _is_interim(folder: Path, city: City, digest: str, directory: Directory) -> bool:
    """Whether a hub of the city has declared the text as interim."""
    hubs = [code for code, kind in city.kinds.items() if kind == HUB_KIND]
    return any(_has_signed(folder, code, digest, directory, INTERIM) for code in hubs)


def _has_signed(folder: Path, party: str, digest: str, directory: Directory, name: str = "") -> bool:
    try:
        content = _signature_file(folder, name or party).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    return _is_signature_of(content, party, digest, folder, directory, is_interim=name == INTERIM)


def _is_signature_of(
    content: str, party: str, digest: str, folder: Path, directory: Directory, *, is_interim: bool
) -> bool:
    """Whether a party has signed; a replaced key still counts for what it signed while it was valid."""
    try:
        file = json.loads(content)
        signed = json.loads(file["signed"])
        # The moment is read before it is known who wrote it, because it says which keys counted then.
        moment = datetime.fromisoformat(signed["signed_at"])
        signer = verify(file["signed"].encode(), file["signature"], directory, moment, domain=AGREEMENT_DOMAIN)
        is_text = signed["digest"] == digest and signed["proof"] == _digest_of_proof(folder)
        return signer == party and is_text and signed.get("interim", False) is is_interim
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SealError):
        return False


def _hint(folder: Path, party: str) -> str:
    """What to do about a file of a version that signed another form of the text."""
    try:
        file = json.loads(_signature_file(folder, party).read_bytes())
    except (OSError, ValueError):
        return ""
    is_older = isinstance(file, dict) and "signature" in file and "signed" not in file
    return " (in the form of an older version: sign again)" if is_older else ""


def _digest_of_proof(folder: Path) -> str:
    """A signature covers the text and its proof."""
    return sha256((folder / PROOF_FILE).read_bytes()).hexdigest()


@dataclass(frozen=True, slots=True)
class KnownVersion:
    """A version in the city's folder, whether it may decide or not."""

    folder: Path
    agreement: Agreement | None
    """None when the text is invalid or cannot be read."""
    standing: Standing | None
    """None without a readable text."""
    decides: bool
    """Whether new cases are decided by it."""


class Versions:
    """Every version that may decide, by name; an invalid version never replaces a valid one."""

    def __init__(self, folder: Path, city: City, directory: Directory) -> None:
        self._folder = folder
        self._city = city
        self._directory = directory
        self._engines: Mapping[str, Engines] = {}
        self._texts: dict[Path, Agreement] = {}
        """Folder -> its text as it was read last, in force or not."""
        self._refusals: dict[str, _Refusal | None] = {}
        self._unsigned: dict[str, tuple[str, ...]] = {}
        """Interim version -> the parties that have not signed it."""
        self._read_from: frozenset[tuple[str, int, int]] = frozenset()
        self._missed: set[str] = set()

    async def watch_for_versions(self) -> None:
        """Loads new versions as they appear, until cancelled."""
        while True:
            await asyncio.sleep(POLL_INTERVAL.total_seconds())
            if self._on_disk() != self._read_from:
                await asyncio.to_thread(self.read, datetime.now(UTC))

    def read(self, now: datetime) -> None:
        """Loads new versions; a refusal is logged once per change, and loaded versions stay."""
        on_disk = self._on_disk()
        found = dict(self._engines)
        for folder in sorted(path.parent for path in self._folder.glob(f"*/{AGREEMENT_FILE}")):
            refusal = self._load_version(folder, now, found)
            if refusal and self._refusals.get(folder.name) != refusal:
                refusal.log(folder.name)
            self._refusals[folder.name] = refusal
        self._engines = found
        self._read_from = on_disk

    def _on_disk(self) -> frozenset[tuple[str, int, int]]:
        """Size and modification time of every file, to detect changes."""
        files = (path for path in self._folder.rglob("*") if path.suffix in (".yaml", ".md", ".json"))
        return frozenset((str(path), (stat := path.stat()).st_size, stat.st_mtime_ns) for path in files)

    def _load_version(self, folder: Path, now: datetime, found: dict[str, Engines]) -> _Refusal | None:
        """Loads a version; returns why it was refused, if it was."""
        self._texts.pop(folder, None)
        try:
            self._texts[folder] = agreement = read_agreement(folder, self._city, with_positions=False)
            standing = standing_of(folder, agreement, self._city, self._directory, now)
        except AgreementInvalid as error:
            return _Refusal("invalid", {"count": len(error.findings), "path": str(error.findings[0].where)})
        except Exception as error:
            # An unreadable folder must not prevent the other versions from being loaded.
            return _Refusal("unreadable", {"error": type(error).__name__})
        if standing.state in (State.DRAFT, State.PROVEN):
            details: dict[str, str | int] = {"state": standing.state.value, "count": len(standing.unsigned_by)}
            reason = "not_proven" if standing.state is State.DRAFT else "not_signed"
            return _Refusal(reason, details, standing.unsigned_by)
        self._note_interim(folder.name, standing)
        if folder.name not in found:
            found[folder.name] = Engines(agreement, digest_of(folder))
            log.info("agreement_loaded", version=folder.name, count=len(agreement.clauses))
        elif found[folder.name].agreement != agreement:
            # Open cases keep the text that decided them, so a signed version never changes; a new one follows it.
            return _Refusal("changed_after_loading")
        return None

    def _note_interim(self, version: str, standing: Standing) -> None:
        """Keeps which parties an interim version lacks, and logs it when that changes."""
        unsigned = standing.unsigned_by if standing.state is State.INTERIM else ()
        if unsigned and self._unsigned.get(version) != unsigned:
            log.warning("agreement_is_interim", version=version, count=len(unsigned))
        self._unsigned[version] = unsigned

    def find_warnings(self, now: datetime) -> list[str]:
        """Finds what an operator must act on: an active version that is only interim."""
        try:
            version = self.active(now).agreement.version
        except AgreementMissing:
            return []
        missing = self._unsigned.get(version, ())
        if not missing:
            return []
        return [f"the agreement {version} is interim, signed by the hub alone; unsigned by {', '.join(missing)}"]

    def active(self, now: datetime) -> Engines:
        """The version for new cases; raises AgreementMissing when no version is active.

        An interim version decides only while every party has signed none.
        """
        started = [engines for engines in self._engines.values() if engines.agreement.active_from <= now]
        started = [engines for engines in started if not self._unsigned.get(engines.agreement.version)] or started
        if not started:
            msg = (
                f"no version under {self._folder} is proven, signed and active; `simpul agreement status VERSION` "
                "shows what a version lacks"
            )
            raise AgreementMissing(msg)
        return max(started, key=lambda engines: engines.agreement.active_from)

    def list_known(self, now: datetime) -> list[KnownVersion]:
        """Lists the versions in the folder, the newest first, with what each lacks; signatures are read again."""
        try:
            deciding = self.active(now).agreement.version
        except AgreementMissing:
            deciding = ""
        known = []
        for folder in sorted((path.parent for path in self._folder.glob(f"*/{AGREEMENT_FILE}")), reverse=True):
            text = self._texts.get(folder)
            standing = standing_of(folder, text, self._city, self._directory, now) if text else None
            known.append(KnownVersion(folder, text, standing, decides=folder.name == deciding))
        return known

    def of(self, version: str) -> Engines:
        """The version that decided an open case; the active version where that one is not loaded.

        Its folder may be gone, or its proof may cover fewer properties than a newer program requires. Deciding by the
        newer text is better for the child than a case whose deadlines nobody watches.
        """
        found = self._engines.get(version)
        if found is None:
            if version not in self._missed:
                self._missed.add(version)
                log.error("agreement_of_running_cases_missing", version=version)
            found = self.active(datetime.now(UTC))
        return found
