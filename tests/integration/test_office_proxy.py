"""`make setup`, with which every command of the README starts, works behind an office proxy with its own authority."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.office import INDEX, Office, an_office, wheel

ROOT = Path(__file__).parents[2]
BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
# The mount namespace shows the process another bundle; the machine keeps its own.
WITH_BUNDLE = 'mount --bind "$0" /etc/ssl/certs/ca-certificates.crt && exec "$@"'
# Building a member also downloads the packages that its build needs.
MEMBER = """
[project]
name = "member"
version = "1.0"
[build-system]
requires = ["tool"]
build-backend = "backend"
backend-path = ["."]
"""
BACKEND = """
import shutil, tool
def build_editable(folder, config_settings=None, metadata_directory=None):
    return shutil.copy("member-1.0-py3-none-any.whl", folder).rpartition("/")[2]
"""


@pytest.fixture(scope="module")
def uv() -> str:
    """Finds the uv that set up this checkout."""
    found = shutil.which("uv") or str(ROOT / ".venv-uv" / "bin" / "uv")
    assert Path(found).exists(), "run make setup first"
    return found


@pytest.fixture(scope="module")
def office(uv: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    wheels = {
        "parcel": wheel("parcel"),
        "tool": wheel("tool"),
        "uv": wheel("uv", script=f'#!/bin/sh\nexec {uv} "$@"\n'),
    }
    with an_office(tmp_path_factory.mktemp("office"), wheels) as found:
        yield found


@pytest.fixture
def checkout(office: Office, tmp_path: Path) -> Path:
    """Copies the Makefile with a lock of one package."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    shutil.copy(ROOT / "Makefile", folder)
    (folder / "pyproject.toml").write_text("")
    (folder / "requirements.lock").write_text(office.locked("parcel"))
    member = folder / "member"
    member.mkdir()
    (member / "pyproject.toml").write_text(MEMBER)
    (member / "backend.py").write_text(BACKEND)
    (member / "member-1.0-py3-none-any.whl").write_bytes(wheel("member"))
    return folder


def setup(office: Office, checkout: Path, bundle: bytes, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Runs `make setup` in a bare environment on a machine that trusts these authorities, without uv."""
    (checkout.parent / "bundle.pem").write_bytes(bundle)
    programs = Path(sys.base_prefix) / "bin"
    environment = {
        "PATH": f"{programs}:/usr/bin:/bin:/usr/sbin:/sbin",
        "HOME": str(checkout.parent),
        "HTTPS_PROXY": office.proxy,
        "UV_DEFAULT_INDEX": INDEX,
        "PIP_INDEX_URL": INDEX,
        # The configuration of this machine must not affect the test.
        "UV_NO_CONFIG": "1",
        "PIP_CONFIG_FILE": os.devnull,
        "UV_NO_CACHE": "1",
        "PIP_NO_CACHE_DIR": "1",
        "PIP_RETRIES": "0",
        "UV_HTTP_RETRIES": "0",
    }
    alone = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    command = [*alone, "sh", "-c", WITH_BUNDLE, str(checkout.parent / "bundle.pem"), "make", "setup", "MEMBERS=member"]
    return subprocess.run(
        command, cwd=checkout, env=environment | variables, capture_output=True, text=True, timeout=170, check=False
    )


def installed(checkout: Path) -> bool:
    found = (checkout / ".venv").glob("lib/python3*/site-packages/*.py")
    return {"parcel.py", "member.py"} <= {path.name for path in found}


def test_with_the_offices_authority_in_the_systems_store_it_works(office: Office, checkout: Path) -> None:
    done = setup(office, checkout, BUNDLE.read_bytes() + office.authority)

    assert done.returncode == 0, done.stdout + done.stderr
    assert installed(checkout)


def test_an_authority_named_by_ssl_cert_file_counts_too(office: Office, checkout: Path) -> None:
    own = checkout.parent / "own.pem"
    own.write_bytes(office.authority)

    done = setup(office, checkout, BUNDLE.read_bytes(), SSL_CERT_FILE=str(own))

    assert done.returncode == 0, done.stdout + done.stderr
    assert installed(checkout)


def test_a_file_that_pip_is_configured_to_use_stays_the_one(office: Office, checkout: Path) -> None:
    own, configuration = checkout.parent / "own.pem", checkout.parent / "pip.conf"
    own.write_bytes(office.authority)
    configuration.write_text(f"[global]\ncert = {own}\n")

    done = setup(office, checkout, BUNDLE.read_bytes(), PIP_CONFIG_FILE=str(configuration))

    # pip downloads uv; uv does not know that file, so the message says what to check.
    assert "setting up .venv" in done.stdout
    assert "update-ca-certificates" in done.stdout


def test_an_unknown_authority_fails_with_what_to_check(office: Office, checkout: Path) -> None:
    done = setup(office, checkout, BUNDLE.read_bytes())

    assert done.returncode != 0
    assert not installed(checkout)
    assert "CERTIFICATE_VERIFY_FAILED" in done.stdout
    for advice in ("HTTPS_PROXY", "update-ca-certificates", "SSL_CERT_FILE", "UV_DEFAULT_INDEX"):
        assert advice in done.stdout


def test_a_proxy_that_is_not_there_fails_with_what_to_check(office: Office, checkout: Path) -> None:
    done = setup(office, checkout, BUNDLE.read_bytes(), HTTPS_PROXY="http://127.0.0.1:9")

    assert done.returncode != 0
    assert "Behind a proxy set HTTPS_PROXY" in done.stdout
