"""Makes the keys of a city's parties and the directory of their public halves."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

from simpul_seal import Directory, generate

SERVICES = ("intake", "routing", "notify", "desk")
VALIDITY = timedelta(days=365)


def key_file(folder: Path, party: str) -> Path:
    """Where the private keys of a party lie."""
    return folder / f"{party}.key.json"


def directory_file(folder: Path) -> Path:
    """Where everybody's public keys lie."""
    return folder / "directory.json"


def create_keys(folder: Path, parties: Iterable[str], now: datetime) -> int:
    """A ring for each party and one directory; FileExistsError rather than replace what is there."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    if directory_file(folder).exists():
        msg = f"{directory_file(folder)} exists; choose another folder or move it away"
        raise FileExistsError(msg)
    public = []
    for party in parties:
        ring, keys = generate(party, not_before=now - timedelta(minutes=5), not_after=now + VALIDITY)
        ring.write(key_file(folder, party))
        public.append(keys)
    Directory(public).write(directory_file(folder))
    return len(public)
