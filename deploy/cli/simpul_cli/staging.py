"""Creates sets of files completely or not at all, also when the program is killed in between."""

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

_COMPLETE: Final = "complete"


class PartlyPresent(Exception):
    """A set of files is incomplete; the message names the missing ones."""


def create_set(files: Mapping[str, Path], stage: Path, create: Callable[[Path], None]) -> bool:
    """Creates a set of files by their names in the folder that `create` gets; returns False when they exist.

    A run that was killed is completed if it had created all files, and started again otherwise. Existing files are
    never replaced: raises PartlyPresent when some are there that no killed run left.
    """
    if (stage / _COMPLETE).exists():
        _move(files, stage)
        return True
    missing = [path for path in files.values() if not path.exists()]
    if not missing:
        return False
    if len(missing) < len(files):
        msg = f"{', '.join(map(str, missing))} missing, but others of the set are there: restore the backup"
        raise PartlyPresent(msg)
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir(parents=True, mode=0o700)
    create(stage)
    for name in files:
        with (stage / name).open("rb") as file:
            os.fsync(file.fileno())
    (stage / _COMPLETE).touch()
    _move(files, stage)
    return True


def _move(files: Mapping[str, Path], stage: Path) -> None:
    """Moves what is still in the stage; a killed run has moved the rest."""
    for name, path in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if (stage / name).exists():
            (stage / name).rename(path)
    shutil.rmtree(stage)
