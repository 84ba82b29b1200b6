"""Creates, rotates and lists the keys of a city's parties and the directory of their public keys."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from simpul_schema.catalog import SERVICES
from simpul_seal import Directory, KeyRing, PublicKeys, generate

VALIDITY = timedelta(days=365)
CLOCK_TOLERANCE: Final = timedelta(minutes=5)
"""New keys are valid a little before they were created, because the clocks of machines differ."""


class KeysExist(FileExistsError):
    """Files that `simpul keys init` would write exist; the message names them."""

    def __init__(self, paths: Sequence[Path]) -> None:
        names = ", ".join(map(str, paths))
        super().__init__(
            f"{names} exist{'s' if len(paths) == 1 else ''}; nothing was written. Keys are made once: "
            "`simpul keys rotate` renews those of the services. For another city choose another folder."
        )


class NotRotated(Exception):
    """The rotation failed and the valid keys are unchanged; the message gives the remedy."""


def key_file(folder: Path, party: str) -> Path:
    """Returns the file with the private keys of a party."""
    return folder / f"{party}.key.json"


def directory_file(folder: Path) -> Path:
    """Returns the file with the public keys of all parties."""
    return folder / "directory.json"


def vault_file(folder: Path) -> Path:
    """Returns the file with the vault's master key."""
    return folder / "vault.key"


def init_city(
    folder: Path, parties: Sequence[str], directory: Path, now: datetime, create_vault_key: Callable[[Path], None]
) -> int:
    """Creates all keys of a new city, and returns the number of key rings.

    Raises KeysExist, before anything is written, when one of the files exists.
    """
    wanted = [vault_file(folder), directory, *(key_file(folder, party) for party in parties)]
    # The parent folder is checked too: an earlier manual had new keys moved there, over those of a running city.
    above = [vault_file(folder.absolute().parent), *(key_file(folder.absolute().parent, name) for name in SERVICES)]
    _refuse_existing([*wanted, *above])
    count = create_keys(folder, parties, now, directory=directory)
    create_vault_key(vault_file(folder))
    return count


def create_keys(folder: Path, parties: Iterable[str], now: datetime, *, directory: Path | None = None) -> int:
    """Creates a key ring for each party and the directory; returns the number of key rings.

    Raises KeysExist, before anything is written, when one of the files exists.
    """
    parties, directory = list(parties), directory or directory_file(folder)
    _refuse_existing([directory, *(key_file(folder, party) for party in parties)])
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    directory.parent.mkdir(parents=True, exist_ok=True)
    public = []
    for party in parties:
        ring, keys = generate(party, not_before=now - CLOCK_TOLERANCE, not_after=now + VALIDITY)
        ring.write(key_file(folder, party))
        public.append(keys)
    Directory(public).write(directory)
    return len(public)


def _refuse_existing(paths: Iterable[Path]) -> None:
    existing = [path for path in paths if path.exists() or path.is_symlink()]
    if existing:
        raise KeysExist(existing)


@dataclass(frozen=True, slots=True)
class Rotation:
    """New keys of one service, and how long its old ones stay valid."""

    party: str
    ring: KeyRing
    """Replaces the service's file: the new keys, and the old ones to open what was sealed or stored under them."""
    public: PublicKeys
    old_until: datetime | None
    """None when no old key is valid any more."""


def rotate_keys(
    folder: Path, parties: Sequence[str], directory: Path, now: datetime, *, overlap: timedelta, dry_run: bool = False
) -> list[Rotation]:
    """Gives services new keys and keeps their old ones; returns the rotations.

    A service whose new keys are not valid yet is skipped, unless the overlap is zero. Raises NotRotated when a file
    cannot be read, before anything is written, or cannot be replaced.
    """
    known = _read_directory(directory)
    rings = {party: _read_ring(folder, party) for party in parties}
    waiting = {entry.party for entry in known.entries if now < entry.not_before < entry.not_after}
    rotations = [
        rotation_of(ring, known, now, overlap) for party, ring in rings.items() if not (overlap and party in waiting)
    ]
    if not dry_run:
        for rotation in rotations:
            _replace_ring(rotation.ring, key_file(folder, rotation.party))
        # The directory comes last: others must not seal to public keys whose private halves are not stored yet.
        _replace_directory(directory_after(known, rotations, now, overlap), directory)
    return rotations


