"""Runs a private RabbitMQ from Debian's package, with its own node name, ports, folders and cookie, on loopback."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Optional

from simpul_agency.sandbox.process import (
    SERVER_START_TIMEOUT,
    BackendsMissing,
    answers_http,
    change_owner,
    delete_folder,
    free_port,
    spawn,
    stop_process,
    unprivileged,
    wait_until,
)

# Not /usr/sbin/rabbitmq-server: that wrapper switches the user and hides a crash behind exit code 0.
_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_APT_FAILED = (
    "apt-get could not install rabbitmq-server. Check: is the internet reachable; behind a proxy, do http_proxy and "
    "https_proxy or a file in /etc/apt/apt.conf.d name it; can the mirror in /etc/apt be reached from here; is the "
    "proxy's or mirror's own authority in /usr/local/share/ca-certificates (then update-ca-certificates)?"
)
_PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"


def install_rabbitmq() -> None:
    """Installs Debian's package if the server is missing; raises BackendsMissing with the choices if it cannot."""
    if _SERVER.exists():
        return
    choices = (
        "RabbitMQ is not installed. Choose one: run as root on Debian or Ubuntu; `apt-get install rabbitmq-server`; "
        "start a Docker engine; or set SIMPUL_TEST_AMQP_URL and SIMPUL_TEST_RABBITMQ_API"
    )
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise BackendsMissing(choices)
    # RUNLEVEL=1 keeps the package from starting a broker of its own on the usual port.
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    install = ["apt-get", "install", "-y", "--no-install-recommends", "rabbitmq-server"]
    for command in (install, ["apt-get", "update"], install):
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        if _SERVER.exists():
            return
    msg = f"{choices}\n{_APT_FAILED}\napt-get printed: {done.stderr[-800:]}"
    raise BackendsMissing(msg)


class PrivateRabbit:
    """One node with the management API, which ends with its parent process."""

    def __init__(self, certificates: Optional[Path] = None) -> None:
        """`certificates`, a folder of `simpul tls init`, adds a TLS port that requires client certificates."""
        install_rabbitmq()
        self.folder = Path(tempfile.mkdtemp(prefix="simpul-mq-"))
        self.folder.chmod(0o755)
        self.port, self.tls_port, self.api_port, self._epmd_port = (free_port() for _ in range(4))
        self._certificates = certificates
        self._account = unprivileged("rabbitmq")
        self._log = self.folder / "log.txt"
        self._env = self._environment(free_port())
        self._write_files()
        # The node would start this as a daemon that outlives it; started here, it is ended here.
        self._port_mapper = spawn(
            ["epmd", "-port", str(self._epmd_port), "-address", "127.0.0.1"],
            log=self._log,
            env=self._env,
            death_signal=signal.SIGKILL,
            account=self._account,
        )
        try:
            self.start()
        except BackendsMissing:
            self._end_port_mapper()
            raise

    @property
    def amqp_url(self) -> str:
        """The URL for consumers and publishers; a frozen peer is noticed after 33 seconds."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/?heartbeat=10"

    def url_of(self, vhost: str) -> str:
        """Returns the URL of another virtual host."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/{vhost}?heartbeat=10"

    @property
    def api_url(self) -> str:
        """The URL of the management API."""
        return f"http://guest:guest@127.0.0.1:{self.api_port}"

    def start(self) -> None:
        """Starts or restarts the node, and waits until AMQP and the API answer."""
        self.process = spawn(
            [_SERVER], log=self._log, env=self._env, death_signal=signal.SIGTERM, account=self._account
        )
        wait_until(self._answers, self.process, log=self._log, timeout=SERVER_START_TIMEOUT, name="RabbitMQ")

    def stop(self) -> None:
        """Stops the node and keeps its data."""
        stop_process(self.process, signal.SIGTERM, timeout=40)

    def kill(self) -> None:
        """Kills the node and keeps its data."""
        self.process.kill()
        self.process.wait(10)

    def close(self) -> None:
        """Stops the node and the port mapper, and deletes their data."""
        self.stop()
        self._end_port_mapper()

    def _end_port_mapper(self) -> None:
        stop_process(self._port_mapper, signal.SIGTERM, timeout=5)
        delete_folder(self.folder)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                connection.settimeout(5)
                connection.sendall(_PROTOCOL_HEADER)
                if connection.recv(1) != b"\x01":
                    return False
        except OSError:
            return False
        return answers_http(f"http://127.0.0.1:{self.api_port}/")

    def _environment(self, distribution_port: int) -> dict[str, str]:
        folder = self.folder
        return {
            "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": str(folder / "home"),
            "LANG": "C.UTF-8",
            # The start script then becomes the node, so that its pid is the one that is observed and ended.
            "NOTIFY_SOCKET": str(folder / "no-systemd-here"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_NODENAME": f"simpul-{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "",
            "RABBITMQ_DIST_PORT": str(distribution_port),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "generated"),
            "RABBITMQ_FEATURE_FLAGS_FILE": str(folder / "feature_flags"),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none -kernel inet_dist_use_interface {127,0,0,1}",
        }

    def _write_files(self) -> None:
        home = self.folder / "home"
        home.mkdir()
        cookie = home / ".erlang.cookie"
        cookie.write_text(secrets.token_hex(16))
        cookie.chmod(0o400)
        (self.folder / "enabled_plugins").write_text("[rabbitmq_management].\n")
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.local = 127.0.0.1:{self.port}\n"
            f"management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {self.api_port}\n"
            "vm_memory_high_watermark.absolute = 1GB\ndisk_free_limit.absolute = 50MB\nlog.console.level = warning\n"
            + self._tls_configuration()
        )
        change_owner(self.folder, self._account)

    def _tls_configuration(self) -> str:
        if self._certificates is None:
            return ""
        for name in ("authority.pem", "broker.pem", "broker.key"):
            shutil.copy(self._certificates / name, self.folder / name)
        return tls_port_configuration(self.folder, self.tls_port)


def tls_port_configuration(folder: Path, port: int) -> str:
    """Returns the configuration of a TLS port that requires a certificate of the city's authority."""
    return (
        f"listeners.ssl.local = 127.0.0.1:{port}\n"
        f"ssl_options.cacertfile = {folder}/authority.pem\n"
        f"ssl_options.certfile = {folder}/broker.pem\nssl_options.keyfile = {folder}/broker.key\n"
        "ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true\n"
    )
