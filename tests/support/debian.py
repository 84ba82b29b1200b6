"""Finds programs of Debian packages, and installs them where the tests may do so."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

INSTALL = ["apt-get", "install", "-y", "--no-install-recommends"]
# At run level 1 an installed package starts no service.
QUIETLY = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}


def need(programs: Sequence[str], packages: Sequence[str]) -> None:
    """Ensures that the programs exist; the test fails, and never skips, when they cannot be installed."""
    if _missing(programs) and os.geteuid() == 0 and Path("/etc/debian_version").exists():
        env = {**os.environ, **QUIETLY}
        if subprocess.run([*INSTALL, *packages], env=env, capture_output=True, check=False).returncode:
            subprocess.run(["apt-get", "update"], env=env, capture_output=True, check=False)
            subprocess.run([*INSTALL, *packages], env=env, capture_output=True, check=False)
    if missing := _missing(programs):
        pytest.fail(f"{', '.join(missing)} missing; as root: {' '.join([*INSTALL, *packages])}", pytrace=False)


def _missing(programs: Sequence[str]) -> list[str]:
    return [program for program in programs if shutil.which(program, path=f"{os.defpath}:/usr/sbin:/sbin") is None]
