"""Programs that come from Debian: found, or installed where that is ours to do, or their absence is an error."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

INSTALL = ["apt-get", "install", "-y", "--no-install-recommends"]
# At run level 1 a package starts no service of its own.
QUIETLY = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}


def need(programs: Sequence[str], packages: Sequence[str]) -> None:
    """Make sure the programs are there; the test fails, never skips, where they cannot be had."""
    if _missing(programs) and os.geteuid() == 0 and Path("/etc/debian_version").exists():
        env = {**os.environ, **QUIETLY}
        if subprocess.run([*INSTALL, *packages], env=env, capture_output=True, check=False).returncode:
            subprocess.run(["apt-get", "update"], env=env, capture_output=True, check=False)
            subprocess.run([*INSTALL, *packages], env=env, capture_output=True, check=False)
    if missing := _missing(programs):
        pytest.fail(f"{', '.join(missing)} missing; as root: {' '.join([*INSTALL, *packages])}", pytrace=False)


def _missing(programs: Sequence[str]) -> list[str]:
    return [program for program in programs if shutil.which(program, path=f"{os.defpath}:/usr/sbin:/sbin") is None]
