"""Gets an agreement that decides: signatures that parties sent, or the interim declaration of the hub."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Final

from simpul_agreement import AgreementInvalid, digest_of, read_agreement
from simpul_agreement.model import Agreement
from simpul_agreement.reading import AGREEMENT_FILE
from simpul_agreement.versions import (
    HUB_KIND,
    SignatureRefused,
    Standing,
    State,
    sign_version,
    standing_of,
    store_signature,
)
from simpul_city import City
from simpul_cli.deployment.refusal import Refusal
from simpul_cli.languages import Message as _
from simpul_seal import Directory, KeyRing

DECIDES: Final = (State.INTERIM, State.ACTIVE)


@dataclass(frozen=True, slots=True)
class VersionState:
    """A version of the agreement and where it stands."""

    folder: Path
    standing: Standing

    @property
    def decides(self) -> bool:
        """Whether new cases may be decided by it."""
        return self.standing.state in DECIDES


def hub_of(city: City) -> str:
    """Returns the code of the city's hub; raises Refusal for a city without one."""
    for agency in city.agencies:
        if agency.kind == HUB_KIND:
            return agency.code
    raise Refusal(_("{city} has no agency of the kind hub in city.yaml.", city=city.name))


def versions_of(city_dir: Path, city: City, directory: Directory, now: datetime) -> list[VersionState]:
    """Returns every version, the newest last; raises Refusal for one that cannot be read."""
    return [
        VersionState(folder, standing_of(folder, _read(folder, digest_of(folder), city_dir), city, directory, now))
        for folder in _folders(city_dir)
    ]


def collect_signatures(city_dir: Path, received: Path, city: City, directory: Directory) -> list[str]:
    """Stores each signature of the folder with the version that it signs; returns the names of the stored files."""
    stored = []
    for path in sorted(received.glob("*signature.json")):
        for folder in _folders(city_dir):
            agreement = _read(folder, digest_of(folder), city_dir)
            try:
                store_signature(folder, path.read_text(encoding="utf-8"), agreement, city, directory)
            except (SignatureRefused, UnicodeDecodeError):
                # It may be of another version, or of an agency that is not enrolled yet.
                continue
            stored.append(path.name)
    return stored


def _folders(city_dir: Path) -> list[Path]:
    return sorted(path.parent for path in (city_dir / "agreement").glob(f"*/{AGREEMENT_FILE}"))


@lru_cache
def _read(folder: Path, digest: str, city_dir: Path) -> Agreement:
    """Reads a version once per text, because that takes half a second; raises Refusal for an invalid one."""
    try:
        return read_agreement(folder, City.read(city_dir), with_positions=False)
    except AgreementInvalid as error:
        raise Refusal(
            _("The agreement {version} is invalid: {finding}", version=folder.name, finding=error.findings[0])
        ) from error


def sign_as_hub(versions: Sequence[VersionState], ring: KeyRing, now: datetime) -> str:
    """Signs the newest proven version as the hub and declares it as interim; returns its name."""
    proven = [version for version in versions if version.standing.state is State.PROVEN]
    if not proven:
        newest = versions[-1] if versions else None
        lacking = newest.standing.lacking[0] if newest and newest.standing.lacking else _("there is none")
        raise Refusal(_("No version of the agreement can decide: {reason}.", reason=lacking))
    folder = proven[-1].folder
    sign_version(folder, ring, now)
    sign_version(folder, ring, now, is_interim=True)
    return folder.name
