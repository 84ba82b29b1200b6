"""A newcomer with the wheels alone and no network reaches a conforming consumer."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from simpul_agency.conformance import CASES
from simpul_agency.sandbox.rabbitmq import install_rabbitmq

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("newcomer.sh")
# In a network of its own a process has only a loopback that is down.
_LOOPBACK_UP = """
import fcntl, os, socket, struct, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
    fcntl.ioctl(control, 0x8914, struct.pack("16sh", b"lo", 0x1 | 0x40))
os.execvp(sys.argv[1], sys.argv[1:])
"""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The three wheels of the kit with their dependencies, as on a USB stick."""
    folder = tmp_path_factory.mktemp("wheels")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    members = [str(ROOT / "shared" / name) for name in ("schema", "seal", "agency")]
    pip = [str(folder / "venv/bin/pip"), "wheel", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-w", str(folder / "dist"), *members], check=True, timeout=170, capture_output=True)
    return folder / "dist"


def _without_network(*command: str) -> list[str]:
    isolated = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--net", "--map-root-user"]
    return [*isolated, sys.executable, "-c", _LOOPBACK_UP, *command]


def test_the_network_is_unreachable() -> None:
    connect = "import socket; socket.create_connection(('192.0.2.1', 80), 2)"
    done = subprocess.run(_without_network(sys.executable, "-c", connect), capture_output=True, text=True, check=False)

    assert "unreachable" in done.stderr


@pytest.mark.timeout(400)
def test_a_newcomer_has_a_conforming_consumer_in_eight_commands_and_forty_lines(wheels: Path, tmp_path: Path) -> None:
    install_rabbitmq()
    shutil.copytree(wheels, tmp_path / "wheels")
    commands = [line for line in SCRIPT.read_text().splitlines() if line and not line.startswith("#")]
    environment = {"PATH": os.defpath + ":/usr/sbin:/sbin:" + str(Path(sys.base_prefix) / "bin"), "HOME": str(tmp_path)}
    started = time.monotonic()

    done = subprocess.run(
        _without_network("sh", "-e", str(SCRIPT)),
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=390,
        check=False,
    )

    print(f"\nnewcomer: {len(commands)} commands, {time.monotonic() - started:.0f} s to a conforming consumer")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert report["conforms"]
    assert report["complete"]
    assert len(report["cases"]) == len(CASES)
    assert len(commands) <= 8
    assert len((tmp_path / "consumer.py").read_text().splitlines()) <= 40
    # The wheels of the public packages carry nothing of the private ones.
    assert not list((tmp_path / "wheels").glob("simpul_r*")) + list((tmp_path / "wheels").glob("simpul_cli*"))