def rotation_of(ring: KeyRing, known: Directory, now: datetime, overlap: timedelta) -> Rotation:
    """Creates keys that become valid in the middle of the overlap.

    The first half of the overlap is for distributing the new directory; in the second half, messages that were signed
    or sealed with the old keys still arrive.
    """
    ends = [entry.not_after for entry in known.valid_keys(ring.party, now)]
    old_until = min(max(ends), now + overlap) if ends and overlap else None
    begins = now + (old_until - now) / 2 if old_until else now - CLOCK_TOLERANCE
    ring_after, public = generate(ring.party, not_before=begins, not_after=begins + VALIDITY)
    return Rotation(ring.party, ring_after.with_older(ring), public, old_until)


def directory_after(known: Directory, rotations: Sequence[Rotation], now: datetime, overlap: timedelta) -> Directory:
    """Returns the directory with the new public keys; the old ones of these services end with the overlap."""
    rotated = {rotation.party for rotation in rotations}
    entries = [
        replace(entry, not_after=min(entry.not_after, now + overlap)) if entry.party in rotated else entry
        for entry in known.entries
    ]
    return Directory([*entries, *(rotation.public for rotation in rotations)])


def _read_directory(path: Path) -> Directory:
    try:
        return Directory.read(path)
    except (OSError, ValueError, KeyError) as error:
        msg = f"{path} cannot be read ({type(error).__name__}); name the directory of public keys with --directory"
        raise NotRotated(msg) from error


def _read_ring(folder: Path, party: str) -> KeyRing:
    path = key_file(folder, party)
    try:
        ring = KeyRing.read(path)
    except PermissionError as error:
        msg = f"{path} may not be read; it belongs to the services' account; run this with sudo"
        raise NotRotated(msg) from error
    except (OSError, ValueError, KeyError) as error:
        msg = f"{path} cannot be read ({type(error).__name__}); name the folder of the key files with --folder"
        raise NotRotated(msg) from error
    if ring.party != party:
        msg = f"{path} holds the keys of {ring.party}; put the file of {party} there"
        raise NotRotated(msg)
    return ring


def _replace_ring(ring: KeyRing, path: Path) -> None:
    try:
        ring.overwrite(path)
    except OSError as error:
        msg = f"{path} cannot be replaced ({type(error).__name__}); it is unchanged. Run this with sudo"
        raise NotRotated(msg) from error


def _replace_directory(known: Directory, path: Path) -> None:
    try:
        known.write(path)
    except OSError as error:
        msg = (
            f"{path} cannot be replaced ({type(error).__name__}): the key files already hold new keys, which nobody "
            "uses yet, and the valid ones. Run this again where the file can be written"
        )
        raise NotRotated(msg) from error


@dataclass(frozen=True, slots=True)
class ListedKey:
    """One key of the directory, as an operator sees it."""

    party: str
    keyid: str
    state: str
    """`current`, `next`, `ended`, or `old`: still valid, but replaced by a newer one."""
    not_before: datetime
    not_after: datetime
    days_left: int


def list_keys(directory: Directory, now: datetime) -> list[ListedKey]:
    """Lists every key by party, the newest first."""
    entries = sorted(directory.entries, key=lambda entry: entry.not_before, reverse=True)
    return [
        ListedKey(
            entry.party,
            entry.keyid,
            _state(entry, directory, now),
            entry.not_before,
            entry.not_after,
            max((entry.not_after - now).days, 0),
        )
        for entry in sorted(entries, key=lambda entry: entry.party)
    ]


def _state(entry: PublicKeys, directory: Directory, now: datetime) -> str:
    if entry.not_after <= now:
        return "ended"
    if entry.not_before > now:
        return "next"
    return "current" if entry == directory.current(entry.party, now) else "old"
